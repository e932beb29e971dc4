"""``path-exists``: a file, a directory or the matches of a glob."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from adrkit.checks.context import CheckContext
from adrkit.checks.table import CheckTable
from adrkit.checks.verdict import Evidence, Outcome, passed, violated
from adrkit.globs import is_glob
from adrkit.project_files import checked_relative


@dataclass(frozen=True, slots=True)
class PathExistsCheck:
    """``path``: one path or several; each must exist, each glob must match a file."""

    path: tuple[str, ...]

    kind: ClassVar[str] = "path-exists"
    location_keys: ClassVar[frozenset[str]] = frozenset({"path"})

    @classmethod
    def read(cls, table: CheckTable) -> Self:
        return cls(tuple(checked_relative(path) for path in table.texts("path")))

    @property
    def title(self) -> str:
        return f"{', '.join(self.path)} exists"

    @property
    def paths(self) -> tuple[str, ...]:
        return self.path

    def evaluate(self, context: CheckContext) -> Outcome:
        for path in self.path:
            found = context.files.find([path]) if is_glob(path) else context.files.exists(path)
            if not found:
                what = "no file matches" if is_glob(path) else "there is no"
                return violated(f"{what} {path}{context.remark(path)}", Evidence(path))
        return passed(f"{len(self.path)} there" if len(self.path) > 1 else f"{self.path[0]} exists")
