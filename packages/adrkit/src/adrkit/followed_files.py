"""The project's files as one record names them: what is gone is followed to where it is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from adrkit.errors import PathOutside
from adrkit.globs import is_glob
from adrkit.project_files import ProjectFiles, checked_relative
from adrkit.renames import Followed, Renames


class FollowedFiles(ProjectFiles):
    """Names are followed only when nothing is there; ``followed`` lists what was, in order."""

    def __init__(self, files: ProjectFiles, renames: Renames, record: Path) -> None:
        self.root = files.root
        self._files = files
        self._renames = renames
        self._record = record
        self._followed: dict[Followed, None] = {}

    @property
    def followed(self) -> tuple[Followed, ...]:
        return tuple(self._followed)

    @property
    def all(self) -> tuple[str, ...]:
        return self._files.all

    def may_cite(self, relative: str) -> bool:
        return self._files.may_cite(relative)

    def place(self, relative: str) -> str:
        """The path as it is now. Raises PathOutside."""
        name = checked_relative(relative)
        if self._is_there(name):
            return name
        moved = self._renames.follow(self._record, name)
        if moved is None:
            return name
        self._followed[moved] = None
        return moved.to

    def resolve(self, relative: str) -> Path:
        return super().resolve(self.place(relative))

    def exists(self, relative: str) -> bool:
        name = self.place(relative)
        if self._is_there(name):
            return True
        path = super().resolve(name)
        return path.is_dir() and any(path.iterdir()) and not self._renames.left(self._record, name)

    def find(self, patterns: Iterable[str], *, exclude: Iterable[str] = ()) -> tuple[str, ...]:
        unwanted = [found for pattern in exclude for found in self._now(pattern)]
        wanted = [found for pattern in patterns for found in self._now(pattern)]
        return self._files.find(wanted, exclude=unwanted)

    def _is_there(self, name: str) -> bool:
        """A folder that only holds what git ignores, or nothing, is a left-over of this machine."""
        if is_glob(name):
            return bool(self._files.find([name]))
        path = super().resolve(name)
        if not path.is_dir():
            return path.exists()
        return any(file.startswith(f"{name}/") for file in self.all)

    def _now(self, pattern: str) -> tuple[str, ...]:
        """What a pattern names now: itself, unless all of it went elsewhere."""
        name = checked_relative(pattern)
        if self._is_there(name):
            return (name,)
        moved = self._renames.follow_files(self._record, name)
        if not moved and not is_glob(name):
            one = self._renames.follow(self._record, name)
            moved = (one,) if one else ()
        self._followed |= dict.fromkeys(moved)
        return tuple(item.to for item in moved) or (name,)

    def modules(self, module: str) -> tuple[str, ...]:
        """Dotted names that a module has or had: it may have moved, whole or in parts."""
        tail = module.replace(".", "/")
        there = any(
            f"/{name}".endswith(f"/{tail}.py") or f"/{tail}/" in f"/{name}" for name in self.all
        )
        return (module,) if there else (module, *self._renames.follow_modules(self._record, module))

    def remark(self, relative: str) -> str:
        """What to say of a path that is not there and was not followed."""
        try:
            return self._renames.remark(self._record, checked_relative(relative))
        except PathOutside:
            return ""
