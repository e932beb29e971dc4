"""Fifty people at once: drafts in worktrees of their own, merged in random order."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adrkit.cli.commands import app
from adrkit.repository import RecordRepository
from adrkit.testing import GitProject, house

BRANCHES = 50
SEED = 2026


def adr(root: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["-C", str(root), *arguments])
    assert result.exit_code == 0, (arguments, result.stdout, result.stderr, result.exception)
    return result.stdout


def draft_in_worktree(project: GitProject, tree: Path, at: int, label_of: dict[int, str]) -> None:
    """Branch ``at`` writes a draft and cites it; every seventh builds on the branch before it."""
    start = f"b{at - 1}" if at % 7 == 6 else "main"
    project("worktree", "add", "-q", "-b", f"b{at}", str(tree), start)
    # Titles repeat: names must differ all the same.
    said = adr(tree, "new", f"Use Store {at % 5}", "--draft", "--status", "Accepted")
    label = re.search(r"cite it as (\S+);", said)
    assert label is not None
    label_of[at] = label.group(1)
    stem = label.group(1).removeprefix("ADR-")
    other = label_of[at - 1] if start != "main" else "ADR-0001"
    work = GitProject(tree)
    code = f"# {label.group(1)}: stores; see {other}\nX = 'docs/adr/{stem}.md'\n"
    work.write(f"src/m{at}.py", code)
    work.write(f"docs/notes-{at}.md", f"We follow [{label.group(1)}](adr/{stem}.md#decision).\n")
    work.commit(f"branch {at}")


@pytest.mark.slow
def test_fifty_worktrees_merged_in_random_order_collide_nowhere(
    tmp_path: Path, project: GitProject
) -> None:
    project.write("docs/adr/0001-use-queues.md", house(1))
    project.write("docs/adr/README.md", "# Records\n\n")
    adr(project.root, "index", "--add-markers")
    project.commit("start")
    labels: dict[int, str] = {}
    for at in range(BRANCHES):
        draft_in_worktree(project, tmp_path / f"tree-{at}", at, labels)
    assert len(set(labels.values())) == BRANCHES
    order = list(range(BRANCHES))
    random.Random(SEED).shuffle(order)  # noqa: S311 - an order, no secret
    for at in order:
        project("merge", "-q", "--no-ff", "--no-edit", f"b{at}")
        adr(project.root, "number", "--commit", "--on-default-branch")
        assert project("status", "--porcelain") == ""
    repository = RecordRepository(project.records)
    numbers = [record.number for record in repository.list()]
    assert numbers == list(range(1, BRANCHES + 2))
    assert repository.duplicates() == {}
    for path in project.root.rglob("*"):
        if path.is_file() and ".git" not in path.parts:
            text = path.read_text()
            assert "ADR-draft-" not in text, path
            assert not re.search(r"draft-use-store", text), path
    for record in repository.list()[1:]:
        assert record.path is not None
        assert record.title_number == record.number
        key = re.search(r"adr-draft: (\w+)", record.document.text)
        assert key is not None
        (at,) = [at for at, label in labels.items() if label.endswith(key.group(1))]
        code = (project.root / f"src/m{at}.py").read_text()
        assert code.startswith(f"# {record.label}: stores")
        assert f"X = 'docs/adr/{record.path.name}'" in code
        note = (project.root / f"docs/notes-{at}.md").read_text()
        assert note == f"We follow [{record.label}](adr/{record.path.name}#decision).\n"
    assert adr(project.root, "index", "--check").strip().endswith(f"{BRANCHES + 1} records")
    adr(project.root, "check")
    adr(project.root, "audit", "--history")
    adr(project.root, "ledger")
