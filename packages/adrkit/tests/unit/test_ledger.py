from __future__ import annotations

from pathlib import Path

import pytest

from adrkit.git import Git
from adrkit.ledger import WORK_TREE, NumberLedger
from adrkit.repository import RecordRepository
from adrkit.testing import GitProject, house


def ledger(project: GitProject) -> NumberLedger:
    return NumberLedger(RecordRepository(project.records), Git.find(project.root))


def test_first_number_is_one(project: GitProject) -> None:
    assert ledger(project).next() == 1


def test_deleted_number_is_never_reused(project: GitProject) -> None:
    project.record(1, "one")
    path = project.record(2, "two")
    deleted = project.commit()
    path.unlink()
    project.commit()
    assert ledger(project).next() == 3
    assert any(use.path.endswith("0002-two.md") for use in ledger(project).uses[2])
    assert ledger(project).uses[2][0].where != deleted  # the deletion touched it last


def test_number_lost_in_a_rename_is_never_reused(project: GitProject) -> None:
    project.record(5, "five")
    project.commit()
    project("mv", "docs/adr/0005-five.md", "docs/adr/0002-five.md")
    project.commit()
    assert ledger(project).next() == 6


def test_numbers_of_other_branches_are_taken(project: GitProject) -> None:
    project.record(1, "one")
    project.commit()
    project("checkout", "-q", "-b", "side")
    project.record(2, "side")
    project.commit()
    project("checkout", "-q", "main")
    assert not (project.records / "0002-side.md").exists()
    assert ledger(project).next() == 3


def test_numbers_of_remote_branches_are_taken(project: GitProject, tmp_path: Path) -> None:
    project.record(1, "one")
    project.commit()
    project("checkout", "-q", "-b", "side")
    project.record(4, "side")
    project.commit()
    project("checkout", "-q", "main")
    project("clone", "-q", str(project.root), str(tmp_path / "clone"))
    clone = GitProject(tmp_path / "clone")
    assert ledger(clone).next() == 5


def test_uncommitted_record_counts(project: GitProject) -> None:
    project.record(1, "one")
    project.commit()
    project.record(2, "two")
    assert ledger(project).next() == 3
    assert ledger(project).uses[2][0].where == WORK_TREE


def test_number_added_in_a_merge_commit_counts(project: GitProject) -> None:
    project.record(1, "one")
    project.commit()
    project("checkout", "-q", "-b", "side")
    project.write("x", "x")
    project.commit()
    project("checkout", "-q", "main")
    project.write("y", "y")
    project.commit()
    project("merge", "-q", "--no-commit", "--no-ff", "side")
    path = project.record(7, "evil-merge")
    project.commit("merge")
    path.unlink()
    project.commit()
    assert ledger(project).next() == 8


def test_detached_head_sees_its_own_history_too(project: GitProject) -> None:
    project.record(1, "one")
    project.commit()
    project("checkout", "-q", "--detach")
    project.record(9, "nine").unlink()
    path = project.record(9, "nine")
    project.commit()
    path.unlink()
    project.commit()
    assert ledger(project).next() == 10


def test_records_in_other_directories_do_not_count(project: GitProject) -> None:
    project.write("elsewhere/0040-x.md", "# x\n")
    project.record(1, "one")
    project.commit()
    assert ledger(project).next() == 2


@pytest.mark.parametrize("place", ["docs/adr", "."])
def test_what_is_excluded_does_not_count_on_other_branches_either(
    project: GitProject, place: str
) -> None:
    project.write(f"{place}/0001-one.md", house(1))
    project.commit()
    project("checkout", "-q", "-b", "side")
    project.write(f"{place}/old/0040-x.md", house(40))
    project.commit()
    project("checkout", "-q", "main")
    repository = RecordRepository(project.root / place, exclude=("old/*",))
    assert NumberLedger(repository, Git.find(project.root)).next() == 2


def test_shallow_clone_is_named_as_a_caveat(project: GitProject, tmp_path: Path) -> None:
    project.record(1, "one")
    project.commit()
    project.commit()
    project("clone", "-q", "--depth", "1", f"file://{project.root}", str(tmp_path / "clone"))
    found = ledger(GitProject(tmp_path / "clone"))
    assert found.next() == 2
    assert found.caveat is not None
    assert "shallow" in found.caveat


def test_without_git_the_work_tree_alone_counts_and_the_ledger_says_so(tmp_path: Path) -> None:
    (tmp_path / "0003-a.md").write_text("# T\n")
    found = NumberLedger(RecordRepository(tmp_path), None)
    assert found.next() == 4
    assert found.caveat is not None
    assert "no git repository" in found.caveat


def two_branches_with_number_two(project: GitProject) -> None:
    project.record(1, "one")
    project.commit()
    project("checkout", "-q", "-b", "theirs")
    project.record(2, "theirs")
    project.commit()
    project("checkout", "-q", "main")
    project.record(2, "ours")
    project.commit()


def test_two_branches_with_one_number_collide_before_the_merge(project: GitProject) -> None:
    two_branches_with_number_two(project)
    (collision,) = ledger(project).collisions()
    assert (collision.number, collision.branch, collision.other_branch) == (2, "main", "theirs")
    assert collision.path == "docs/adr/0002-ours.md"
    assert collision.other == "docs/adr/0002-theirs.md"


def test_collision_is_in_one_tree_after_the_merge(project: GitProject) -> None:
    two_branches_with_number_two(project)
    project("merge", "-q", "theirs")
    collisions = ledger(project).collisions()
    assert [(c.number, c.other_branch) for c in collisions] == [(2, None)]


def test_record_renamed_on_another_branch_is_no_collision(project: GitProject) -> None:
    project.record(1, "one")
    project.commit()
    project("checkout", "-q", "-b", "side")
    project("mv", "docs/adr/0001-one.md", "docs/adr/0001-uno.md")
    project.commit()
    assert ledger(project).collisions() == ()
    project("checkout", "-q", "main")
    assert ledger(project).collisions() == ()


def test_same_record_on_all_branches_is_no_collision(project: GitProject) -> None:
    project.record(1, "one")
    project.commit()
    project("branch", "side")
    project.commit()
    assert ledger(project).collisions() == ()
