"""adr hooks, merge-index"""

from __future__ import annotations

import os
import re
import shlex
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from adrkit.cli.app import EXIT_FINDINGS, Workspace, app, say, workspace
from adrkit.errors import GitCommandFailed, InvalidInput, PathOutside, WriteFailed
from adrkit.git import Git
from adrkit.merging import merge_index

_MARK = "# Written by `adr hooks`."
_ATTRIBUTES_MARK = "# Written by `adr hooks`: the table of records is made anew, never merged."
_DRIVER = "adr-index"


@app.command()
def hooks(
    ctx: typer.Context,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take out what an earlier run put in.")
    ] = False,
    show: Annotated[
        bool, typer.Option("--print", help="Print the hook and the settings, write nothing.")
    ] = False,
) -> None:
    """Let local merges number drafts and mend the table of records.

    Writes into the clone's own git directory, where nothing is shared: the hook post-merge, which
    runs `adr number --commit` on the default branch, and the merge driver of the file that holds
    the table. A hook of yours is never overwritten. For merges on a code host see the action.

    Example: adr hooks
    """
    space = workspace(ctx)
    git = Git.discover(space.config.root)
    hook = _hook_text()
    table = _table_file(space, git)
    driver = f"{_program()} merge-index %O %A %B"
    if show:
        say(hook)
        say(f"git config merge.{_DRIVER}.driver {shlex.quote(driver)}")
        say(f"{table} merge={_DRIVER}")
        return
    path = _inside(git, "hooks/post-merge")
    attributes = _inside(git, "info/attributes")
    _inside(git, "config")  # which git writes itself, through whatever link
    if path.exists() and _MARK not in path.read_text(encoding="utf-8", errors="replace"):
        raise InvalidInput(
            "hook", str(path), remedy="it is yours: add the lines of `adr hooks --print` to it"
        )
    lines = attributes.read_text(encoding="utf-8").splitlines() if attributes.is_file() else []
    at = lines.index(_ATTRIBUTES_MARK) if _ATTRIBUTES_MARK in lines else None
    if at is not None:
        del lines[at : at + 2]
    if not remove:
        lines += [_ATTRIBUTES_MARK, f"{table} merge={_DRIVER}"]
    try:
        attributes.parent.mkdir(parents=True, exist_ok=True)
        attributes.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        if remove:
            path.unlink(missing_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(hook, encoding="utf-8", newline="\n")
            path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    except OSError as error:
        raise WriteFailed(path, error.strerror or str(error)) from error
    if remove:
        with suppress(GitCommandFailed):  # it was not there
            git.act("config", "--local", "--remove-section", f"merge.{_DRIVER}")
        say("removed the hook post-merge and the merge driver")
        return
    git.act("config", "--local", f"merge.{_DRIVER}.name", "table of decision records")
    git.act("config", "--local", f"merge.{_DRIVER}.driver", driver)
    say(f"wrote {path}: merges into the default branch number drafts")
    say(f"{table} is merged by `adr merge-index`")


@app.command("merge-index")
def merge_index_command(
    base: Annotated[Path, typer.Argument(metavar="BASE", help="git's %O.")],
    ours: Annotated[Path, typer.Argument(metavar="OURS", help="git's %A; takes the result.")],
    theirs: Annotated[Path, typer.Argument(metavar="THEIRS", help="git's %B.")],
) -> None:
    """Merge a file that holds the table of records; git calls this as a merge driver.

    Prose is merged as git merges it. The table is that of our side until `adr index` or
    `adr number` renews it. Exit code 1: conflicts are marked in OURS.
    """
    if not merge_index(base, ours, theirs):
        raise typer.Exit(EXIT_FINDINGS)


def _program() -> str:
    """The command of this very installation: a hook does not have the PATH of its author."""
    return f"{shlex.quote(Path(sys.executable).as_posix())} -m adrkit"


def _hook_text() -> str:
    return (
        f"#!/bin/sh\n{_MARK}\n# A failure here must not undo a merge that is done.\n"
        f"{_program()} number --on-default-branch --commit || true\n"
    )


def _inside(git: Git, name: str) -> Path:
    """A file of git's own, where the settings say it is. Raises PathOutside."""
    found = git.root / git.act("rev-parse", "--git-path", name).decode().strip()
    shared = (git.root / git.act("rev-parse", "--git-common-dir").decode().strip()).resolve()
    root = git.root.resolve()
    if not (shared.is_relative_to(root) or _knows(shared, git)):
        raise PathOutside(
            str(root / ".git"),
            f"it leads to {shared}, which knows nothing of it",
            f"if that is its git directory: git config core.worktree {shlex.quote(str(root))}",
        )
    if not any(found.resolve().is_relative_to(place) for place in (shared, root)):
        raise PathOutside(str(found), "it leads out of the clone")
    return found


def _knows(shared: Path, git: Git) -> bool:
    """Whether a git directory elsewhere is that of this work tree: a checkout may hold a `.git`
    that leads to somebody's repository. One that was added with `git worktree`, and a submodule,
    are entered there; one of `git init --separate-git-dir` is known by its files."""
    own = Path(git.act("rev-parse", "--absolute-git-dir").decode().strip()).resolve()
    root = git.root.resolve()
    entry = own / "gitdir"
    if own.parent == shared / "worktrees" and entry.is_file():
        named = entry.read_text(encoding="utf-8").strip()  # relative: from where it stands
        return (own / named).resolve() == root / ".git"
    try:
        named = git.act("config", "--file", str(own / "config"), "core.worktree").decode().strip()
    except GitCommandFailed:  # not set
        return own == shared and _checked_out(git, root)
    return own == shared and (own / named).resolve() == root


_IN_INDEX = re.compile(
    rb"(?P<name>[^\0]+)\0 +ctime: \S+\n +mtime: (?P<mtime>\d+):\d+\n"
    rb" +dev: \d+\s+ino: (?P<inode>\d+)\n.*\n.*\n"
)


def _checked_out(git: Git, root: Path) -> bool:
    """Whether git's index remembers a file of ``root`` as the file system numbered it: a copy of
    somebody's files has other numbers."""
    for entry in _IN_INDEX.finditer(git.run("ls-files", "--debug", "-z")):
        path = root / os.fsdecode(entry["name"])
        with suppress(OSError):
            found = path.lstat()
            seen = (found.st_ino & 0xFFFFFFFF, int(found.st_mtime) & 0xFFFFFFFF)
            # Through a link that a checkout brings, somebody's own files would be found.
            own = path.parent.resolve() == path.parent
            if own and seen[0] and seen == (int(entry["inode"]), int(entry["mtime"])):
                return True
    return False


def _table_file(space: Workspace, git: Git) -> str:
    """The file that holds the table, as a line of git's attributes names it and no other."""
    named = space.config.table("index").get("file")
    path = space.config.directory / "README.md"
    if isinstance(named, str):
        path = space.config.root / named
        space.config.inside("index.file", path)
    name = git.relative(path)
    pattern = re.sub(r"[*?\[\\]", r"\\\g<0>", name)
    if "/" not in name or name[0] in '!#"':
        pattern = f"/{pattern}"
    if pattern.isprintable() and not set(pattern) & set(' "'):
        return pattern
    return f'"{"".join(map(_quoted, pattern))}"'


def _quoted(character: str) -> str:
    """As git reads it between quotation marks; whatever could end a line in numbers."""
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(character))
