"""The how-to pages, each followed once in a copy of the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from waybill.formats import ENCODERS
from waybill.jobs.attempts import Cause
from waybill.notify.registry import CHANNELS
from waybill.storage.registry import STORAGES

ROOT = Path(__file__).parents[4]
PAGES = ROOT / "docs" / "howto"
STEP = re.compile(
    r"^(`{3,})(python|replace|sh) (file=(\S+)|run)\n(.*?)^\1$", re.DOTALL | re.MULTILINE
)
CHANGING = sorted(page.name for page in PAGES.glob("add-*.md"))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what a change of waybill touches, with its tests."""
    for name in ("packages/waybill", "packages/adrkit", "pyproject.toml"):
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return tmp_path


def follow(page: str, checkout: Path) -> tuple[list[Path], list[str]]:
    """Do a page's steps; returns the files that were touched, and what the commands printed."""
    touched: list[Path] = []
    printed: list[str] = []
    steps = STEP.findall((PAGES / page).read_text(encoding="utf-8"))
    for _, kind, _, name, text in steps:
        if kind == "sh":
            printed.append(run(text, checkout))
            continue
        path = checkout / name
        touched.append(Path(name))
        if kind == "python":
            assert not path.exists(), f"{page} writes over {name}"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        else:
            old, new = text.split("---\n")
            content = path.read_text(encoding="utf-8")
            old, new = old.removesuffix("\n"), new.removesuffix("\n")
            assert content.count(old) == 1, f"{page}: {old!r} is not there once in {name}"
            path.write_text(content.replace(old, new), encoding="utf-8")
    return touched, printed


def run(command: str, checkout: Path) -> str:
    python = Path(sys.executable).parent
    result = subprocess.run(
        ["sh", "-ec", command],
        cwd=checkout,
        env={
            **os.environ,
            "PATH": f"{python}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(
                str(checkout / "packages" / name / "src") for name in ("waybill", "adrkit")
            ),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_every_changing_page_is_followed() -> None:
    assert CHANGING == [
        "add-a-check-kind.md",
        "add-a-filter-operator.md",
        "add-a-format.md",
        "add-a-lint-rule.md",
        "add-a-notification-channel.md",
        "add-a-storage.md",
    ]
    index = (PAGES / "README.md").read_text(encoding="utf-8")
    assert {page.name for page in PAGES.glob("*.md")} - {"README.md"} == set(
        re.findall(r"\]\(([^)]+)\)", index)
    )


def test_format_touches_its_file_and_the_registry_alone(checkout: Path) -> None:
    touched, (printed,) = follow("add-a-format.md", checkout)
    sources = {path for path in touched if "src" in path.parts}
    assert {path.name for path in sources} == {"tsv.py", "__init__.py"}
    assert {path.parent.name for path in sources} == {"formats"}
    # As many tests as any other format has.
    assert int(re.findall(r"(\d+) passed", printed)[0]) >= 8
    assert "tsv" not in ENCODERS


def test_storage_touches_its_folder_and_the_registry_alone(checkout: Path) -> None:
    touched, (printed,) = follow("add-a-storage.md", checkout)
    sources = {path for path in touched if "src" in path.parts}
    assert {path.parent.name for path in sources} == {"memory", "storage"}
    assert {path.name for path in sources if path.parent.name == "storage"} == {"registry.py"}
    assert int(re.findall(r"(\d+) passed", printed)[0]) >= 25
    assert "memory" not in STORAGES


def test_channel_touches_its_folder_and_the_registry_alone(checkout: Path) -> None:
    touched, (printed,) = follow("add-a-notification-channel.md", checkout)
    sources = {path for path in touched if "src" in path.parts}
    assert {path.parent.name for path in sources} == {"journal", "notify"}
    assert {path.name for path in sources if path.parent.name == "notify"} == {"registry.py"}
    assert int(re.findall(r"(\d+) passed", printed)[0]) == 5
    assert "journal" not in CHANNELS


def test_filter_operator_becomes_qualified_sql(checkout: Path) -> None:
    touched, (printed,) = follow("add-a-filter-operator.md", checkout)
    assert {path.name for path in touched} == {"filter_types.py", "filters.py", "where.py"}
    assert "OPERATOR(pg_catalog.=) '@example.org'" in printed
    assert "pg_catalog.right(" in printed


def test_lint_rule_touches_its_group_and_the_registry_alone(checkout: Path) -> None:
    touched, (printed,) = follow("add-a-lint-rule.md", checkout)
    assert {path.parent.name for path in touched} == {"rules"}
    assert {path.name for path in touched} == {"tone.py", "__init__.py"}
    assert "shouting-title" in printed
    found, clean = printed.split("ends with 1")
    assert "ADR810" in found
    assert "the title shouts" in found
    assert "0 errors, 0 warnings" in clean


def test_check_kind_touches_its_file_and_the_registry_alone(checkout: Path) -> None:
    touched, (printed,) = follow("add-a-check-kind.md", checkout)
    assert {path.parent.name for path in touched} == {"kinds"}
    assert {path.name for path in touched} == {"size.py", "__init__.py"}
    passed, violated = printed.split("1 pass", 1)
    assert "violated" not in passed
    assert "file-size: violated: small.txt has 41 bytes" in violated
    assert "ends with 1" in violated


def test_page_about_failures_explains_every_cause() -> None:
    page = (PAGES / "find-out-why-an-export-failed.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^ +\| `(\w+)` \|", page, re.MULTILINE)) == {c.value for c in Cause}
