"""Trees that no `git add` makes: a review writes and reads nothing outside of its directory."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from adrkit.confine import confined
from adrkit.errors import PathOutside, UnusableTree
from adrkit.git import Git
from adrkit.review.snapshot import Entry, Tree, write_files
from adrkit.testing import GitProject


def raw_tree(project: GitProject, *entries: tuple[str, str, str]) -> str:
    """A tree of (mode, name, content), or of another tree's id, as no `git add` would make it."""
    raw = b""
    for mode, name, content in entries:
        blob = content
        if mode != FOLDER:
            project.write("../content", content)
            blob = project("hash-object", "-w", str(project.root.parent / "content")).strip()
        raw += f"{mode} {name}".encode() + b"\0" + bytes.fromhex(blob)
    (project.root.parent / "raw").write_bytes(raw)
    made = project(
        "hash-object", "-t", "tree", "-w", "--literally", str(project.root.parent / "raw")
    )
    return made.strip()


def written(project: GitProject, tree: str) -> Path:
    commit = project("commit-tree", tree, "-m", "made by hand").strip()
    return Tree(Git(project.root), commit, project.root.parent / "snapshot").top


LINK, FILE, FOLDER = "120000", "100644", "40000"


@pytest.mark.parametrize(
    ("twice", "reason"),
    [
        ([(LINK, "L", "over/there"), (FILE, "L", "evil")], "it is there twice"),
        ([(FILE, "L", "evil"), (FILE, "L", "evil")], "it is there twice"),
        ([(LINK, "L", "over"), (FOLDER, "L", "f")], "it is a file or link, and a directory too"),
        ([(FILE, "L", "over"), (FOLDER, "L", "f")], "it is a file or link, and a directory too"),
        ([(FILE, "x" * 300, "a")], "File name too long"),
    ],
)
def test_tree_that_no_directory_can_hold_is_one_sentence(
    project: GitProject, tmp_path: Path, twice: list[tuple[str, str, str]], reason: str
) -> None:
    inner = raw_tree(project, (FILE, "f", "evil"))
    entries = [(mode, name, inner if mode == FOLDER else text) for mode, name, text in twice]
    with pytest.raises(UnusableTree) as refused:
        written(project, raw_tree(project, *entries))
    assert refused.value.reason == reason
    assert refused.value.path == entries[0][1]


def test_links_of_a_tree_lead_to_its_own_files_or_are_not_there(
    project: GitProject, tmp_path: Path
) -> None:
    """Followed with the tree's own links, not word by word: `deep/up/..` is not `deep`."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    depth = "/".join("abcdefgh")
    project.write(f"{depth}/file", "mine")
    project.write(".adr-tree/file", "mine")
    links = {
        # Of the next two the target leads through the first: by its words it stays inside.
        f"{depth}/up": "../" * 8 + ".adr-tree",
        f"{depth}/out": "up/" + "../" * 3 + "outside/secret",
        f"{depth}/folder": "up/../../../outside",
        "absolute": str(outside / "secret"), "above": "../outside/secret", "top": ".",
        "git": ".git/config", "by-git": "a/../.git/HEAD", "nothing": "not-there",
        "circle-1": "circle-2", "circle-2": "circle-1", "through": "a/b/x/c",
        "file-as-folder": f"{depth}/file/..", "slash": f"{depth}/file/",
        "long": "./" * 2_047 + "a", "empty-way": "a//./b/",
        "chain": "one", "one": f"{depth}/up/file",
    }  # fmt: skip
    for name, target in links.items():
        (project.root / name).symlink_to(target)
    commit = project.commit()
    top = Tree(Git(project.root), commit, tmp_path / "snapshot").top
    made = {path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_symlink()}
    assert made == {f"{depth}/up", "long", "empty-way", "chain", "one"}
    assert all((top / name).resolve().is_relative_to(top) for name in made)
    assert (top / "chain").read_text() == (top / f"{depth}/up/file").read_text() == "mine"
    assert (top / "empty-way").resolve() == top / "a/b"


def test_nothing_is_written_through_a_link_that_is_there_already(
    project: GitProject, tmp_path: Path
) -> None:
    """As on a disk where `L` and `l` are one name: what is there is not written over."""
    project.write("L/f", "evil")
    commit = project.commit()
    top = tmp_path / "snapshot"
    top.mkdir()
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "f").write_text("mine")
    git, entry = (
        Git(project.root),
        Entry(FILE, project("rev-parse", f"{commit}:L/f").strip(), 4, "L"),
    )
    (top / "L").symlink_to(victim / "f")
    with pytest.raises(FileExistsError):
        write_files(git, [entry], frozenset(), top)
    (top / "L").unlink()
    (top / "L").symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_files(git, [replace(entry, path="L/f")], frozenset({"L"}), top)
    assert (victim / "f").read_text() == "mine"


LOOK_ALIKES = (
    ".git", ".GIT", "git~1", "GIT~1", ".g\u200cit", ".\ufeffGi\u206et", ".git::$INDEX_ALLOCATION",
    ".git:x", ".git. .", ".git ", "git~1.", ".git\\hooks",
)  # fmt: skip


def test_what_any_file_system_takes_for_git_s_own_is_neither_made_nor_written(
    project: GitProject,
) -> None:
    inner = raw_tree(project, (FILE, "config", "evil"))
    trees = {name: raw_tree(project, (FOLDER, name, inner)) for name in LOOK_ALIKES}
    trees[".gitmodules"] = raw_tree(project, (LINK, ".gitmodules", "x"))
    for name, tree in trees.items():
        with pytest.raises(UnusableTree) as refused:
            written(project, tree)
        assert refused.value.path in (name, f"{name}/config")
        made = project.root.parent / "snapshot"
        assert [path.name for path in made.glob("*")] in ([], [".git"])  # the snapshot's own
        shutil.rmtree(made, ignore_errors=True)
    for name in LOOK_ALIKES:
        with pytest.raises(PathOutside):
            confined(project.root / "docs" / name / "config", project.root)


def test_names_that_only_begin_like_git_s_own_are_files(project: GitProject) -> None:
    names = (".git~1", ".gitea", ".github", ".gitignore", "git", "git~2", "x.git")
    top = written(project, raw_tree(project, *((FILE, name, "mine") for name in names)))
    assert {path.name for path in top.iterdir() if path.is_file()} == set(names)
    assert confined(project.root / ".github/x", project.root) == project.root / ".github/x"
