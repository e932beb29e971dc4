"""A commit's files in a temporary directory: a review never touches the work tree.

Written from git's objects, without filters, hooks or settings of the clone. What a hostile tree
could use to reach outside is refused, names with ``..`` and git's own, or left out: links that
lead out.
Links are followed in the list of the tree's names, never on the disk, and made last, when every
file is there: nothing is ever written through one, and each leads to a plain file or directory.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from adrkit.config import Config, load_config
from adrkit.errors import GitCommandFailed, UnusableTree
from adrkit.git import Git
from adrkit.git_safety import is_git_name
from adrkit.project_files import MAX_FILE_BYTES, ProjectFiles
from adrkit.record import Record
from adrkit.repository import RecordRepository

_BATCH_BYTES = 64_000_000
_GITS_OWN = "git makes no file of that name"
_LINK = "120000"
_MAX_LINK_BYTES = 4_096  # a path's; a longer one leads nowhere
_MAX_LINKS = 40  # followed for one name, as Linux does


@dataclass(frozen=True, slots=True)
class Entry:
    mode: str
    blob: str
    size: int
    path: str


class Tree:
    """The files of ``commit`` below ``folder``, a directory that is made.

    Raises UnusableTree when no directory could hold them.
    """

    def __init__(self, git: Git, commit: str, folder: Path) -> None:
        entries = tuple(_entries(git, commit))
        folders = _folders(commit, entries)
        folder.mkdir(parents=True)
        self.top = folder.resolve()
        self.git = _borrowing(git, commit, self.top)
        try:
            write_files(git, entries, folders, self.top)
        except OSError as error:  # a name that is too long here, or two that are one here
            place = Path(error.filename2 or error.filename or self.top)  # a link's, not its end's
            name = place.relative_to(self.top).as_posix()
            raise UnusableTree(commit, name, error.strerror or str(error)) from error

    def start(self, inside: str) -> Path:
        """The place ``inside``, relative to the top level, or what there is of it yet."""
        place = self.top / inside
        while not place.is_dir():
            place = place.parent
        return place


class Snapshot:
    """The project as one records directory of a tree sees it.

    ``inside`` is where the command was started, ``directory`` which records are meant, None for
    those that the settings name; both relative to the top level.
    """

    def __init__(self, tree: Tree, inside: str, directory: str | None) -> None:
        self.top, self.git = tree.top, tree.git
        chosen = None if directory is None else self.top / directory
        self.config: Config = load_config(tree.start(inside), directory=chosen)
        self.repository = RecordRepository.of(self.config)

    @cached_property
    def prefix(self) -> str:
        """The project's root relative to the top level, "" or with a slash at its end."""
        relative = self.config.root.resolve().relative_to(self.top).as_posix()
        return "" if relative == "." else f"{relative}/"

    @cached_property
    def files(self) -> ProjectFiles:
        return ProjectFiles(self.config.root, self.git, self.config.owns)

    @cached_property
    def records(self) -> tuple[Record, ...]:
        return self.repository.list() if self.config.directory.is_dir() else ()

    def shown(self, path: Path) -> str:
        """A path of the snapshot relative to the project's root."""
        return path.resolve().relative_to(self.config.root.resolve()).as_posix()


def _borrowing(git: Git, commit: str, top: Path) -> Git:
    """A repository at ``top`` with ``commit`` as its head and the objects of ``git``: its history
    is there to be asked, for renames and for the age of evidence."""
    objects = git.root / os.fsdecode(git.run("rev-parse", "--git-path", "objects").rstrip(b"\n"))
    shallow = git.root / os.fsdecode(git.run("rev-parse", "--git-path", "shallow").rstrip(b"\n"))
    form = git.run("rev-parse", "--show-object-format").decode().strip()
    made = Git(top)
    made.run("init", "-q", "--template=", f"--object-format={form}", ".")
    alternates = top / ".git" / "objects" / "info" / "alternates"
    alternates.parent.mkdir(parents=True, exist_ok=True)
    alternates.write_bytes(os.fsencode(objects) + b"\n")
    if shallow.is_file():
        (top / ".git" / "shallow").write_bytes(shallow.read_bytes())
    made.run("update-ref", "--no-deref", "HEAD", commit)
    try:
        made.run("read-tree", "HEAD")
    except GitCommandFailed as error:  # as of a link that is called .gitmodules
        if refused := re.search(r"invalid path '(.*)'", error.stderr):
            raise UnusableTree(commit, refused[1], _GITS_OWN) from error
        raise
    return made


def _entries(git: Git, commit: str) -> Iterator[Entry]:
    output = git.run("ls-tree", "-r", "-l", "-z", "--full-tree", commit)
    for raw in output.split(b"\0"):
        head, _, name = raw.partition(b"\t")
        if not name:
            continue
        mode, kind, blob, size = head.decode().split()
        path = os.fsdecode(name)
        if not _is_harmless(path):
            raise UnusableTree(commit, path, _GITS_OWN)
        if kind == "blob":
            yield Entry(mode, blob, int(size), path)


def _is_harmless(path: str) -> bool:
    parts = path.split("/")
    return not any(part in ("", ".", "..") or is_git_name(part) for part in parts) and (
        os.sep == "/" or not set(path) & {"\\", ":"}
    )


def _folders(commit: str, entries: Iterable[Entry]) -> frozenset[str]:
    """The directories that the entries lie in. Raises UnusableTree for a name that is there twice:
    git lists such a tree, and refuses to make one."""
    paths: set[str] = set()
    folders: set[str] = set()
    for entry in entries:
        if entry.path in paths:
            raise UnusableTree(commit, entry.path, "it is there twice")
        paths.add(entry.path)
        folder = posixpath.dirname(entry.path)
        while folder and folder not in folders:
            folders.add(folder)
            folder = posixpath.dirname(folder)
    if both := sorted(paths & folders):
        raise UnusableTree(commit, both[0], "it is a file or link, and a directory too")
    return frozenset(folders)


def write_files(git: Git, entries: Iterable[Entry], folders: frozenset[str], top: Path) -> None:
    """Write them into an empty directory. Raises OSError where a name is taken."""
    for folder in sorted(folders):  # a directory before what lies in it
        (top / folder).mkdir()
    links: list[Entry] = []
    waiting: list[Entry] = []
    size = 0
    for entry in entries:
        if entry.mode == _LINK:
            links.append(entry)
        elif entry.size > MAX_FILE_BYTES:
            with (top / entry.path).open("xb") as file:
                file.truncate(entry.size)  # refused for its size, as in the work tree
        else:
            waiting.append(entry)
            size += entry.size
        if size >= _BATCH_BYTES:
            _flush(git, waiting, top)
            waiting, size = [], 0
    _flush(git, waiting, top)
    _link(git, links, {entry.path for entry in entries if entry.mode != _LINK}, folders, top)


def _flush(git: Git, entries: list[Entry], top: Path) -> None:
    contents = git.read(dict.fromkeys(entry.blob for entry in entries))
    for entry in entries:
        with (top / entry.path).open("xb") as file:  # a new one: it follows no link
            file.write(contents[entry.blob] or b"")


def _link(
    git: Git, entries: list[Entry], files: set[str], folders: frozenset[str], top: Path
) -> None:
    short = [entry for entry in entries if entry.size <= _MAX_LINK_BYTES]
    contents = git.read(dict.fromkeys(entry.blob for entry in short))
    targets = {entry.path: os.fsdecode(contents[entry.blob] or b"") for entry in short}
    for path in targets:
        if (end := _followed(path, targets, files, folders)) is not None:
            folder = posixpath.dirname(path)
            (top / path).symlink_to(
                posixpath.relpath(end, folder or "."), target_is_directory=end in folders
            )


def _followed(
    path: str, targets: Mapping[str, str], files: set[str], folders: frozenset[str]
) -> str | None:
    """The file or directory of the tree that a link ends at, None when it leaves the tree, leads
    to nothing or in a circle."""
    at: list[str] = path.split("/")
    ahead: list[str] = []
    followed = 0
    while True:
        name = "/".join(at)
        if name in targets:
            followed += 1
            if followed > _MAX_LINKS or targets[name][:1] in ("", "/"):
                return None
            at.pop()
            ahead.extend(reversed(targets[name].split("/")))
        elif name in files:
            return None if ahead else name
        elif at and name not in folders:
            return None
        while ahead and ahead[-1] in ("", "."):
            ahead.pop()
        if not ahead:
            return name if name in folders else None
        part = ahead.pop()
        if part != "..":
            at.append(part)
        elif at:
            at.pop()
        else:
            return None
