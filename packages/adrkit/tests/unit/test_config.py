from __future__ import annotations

from pathlib import Path

import pytest

from adrkit.config import load_config
from adrkit.errors import ConfigError


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_settings_are_found_upward(tmp_path: Path) -> None:
    source = write(tmp_path / "adrkit.toml", 'directory = "records"\nexclude = ["old-*"]\n')
    deep = tmp_path / "src" / "deep"
    deep.mkdir(parents=True)
    config = load_config(deep)
    assert config.source == source.resolve()
    assert config.directory == (tmp_path / "records").resolve()
    assert config.exclude == ("old-*",)


def test_pyproject_table_counts_and_keeps_the_tables_of_other_commands(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", "[tool.adrkit.lint]\nmax-words = 900\n")
    assert load_config(tmp_path).table("lint") == {"max-words": 900}
    assert load_config(tmp_path).table("audit") == {}


def test_pyproject_without_our_table_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", "[project]\nname = 'x'\n")
    write(tmp_path / ".adr-dir", "doc/records\n")
    assert load_config(tmp_path).directory == (tmp_path / "doc" / "records").resolve()


def test_search_stops_at_the_repository_s_root(tmp_path: Path) -> None:
    write(tmp_path / "adrkit.toml", 'directory = "outer"\n')
    inner = tmp_path / "inner"
    (inner / ".git").mkdir(parents=True)
    (inner / "doc" / "adr").mkdir(parents=True)
    config = load_config(inner)
    assert config.source is None
    assert config.directory == inner.resolve() / "doc" / "adr"


def test_nothing_found_means_docs_adr(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    sub = tmp_path / "src"
    sub.mkdir()
    assert load_config(sub).directory == tmp_path.resolve() / "docs" / "adr"


def test_directory_option_wins_over_the_settings(tmp_path: Path) -> None:
    write(tmp_path / "adrkit.toml", 'directory = "records"\n')
    config = load_config(tmp_path, directory=Path("elsewhere"))
    assert config.directory == tmp_path.resolve() / "elsewhere"
    assert config.root == tmp_path.resolve()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("directory = ", "not valid TOML"),
        ("directory = 3", "must be a non-empty string"),
        ('directory = ""', "must be a non-empty string"),
        ('exclude = "a"', "must be a list of strings"),
        ("lint = 3", "must be a table"),
        ('directroy = "a"', "unknown setting 'directroy'"),
        ('template = "missing.md"', "does not exist"),
    ],
)
def test_malformed_settings_name_file_and_problem(tmp_path: Path, text: str, problem: str) -> None:
    path = write(tmp_path / ".adrkit.toml", text)
    with pytest.raises(ConfigError, match=problem) as caught:
        load_config(tmp_path)
    assert caught.value.path == path.resolve()
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["adrkit.toml", "pyproject.toml", ".adr-dir"])
def test_settings_of_a_gigabyte_are_not_read(tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(10**9)  # sparse: it takes no room
    with pytest.raises(ConfigError, match="larger than"):
        load_config(tmp_path)


def test_settings_not_in_utf8_are_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "adrkit.toml").write_bytes(b'directory = "caf\xe9"\n')
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(tmp_path)
