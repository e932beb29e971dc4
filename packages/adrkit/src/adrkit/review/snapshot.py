"""A commit's files in a temporary directory: a review never touches the work tree.

Written from git's objects, without filters, hooks or settings of the clone. What a hostile tree
could use to reach outside is left out: names with ``..``, git's own names, links that lead out.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from adrkit.config import Config, load_config
from adrkit.git import Git
from adrkit.project_files import MAX_FILE_BYTES, ProjectFiles
from adrkit.record import Record
from adrkit.repository import RecordRepository

_BATCH_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    mode: str
    blob: str
    size: int
    path: str


class Tree:
    """The files of ``commit`` below ``folder``, a directory that is made."""

    def __init__(self, git: Git, commit: str, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.top = folder.resolve()
        self.git = _borrowing(git, commit, self.top)
        _write(git, _entries(git, commit), self.top)

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
    made.run("read-tree", "HEAD")
    return made


def _entries(git: Git, commit: str) -> Iterator[Entry]:
    output = git.run("ls-tree", "-r", "-l", "-z", "--full-tree", commit)
    for raw in output.split(b"\0"):
        head, _, name = raw.partition(b"\t")
        if not name:
            continue
        mode, kind, blob, size = head.decode().split()
        path = os.fsdecode(name)
        if kind == "blob" and _is_harmless(path):
            yield Entry(mode, blob, int(size), path)


def _is_harmless(path: str) -> bool:
    parts = path.split("/")
    return not any(part in ("", ".", "..") or part.casefold() == ".git" for part in parts) and (
        "\\" not in path or os.sep == "/"
    )


def _write(git: Git, entries: Iterable[Entry], top: Path) -> None:
    waiting: list[Entry] = []
    size = 0
    for entry in entries:
        path = top / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.size > MAX_FILE_BYTES and entry.mode != "120000":
            path.touch()
            os.truncate(path, entry.size)  # refused for its size, as in the work tree
            continue
        waiting.append(entry)
        size += entry.size
        if size >= _BATCH_BYTES:
            _flush(git, waiting, top)
            waiting, size = [], 0
    _flush(git, waiting, top)


def _flush(git: Git, entries: list[Entry], top: Path) -> None:
    contents = git.read(dict.fromkeys(entry.blob for entry in entries))
    for entry in entries:
        data = contents[entry.blob] or b""
        path = top / entry.path
        if entry.mode == "120000":
            target = os.fsdecode(data)
            folder = posixpath.dirname(entry.path)
            leads = posixpath.normpath(posixpath.join(folder, target))
            if not target.startswith("/") and not leads.startswith("..") and _is_harmless(leads):
                path.symlink_to(target)
            continue
        path.write_bytes(data)
