"""Files of a project, named by text that is not trusted: nothing outside the root is reached."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path

from adrkit.errors import FileTooLarge, PathOutside, UnreadableFile
from adrkit.git import Git
from adrkit.git_safety import is_git_name
from adrkit.globs import is_glob, matches_any

#: Larger files are data, not what a decision is about, and would only cost memory.
MAX_FILE_BYTES = 20_000_000

_SKIPPED_FOLDERS = {".git", ".hg", ".venv", "venv", "node_modules", "__pycache__", "build", "dist"}
_DRIVE = re.compile(r"[A-Za-z]:")


def checked_relative(text: str) -> str:
    """``text`` without leading ``./`` and doubled slashes. Raises PathOutside.

    Only the wording is judged here; ``ProjectFiles`` also follows symbolic links.
    """
    parts = text.split("/")
    if text.startswith(("/", "~")) or _DRIVE.match(text):
        raise PathOutside(text, "it is absolute")
    if "\\" in text or "\0" in text or "\n" in text:
        raise PathOutside(text, "it holds a character that no path here may have")
    if ".." in parts:
        raise PathOutside(text, "it holds `..`")
    kept = "/".join(part for part in parts if part not in ("", "."))
    if not kept:
        raise PathOutside(text, "it names nothing")
    if is_git_name(kept.split("/")[0]):
        raise PathOutside(text, "it is git's own")
    return kept


def _all(_: Path) -> bool:
    return True


class ProjectFiles:
    """The files below ``root``; with git, those that are tracked or new but not ignored."""

    def __init__(self, root: Path, git: Git | None, owns: Callable[[Path], bool] = _all) -> None:
        """``owns`` says whether the numbers that a file cites are those of the records at hand:
        a project may have several directories, each with numbers of its own."""
        self.root = root.resolve()
        self._git = git
        self._owns = owns

    def may_cite(self, relative: str) -> bool:
        return self._owns(self.root / relative)

    def resolve(self, relative: str) -> Path:
        """Absolute path, symbolic links followed. Raises PathOutside."""
        path = (self.root / checked_relative(relative)).resolve()
        if not path.is_relative_to(self.root):
            raise PathOutside(relative, "a symbolic link leads out of the project")
        return path

    def exists(self, relative: str) -> bool:
        return self.resolve(relative).exists()

    def read(self, relative: str) -> bytes | None:
        """Content, None when there is no such file.

        Raises PathOutside, FileTooLarge or UnreadableFile.
        """
        path = self.resolve(relative)
        try:
            if not path.is_file():
                return None
            size = path.stat().st_size
            if size > MAX_FILE_BYTES:
                raise FileTooLarge(path, size, MAX_FILE_BYTES)
            return path.read_bytes()
        except OSError as error:
            raise UnreadableFile(path, error.strerror or str(error)) from error

    def find(self, patterns: Iterable[str], *, exclude: Iterable[str] = ()) -> tuple[str, ...]:
        """Existing files that match any pattern and no excluded one, sorted.

        A pattern without wildcards names one file, ignored by git or not, or all files below a
        directory. Raises PathOutside, for a match through a symbolic link too.
        """
        wanted = [checked_relative(pattern) for pattern in patterns]
        unwanted = [checked_relative(pattern) for pattern in exclude]
        globs = []
        found: set[str] = set()
        for pattern in wanted:
            if is_glob(pattern):
                globs.append(pattern)
            elif (path := self.resolve(pattern)).is_dir():
                globs.append(f"{pattern}/**")
            elif path.is_file():
                found.add(pattern)
        if globs:
            found |= {name for name in self.all if matches_any(name, globs)}
        kept = sorted(name for name in found if not matches_any(name, unwanted))
        return tuple(name for name in kept if self.resolve(name).is_file())

    @cached_property
    def all(self) -> tuple[str, ...]:
        """Every file, relative to the root, with ``/``."""
        if self._git is not None:
            top = self._git.root.resolve()
            if self.root.is_relative_to(top):
                prefix = self.root.relative_to(top).as_posix()
                names = self._git.tracked(prefix)
                if prefix == ".":
                    return names
                return tuple(name[len(prefix) + 1 :] for name in names)
        return tuple(self._walk())

    def _walk(self) -> Iterator[str]:
        for folder, folders, files in os.walk(self.root):
            folders[:] = sorted(name for name in folders if name not in _SKIPPED_FOLDERS)
            for name in sorted(files):
                yield Path(folder, name).relative_to(self.root).as_posix()
