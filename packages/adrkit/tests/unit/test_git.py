from __future__ import annotations

from pathlib import Path

import pytest

from adrkit.errors import (
    GitCommandFailed,
    GitNotFound,
    NotARepository,
    ShallowClone,
    UnknownRevision,
)
from adrkit.git import Git
from adrkit.testing import GitProject


def test_directory_without_repository_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(NotARepository):
        Git.discover(tmp_path)
    assert Git.find(tmp_path) is None


def test_missing_git_is_a_typed_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitNotFound):
        Git.discover(tmp_path)


def test_hook_variables_do_not_redirect_to_another_repository(
    project: GitProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = GitProject(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other.root / ".git"))
    assert Git.discover(project.root).root == project.root


def test_head_of_empty_branch_and_detached_repositories(project: GitProject) -> None:
    git = Git(project.root)
    assert (git.head().commit, git.head().branch) == (None, "main")
    first = project.commit()
    assert (git.head().commit, git.head().branch) == (first, "main")
    project("checkout", "-q", "--detach")
    assert (git.head().commit, git.head().branch) == (first, None)


def test_odd_file_names_survive(project: GitProject) -> None:
    names = ["with space.md", 'quo"te.md', "tab\tname.md", "new\nline.md", "ümlaut.md"]
    for name in names:
        project.write(name, name)
    project.commit()
    git = Git(project.root)
    assert sorted(git.files_at("HEAD")) == sorted(names)
    assert {change.path for change in git.changes()} == set(names)
    contents = git.read([f"HEAD:{name}" for name in names])
    assert contents == {f"HEAD:{name}": name.encode() for name in names}


def test_read_gives_none_for_absent_paths_and_directories(project: GitProject) -> None:
    project.write("docs/a.md", "a\n")
    project.commit()
    found = Git(project.root).read(["HEAD:docs/a.md", "HEAD:no.md", "HEAD:docs"])
    assert found == {"HEAD:docs/a.md": b"a\n", "HEAD:no.md": None, "HEAD:docs": None}


def test_merge_base_and_unrelated_histories(project: GitProject) -> None:
    base = project.commit()
    project("checkout", "-q", "-b", "side")
    project.commit()
    project("checkout", "-q", "--orphan", "lonely")
    project.commit("another root")
    git = Git(project.root)
    assert git.merge_base("main", "side") == base
    assert git.merge_base("main", "lonely") is None
    with pytest.raises(UnknownRevision):
        git.merge_base("main", "no-such-branch")


def test_option_like_revision_is_unknown_and_not_an_option(project: GitProject) -> None:
    project.commit()
    with pytest.raises(UnknownRevision):
        Git(project.root).resolve("--all")


def test_shallow_clone_is_known_and_refused_where_history_counts(
    project: GitProject, tmp_path: Path
) -> None:
    project.commit()
    project.commit()
    project("clone", "-q", "--depth", "1", f"file://{project.root}", str(tmp_path / "clone"))
    git = Git.discover(tmp_path / "clone")
    assert git.is_shallow
    with pytest.raises(ShallowClone, match="shallow"):
        git.require_history()


def test_refs_list_local_and_remote_branches_without_symbolic_ones(
    project: GitProject, tmp_path: Path
) -> None:
    commit = project.commit()
    project("branch", "side")
    project("clone", "-q", str(project.root), str(tmp_path / "clone"))
    refs = Git(tmp_path / "clone").refs()
    assert [(ref.short, ref.commit) for ref in refs] == [
        ("main", commit), ("origin/main", commit), ("origin/side", commit),
    ]  # fmt: skip


def test_failed_command_carries_its_arguments_and_output(project: GitProject) -> None:
    with pytest.raises(GitCommandFailed) as caught:
        Git(project.root).run("cat-file", "blob", "nothing")
    assert caught.value.command[0] == "cat-file"
    assert caught.value.exit_code == 128
    assert "nothing" in caught.value.stderr


def test_first_day_of_a_file_is_that_of_its_first_name(project: GitProject) -> None:
    git = Git(project.root)
    assert git.first_days() == {}
    project.write("a.md", "one\n" * 9)
    project("add", "-A")
    project("commit", "-q", "-m", "first", "--date", "2020-01-02T12:00:00")
    project("mv", "a.md", "b.md")
    project("commit", "-q", "-m", "move", "--date", "2021-01-02T12:00:00")
    project.write("c.md", "two\n" * 9)
    project("add", "-A")
    project("commit", "-q", "-m", "more", "--date", "2022-01-02T12:00:00")
    days = git.first_days()
    assert (days["b.md"], days["c.md"]) == ("2020-01-02", "2022-01-02")


def test_clone_without_contents_and_with_a_dead_remote_neither_asks_nor_hangs(
    project: GitProject, tmp_path: Path
) -> None:
    project.write("a.md", "one\n" * 9)
    project.commit()
    project("mv", "a.md", "b.md")
    project.commit()
    project("config", "uploadpack.allowFilter", "true")
    clone = tmp_path / "clone"
    project(
        "clone", "-q", "--filter=blob:none", "--no-checkout", f"file://{project.root}", str(clone)
    )
    project("-C", str(clone), "remote", "set-url", "origin", "https://203.0.113.1/dead.git")
    git = Git(clone)
    assert git.is_partial
    assert [change.path for change in git.moves(100) if change.status == "R"] == ["b.md"]
    assert set(git.first_days()) == {"a.md", "b.md"}
    with pytest.raises(GitCommandFailed):
        git.run("cat-file", "blob", "HEAD:b.md")  # it would have to be fetched
