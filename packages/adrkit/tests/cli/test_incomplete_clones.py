"""Clones without all of their history, with a remote that is away: what was not looked at is said.

Nothing ends in exit code 2 for a partial clone alone, and nothing is claimed of what is not there.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adrkit.cli.commands import app
from adrkit.testing import GitProject, house


def adr(project: GitProject, *arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["-C", str(project.root), *arguments])
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def origin(project: GitProject) -> GitProject:
    """Number 3 was given and removed, number 2 rewritten on main; `work` adds number 5."""
    for number in (1, 2, 3, 4):
        project.record(number, f"of-{number}")
    project.write("src/app.py", "X = 1\n")
    project.commit()
    (project.records / "0003-of-3.md").unlink()
    project.commit()
    project.write("docs/adr/0002-of-2.md", house(2, "Of 2").replace("all of it", "some of it"))
    project.commit()
    project("checkout", "-q", "-b", "work")
    project.record(5, "of-5")
    project.commit()
    project("checkout", "-q", "main")
    project.write("src/app.py", "X = 2\n")
    project.commit()
    project("config", "uploadpack.allowFilter", "true")
    return project


def cloned(origin: GitProject, to: Path, *options: str, branch: str = "main") -> GitProject:
    origin("clone", "-q", "-b", branch, *options, f"file://{origin.root}", str(to))
    clone = GitProject(to)
    clone("remote", "set-url", "origin", f"file://{to}/away")
    return clone


def test_whole_clone_is_the_measure(origin: GitProject, tmp_path: Path) -> None:
    clone = cloned(origin, tmp_path / "clone")
    assert adr(clone, "ledger")[1:] == (adr(origin, "ledger")[1], "")
    code, out, err = adr(clone, "audit", "--history")
    assert (code, err) == (1, "")
    assert "ADR-0002" in out
    assert "record-deleted" in out
    assert "was never given" not in adr(clone, "lint")[1]


@pytest.mark.parametrize("command", ["ledger", "new X", "number --dry-run"])
def test_numbers_that_may_be_missing_are_said(
    origin: GitProject, tmp_path: Path, command: str
) -> None:
    clone = cloned(origin, tmp_path / "clone", "--filter=tree:0")
    code, _, err = adr(clone, *command.split())
    assert (code, "warning: partial clone: numbers" in err) == (0, True), err


def test_ledger_of_a_partial_clone_counts_what_is_there(origin: GitProject, tmp_path: Path) -> None:
    trees = cloned(origin, tmp_path / "trees", "--filter=blob:none")
    assert adr(trees, "ledger") == (0, adr(origin, "ledger")[1], "")
    code, out, err = adr(cloned(origin, tmp_path / "none", "--filter=tree:0"), "ledger", "--remote")
    assert (code, "next: 0005" in out) == (0, True)
    assert "warning: remote 'origin' could not be read" in err


@pytest.mark.parametrize("options", [("--depth=1",), ("--filter=tree:0",)])
def test_lint_claims_no_gap_where_the_history_is_not_there(
    origin: GitProject, tmp_path: Path, options: tuple[str, ...]
) -> None:
    clone = cloned(origin, tmp_path / "clone", *options)
    code, out, _ = adr(clone, "lint", "--select", "ADR107,ADR108")
    assert (code, "was never given" in out) == (0, False), out


def test_lint_knows_a_gap_where_the_trees_are_there(origin: GitProject, tmp_path: Path) -> None:
    clone = cloned(origin, tmp_path / "clone", "--filter=blob:none")
    clone.record(9, "of-9")
    out = adr(clone, "lint", "--select", "ADR108")[1]
    assert "0006 to 0008 was never given" in out
    assert "0003" not in out


@pytest.mark.parametrize("branch", ["main", "work"])
def test_audit_without_trees_says_that_nothing_was_audited(
    origin: GitProject, tmp_path: Path, branch: str
) -> None:
    clone = cloned(origin, tmp_path / "clone", "--filter=tree:0", branch=branch)
    clone.write("docs/adr/0001-of-1.md", house(1, "Of 1").replace("all of it", "none of it"))
    code, out, err = adr(clone, "audit")
    assert ("decided records" in out, "0 findings" in out) == (branch == "main", False)
    assert (code, "audited only in part" in err) == ((1, True) if branch == "main" else (0, False))
    assert ("NOT AUDITED" in err) == (branch == "work")
    assert "git fetch --refetch --no-filter" in err


def test_audit_without_contents_says_what_it_left_out(origin: GitProject, tmp_path: Path) -> None:
    clone = cloned(origin, tmp_path / "clone", "--filter=blob:none")
    code, out, err = adr(clone, "audit")
    assert (code, "0 findings" in out, "along" in out) == (0, True, False)
    assert "warning: audited only in part" in err
    found = json.loads(adr(clone, "audit", "--format", "json")[1])
    assert found["incomplete"]
    assert len(found["audits"]) == 1


def test_audit_and_review_of_a_shallow_clone_name_the_command_that_mends_it(
    origin: GitProject, tmp_path: Path
) -> None:
    clone = cloned(origin, tmp_path / "clone", "--depth=1", "--no-single-branch", branch="work")
    for command in ("audit", "review"):
        code, out, err = adr(clone, command)
        assert (code, out, "git fetch --unshallow" in err) == (2, "", True)


@pytest.mark.parametrize(("filter", "reviewed"), [("tree:0", False), ("blob:none", True)])
def test_review_of_a_partial_clone_reviews_or_says_that_it_did_not(
    origin: GitProject, tmp_path: Path, filter: str, reviewed: bool
) -> None:
    clone = cloned(origin, tmp_path / "clone", f"--filter={filter}", branch="work")
    code, out, err = adr(clone, "review")
    assert (code, "0 errors" in out) == (0, reviewed)
    assert ("NOT REVIEWED" in err) != reviewed


def test_commands_that_need_no_history_need_no_whole_clone(
    origin: GitProject, tmp_path: Path
) -> None:
    clone = cloned(origin, tmp_path / "clone", "--filter=tree:0")
    for command in ("list", "show 1", "check", "why src/app.py", "graph", "search Of", "coverage"):
        code, _, err = adr(clone, *command.split())
        assert (code, "error" in err) == (0, False), (command, err)


@pytest.mark.parametrize("filter", ["tree:0", "blob:none"])
def test_import_in_a_partial_clone_dates_what_it_can_and_says_what_it_cannot(
    origin: GitProject, tmp_path: Path, filter: str
) -> None:
    """Whole records are written; where the history tells no day, none is made up."""
    old = "# 7. Use Old\n\n## Status\n\nAccepted\n\n## Context\n\nC.\n\n## Decision\n\nUse it.\n"
    origin.write("old/0007-use-old.md", old)
    origin.commit()
    day = origin("log", "-1", "--format=%as").strip()
    clone = cloned(origin, tmp_path / "clone", f"--filter={filter}")
    code, _, err = adr(clone, "import", "old", "-o", "docs/imported")
    (path,) = (clone.root / "docs/imported").iterdir()
    text = path.read_text()
    assert (code, "Use it." in text, "Accepted" in text) == (0, True, True)
    known = filter == "blob:none"  # its trees are there
    assert (f"**Date:** {day}" in text, "the history tells no dates" in err) == (known, not known)
    assert "2026" not in text.replace(day, "")
