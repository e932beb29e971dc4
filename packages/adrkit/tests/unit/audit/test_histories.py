"""Audits of real git repositories."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adrkit import lifecycle
from adrkit.audit import (
    AuditFinding,
    AuditSettings,
    audit_history,
    audit_work_tree,
    default_branch,
    find_base,
)
from adrkit.cli.commands import app
from adrkit.config import load_config
from adrkit.errors import DefaultBranchUnknown, ShallowClone, UnknownRevision, UnrelatedHistories
from adrkit.git import Git
from adrkit.repository import RecordRepository
from adrkit.testing import GitProject, house

AMENDMENT = "\n> **Amended 2026-02-01:** a typing mistake\n"


@pytest.fixture
def decided(project: GitProject) -> GitProject:
    """Two records on main, the second still Proposed; the work tree is on a branch."""
    project.record(1, "use-queues")
    project.record(2, "use-caches", "Proposed")
    project.commit()
    project("switch", "-qc", "change")
    return project


def work_tree(project: GitProject, base: str | None = None) -> list[tuple[str, str]]:
    return [(item.rule, item.path) for item in work_tree_findings(project, base)]


def work_tree_findings(project: GitProject, base: str | None = None) -> list[AuditFinding]:
    config = load_config(project.root)
    git = Git.discover(project.root)
    found = find_base(git, AuditSettings.of(config), base)
    assert found is not None
    return list(audit_work_tree(RecordRepository.of(config), git, found).findings)


def history(project: GitProject, tip: str = "main", since: str | None = None) -> list[str]:
    config = load_config(project.root)
    report = audit_history(
        RecordRepository.of(config), Git.discover(project.root), tip, since=since
    )
    return [item.rule for item in report.findings]


def edit(project: GitProject, name: str, before: str, after: str) -> None:
    path = project.records / name
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


FIRST, SECOND = "0001-use-queues.md", "0002-use-caches.md"


# --- the work tree --------------------------------------------------------------------------


def test_decided_record_changed_on_disk_or_in_commits_is_found(decided: GitProject) -> None:
    edit(decided, FIRST, "for all of it", "for some of it")
    assert work_tree(decided) == [("content-changed", f"docs/adr/{FIRST}")]  # dirty
    decided.commit()
    assert work_tree(decided) == [("content-changed", f"docs/adr/{FIRST}")]
    edit(decided, FIRST, "for some of it", "for all of it")
    assert work_tree(decided) == []  # restored, even if not committed yet


def test_proposed_record_is_free_and_may_be_accepted_renamed_or_withdrawn(
    decided: GitProject,
) -> None:
    edit(decided, SECOND, "for all of it", "for some of it")
    edit(decided, SECOND, "Proposed", "Accepted")
    assert work_tree(decided) == []
    (decided.records / SECOND).rename(decided.records / "0002-use-other-caches.md")
    assert work_tree(decided) == []
    (decided.records / "0002-use-other-caches.md").unlink()
    assert work_tree(decided) == []


def test_record_accepted_in_the_same_range_as_it_was_made_may_change_until_merged(
    decided: GitProject,
) -> None:
    decided.record(3, "use-bells")
    decided.commit()
    edit(decided, "0003-use-bells.md", "for all of it", "for some of it")
    decided.commit()
    assert work_tree(decided) == []


def test_amended_record_passes(decided: GitProject) -> None:
    edit(decided, FIRST, "for all of it.", f"for some of it.\n{AMENDMENT}")
    assert work_tree(decided) == []


def test_what_lint_mends_is_form_and_passes(decided: GitProject) -> None:
    text = (decided.records / FIRST).read_text()
    for before, after in (
        ("# ADR-0001:", "# ADR-1:"),
        ("2026-01-31", "2026/01/31"),
        ("✅ **Chosen**", "**Chosen**"),
        ("## Related", "#### Related"),
        ("**Status:** Accepted", "**Status:** accepted"),
    ):
        assert before in text
        text = text.replace(before, after)
    decided("switch", "-q", "main")
    (decided.records / FIRST).write_text(text)
    decided.commit()
    decided("switch", "-qc", "mend")
    assert CliRunner().invoke(app, ["-C", str(decided.root), "lint", "--fix"]).exit_code in (0, 1)
    mended = (decided.records / FIRST).read_text()
    assert mended != text
    assert "# ADR-0001:" in mended
    assert work_tree(decided) == []
    edit(decided, FIRST, "2026-01-31", "2026-02-28")  # another day is another fact
    assert work_tree(decided) == [("content-changed", f"docs/adr/{FIRST}")]


def test_supersession_by_the_tool_passes(decided: GitProject) -> None:
    repository = RecordRepository(decided.records)
    lifecycle.accept(repository, repository.get(2), reason="it works")
    repository = RecordRepository(decided.records)
    lifecycle.supersede(repository, repository.get(1), repository.get(2), reason="faster")
    assert work_tree(decided) == []


def test_deleted_and_renamed_records_are_found(decided: GitProject) -> None:
    (decided.records / FIRST).rename(decided.records / "0001-use-doorbells.md")
    (found,) = work_tree_findings(decided)
    assert found.rule == "record-renamed"
    assert "became docs/adr/0001-use-doorbells.md" in found.message
    (decided.records / "0001-use-doorbells.md").rename(decided.records / "0009-use-queues.md")
    assert work_tree(decided) == [("record-renamed", f"docs/adr/{FIRST}")]
    (decided.records / "0009-use-queues.md").unlink()
    assert work_tree(decided) == [("record-deleted", f"docs/adr/{FIRST}")]


def test_records_directory_may_move_but_not_lose_or_change_a_record(decided: GitProject) -> None:
    decided("mv", "docs/adr", "docs/decisions")
    assert work_tree(decided) == []
    path = decided.root / "docs" / "decisions" / FIRST
    path.write_text(path.read_text().replace("for all", "for some"))
    assert work_tree(decided) == [("content-changed", f"docs/decisions/{FIRST}")]


def test_number_given_twice_is_found(decided: GitProject) -> None:
    other = house(1, "Something Else").replace("Known", "Odd").replace("all of it", "x")
    decided.write("docs/adr/0001-other.md", other)
    assert work_tree(decided) == [("number-reused", "docs/adr/0001-other.md")]
    (decided.records / FIRST).unlink()
    text = "# ADR-0001: New\n\n**Status:** Accepted\n\n## Decision\n\nSomething else.\n"
    decided.write("docs/adr/0001-other.md", text)
    assert work_tree(decided) == [
        ("record-deleted", f"docs/adr/{FIRST}"),
        ("number-reused", "docs/adr/0001-other.md"),
    ]


def test_number_of_a_record_deleted_long_ago_is_found(decided: GitProject) -> None:
    decided("switch", "-q", "main")
    decided("rm", "-q", f"docs/adr/{SECOND}")
    decided.commit()
    decided("switch", "-qc", "later")
    decided.record(2, "use-bells")
    (found,) = work_tree_findings(decided)
    assert (found.rule, found.path) == ("number-reused", "docs/adr/0002-use-bells.md")
    assert "deleted since" in found.message


def test_record_that_is_no_longer_utf8_is_found(decided: GitProject) -> None:
    (decided.records / FIRST).write_bytes(b"# ADR-0001: \xff\n\n**Status:** Accepted\n")
    assert work_tree(decided) == [("unreadable", f"docs/adr/{FIRST}")]


def test_base_is_the_merge_base_and_not_the_tip_of_the_branch(decided: GitProject) -> None:
    decided("switch", "-q", "main")
    edit(decided, SECOND, "Proposed", "Accepted")
    decided.commit()
    decided("switch", "-q", "change")
    edit(decided, SECOND, "for all of it", "for some of it")
    assert work_tree(decided) == []  # it was Proposed where this branch began
    edit(decided, FIRST, "for all of it", "for some of it")
    decided.commit()
    assert work_tree(decided, base="HEAD") == []
    with pytest.raises(UnknownRevision):
        work_tree(decided, base="no-such-branch")


def test_audit_works_in_a_work_tree_on_a_detached_head_and_below_the_top(
    decided: GitProject, tmp_path: Path
) -> None:
    decided("worktree", "add", "-q", "--detach", str(tmp_path / "other"), "change")
    other = GitProject.__new__(GitProject)
    other.root, other.records = tmp_path / "other", tmp_path / "other" / "docs" / "adr"
    assert Git.discover(other.root).head().branch is None
    edit(other, FIRST, "for all of it", "for some of it")
    assert work_tree(other) == [("content-changed", f"docs/adr/{FIRST}")]
    assert work_tree(decided) == []


def test_shallow_clone_is_refused_with_the_remedy(decided: GitProject, tmp_path: Path) -> None:
    decided.commit()
    subprocess.run(
        ["git", "clone", "-q", "--depth", "1", f"file://{decided.root}", str(tmp_path / "shallow")],
        check=True,
    )
    git = Git.discover(tmp_path / "shallow")
    with pytest.raises(ShallowClone) as caught:
        find_base(git, AuditSettings(None, None))
    assert "git fetch --unshallow" in caught.value.remedy
    with pytest.raises(ShallowClone):
        audit_history(RecordRepository(tmp_path / "shallow" / "docs" / "adr"), git, "HEAD")


def test_base_before_the_first_commit_is_none_and_unrelated_ones_are_refused(
    project: GitProject,
) -> None:
    git = Git.discover(project.root)
    assert find_base(git, AuditSettings(None, None)) is None
    project.commit()
    project("switch", "-q", "--orphan", "other")
    project.write("x.txt", "")
    project.commit()
    with pytest.raises(UnrelatedHistories):
        find_base(git, AuditSettings(None, None), "main")


def test_default_branch_is_what_origin_says_else_the_usual_names(
    decided: GitProject, tmp_path: Path
) -> None:
    git = Git.discover(decided.root)
    assert default_branch(git, AuditSettings(None, None)) == "main"
    assert default_branch(git, AuditSettings("change", None)) == "change"
    with pytest.raises(UnknownRevision):
        default_branch(git, AuditSettings("gone", None))
    subprocess.run(["git", "clone", "-q", str(decided.root), str(tmp_path / "clone")], check=True)
    clone = Git.discover(tmp_path / "clone")  # origin's HEAD is the branch it stood on
    assert default_branch(clone, AuditSettings(None, None)) == "origin/change"
    decided("branch", "-m", "main", "one")
    with pytest.raises(DefaultBranchUnknown):
        default_branch(git, AuditSettings(None, None))


# --- the whole history ----------------------------------------------------------------------


@pytest.fixture
def on_main(decided: GitProject) -> GitProject:
    decided("switch", "-q", "main")
    return decided


def test_change_in_the_past_is_found_with_its_commit(on_main: GitProject) -> None:
    edit(on_main, FIRST, "for all of it", "for some of it")
    commit = on_main.commit()
    edit(on_main, FIRST, "Known", "Well known")
    on_main.commit()
    config = load_config(on_main.root)
    report = audit_history(RecordRepository.of(config), Git.discover(on_main.root), "main")
    (found,) = report.findings
    assert (found.rule, found.commit) == ("content-changed", commit)
    assert (report.compared, report.commits) == (1, 3)
    assert work_tree(on_main, base="HEAD") == []


def test_change_that_was_taken_back_or_amended_is_mended(on_main: GitProject) -> None:
    edit(on_main, FIRST, "for all of it", "for some of it")
    on_main.commit()
    edit(on_main, FIRST, "for some of it", "for all of it")
    on_main.commit()
    assert history(on_main) == []
    edit(on_main, FIRST, "for all of it", "for some of it")
    on_main.commit()
    assert history(on_main) == ["content-changed"]
    path = on_main.records / FIRST
    path.write_text(path.read_text() + AMENDMENT)
    on_main.commit()
    assert history(on_main) == []
    edit(on_main, FIRST, "for some of it", "for none of it")
    on_main.commit()
    assert history(on_main) == ["content-changed"]


def test_history_cannot_be_got_around_by_proposing_anew(on_main: GitProject) -> None:
    edit(on_main, FIRST, "Accepted", "Proposed")
    on_main.commit()
    assert history(on_main) == ["illegal-move"]
    edit(on_main, FIRST, "for all of it", "for some of it")
    on_main.commit()
    edit(on_main, FIRST, "Proposed", "Accepted")
    on_main.commit()
    assert history(on_main) == ["content-changed"]


def test_deletion_and_renaming_in_the_past_are_found_until_restored(on_main: GitProject) -> None:
    on_main("mv", f"docs/adr/{FIRST}", "docs/adr/0001-use-doorbells.md")
    on_main.commit()
    assert history(on_main) == ["record-renamed"]
    on_main("mv", "docs/adr/0001-use-doorbells.md", f"docs/adr/{FIRST}")
    on_main.commit()
    assert history(on_main) == []
    on_main("rm", "-q", f"docs/adr/{FIRST}")
    on_main.commit()
    assert history(on_main) == ["record-deleted"]
    on_main("revert", "--no-edit", "HEAD")
    assert history(on_main) == []


def test_number_reused_in_the_past_is_found(on_main: GitProject) -> None:
    on_main("rm", "-q", f"docs/adr/{SECOND}")  # it was only Proposed
    on_main.commit()
    assert history(on_main) == []
    on_main.record(2, "use-bells")
    on_main.commit()
    assert history(on_main) == ["number-reused"]
    on_main("mv", "docs/adr/0002-use-bells.md", "docs/adr/0003-use-bells.md")
    on_main.commit()
    assert history(on_main) == ["record-renamed"]  # it was decided under the wrong number


def test_collision_of_two_branches_is_found_and_mended_by_renumbering(
    on_main: GitProject,
) -> None:
    on_main.record(3, "use-bells", "Proposed")
    on_main.commit()
    on_main.record(3, "use-whistles", "Proposed")
    on_main.commit()
    assert history(on_main) == ["number-reused"]
    on_main("mv", "docs/adr/0003-use-whistles.md", "docs/adr/0004-use-whistles.md")
    on_main.commit()
    assert history(on_main) == []


def test_merge_counts_as_one_step(on_main: GitProject) -> None:
    on_main("switch", "-q", "change")
    on_main.record(3, "use-bells")
    on_main.commit()
    edit(on_main, "0003-use-bells.md", "for all of it", "for some of it")
    on_main.commit()
    assert history(on_main, "change") == ["content-changed"]
    on_main("switch", "-q", "main")
    on_main("merge", "-q", "--no-ff", "-m", "merge", "change")
    assert history(on_main) == []


def test_directory_that_moved_keeps_its_history(on_main: GitProject) -> None:
    edit(on_main, FIRST, "for all of it", "for some of it")
    on_main.commit()
    on_main("mv", "docs/adr", "docs/decisions")
    on_main.commit()
    assert history(on_main) == ["content-changed"]


def test_history_may_begin_later(on_main: GitProject) -> None:
    edit(on_main, FIRST, "for all of it", "for some of it")
    since = on_main.commit()
    assert history(on_main, since=since) == []
    edit(on_main, FIRST, "for some of it", "for none of it")
    on_main.commit()
    assert history(on_main, since=since) == ["content-changed"]
