"""What the site of the documents is made of, before the generator sees it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[4]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, with a repository of the test's own."""
    spec = importlib.util.spec_from_file_location("site_build", ROOT / "site" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "PAGES", tmp_path / "build")
    return module


def test_links_out_of_the_documents_lead_to_what_is_staged_beside_them(
    build: ModuleType, tmp_path: Path
) -> None:
    files = {
        "docs/a.md": "[b](howto/b.md#x) [s](../SECURITY.md) [d](../deploy) [gone](../gone.md)\n"
        "`[code](../SECURITY.md)`\n```sh run\n[code](../SECURITY.md)\n```\n[e](https://e.example)\n",
        "docs/howto/b.md": "[home](../a.md)\n",
        "SECURITY.md": "[a](docs/a.md)\n",
        "deploy/web.conf": "x\n",
        "deploy/.hidden": "y\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    stage = build.Stage()
    stage.add(tmp_path / "docs" / "a.md")
    stage.write()
    pages = tmp_path / "build"
    assert (pages / "a.md").read_text() == (
        "[b](howto/b.md#x) [s](repository/SECURITY.md) [d](repository/deploy/index.md) "
        "[gone](../gone.md)\n`[code](../SECURITY.md)`\n```sh\n[code](../SECURITY.md)\n```\n"
        "[e](https://e.example)\n"
    )
    assert (pages / "repository/SECURITY.md").read_text() == "[a](../a.md)\n"
    assert (pages / "howto/b.md").read_text() == "[home](../a.md)\n"
    assert "(web.conf)" in (pages / "repository/deploy/index.md").read_text()
    assert sorted(p.name for p in (pages / "repository/deploy").iterdir()) == [
        "index.md",
        "web.conf",
    ]


@pytest.mark.parametrize(
    ("html", "is_foreign"),
    [
        ('<script src="https://unpkg.com/x.js"></script>', True),
        ("<script src=https://unpkg.com/x.js></script>", True),
        ('<link rel="stylesheet" href="https://fonts.example/css">', True),
        ('<img alt="x" src="http://shields.example/x.svg">', True),
        ('<script src="assets/x.js"></script>', False),
        ('<link rel="stylesheet" href="../assets/x.css">', False),
        ('<a href="https://www.postgresql.org">PostgreSQL</a>', False),
    ],
)
def test_what_would_be_loaded_from_elsewhere_is_found(
    build: ModuleType, tmp_path: Path, html: str, is_foreign: bool
) -> None:
    (tmp_path / "index.html").write_text(f"<html>{html}</html>")
    assert bool(build.foreign_of(tmp_path)) is is_foreign


def test_star_stands_for_what_has_no_other_place(build: ModuleType, tmp_path: Path) -> None:
    for name in ("a.md", "adr/README.md", "adr/2.md", "adr/1.md"):
        (tmp_path / "build" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "build" / name).touch()
    nav = ["a.md", {"Decisions": ["adr/README.md", "adr/*"]}]
    assert build.ordered(nav, build.named(nav)) == [
        "a.md",
        {"Decisions": ["adr/README.md", "adr/1.md", "adr/2.md"]},
    ]
