"""``import-forbidden``: modules that files must not import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import ClassVar, Self

from adrkit.checks.context import CheckContext
from adrkit.checks.python_module import imports
from adrkit.checks.table import CheckTable
from adrkit.checks.verdict import (
    CannotEvaluate,
    Evidence,
    MissingEvidence,
    Outcome,
    passed,
    violated,
)
from adrkit.project_files import checked_relative


@dataclass(frozen=True, slots=True)
class ImportForbiddenCheck:
    """``files`` (globs), ``except`` (globs), ``modules``: dotted names, their submodules included.

    Imports under ``if TYPE_CHECKING:`` never run and are left out, unless ``type-checking = true``.
    """

    files: tuple[str, ...]
    excluded: tuple[str, ...]
    modules: tuple[str, ...]
    type_checking: bool

    kind: ClassVar[str] = "import-forbidden"
    location_keys: ClassVar[frozenset[str]] = frozenset({"files"})

    @classmethod
    def read(cls, table: CheckTable) -> Self:
        files = tuple(checked_relative(path) for path in table.texts("files"))
        excluded = tuple(checked_relative(path) for path in table.texts("except", required=False))
        modules = table.texts("modules")
        for module in modules:
            if not all(part.isidentifier() for part in module.split(".")):
                raise table.problem(f"{module!r} is no module like `package.module`", "modules")
        return cls(files, excluded, modules, table.flag("type-checking"))

    @property
    def title(self) -> str:
        return f"{', '.join(self.files)} import none of {', '.join(self.modules)}"

    @property
    def paths(self) -> tuple[str, ...]:
        return self.files

    def evaluate(self, context: CheckContext) -> Outcome:
        names = [
            name
            for name in context.find(self.files, self.excluded)
            if name.endswith((".py", ".pyi"))
        ]
        if not names:
            raise MissingEvidence(f"no Python file matches {', '.join(self.files)}")
        modules = [now for module in self.modules for now in context.python_modules(module)]
        for name in names:
            for found in imports(context.module(name), package_of(context, name)):
                where = Evidence(name, found.line)
                if found.target.startswith("."):
                    raise CannotEvaluate(
                        f"the relative import {found.target} leaves its package; "
                        "set source-roots in [tool.adrkit.check]",
                        where,
                    )
                if found.type_checking and not self.type_checking:
                    continue
                for module in modules:
                    if found.target == module or found.target.startswith(f"{module}."):
                        return violated(f"{where} imports {found.target}", where)
        return passed(f"none of {len(names)} files imports {', '.join(self.modules)}")


def package_of(context: CheckContext, file: str) -> str:
    """The dotted package that relative imports of a file start from.

    Below a configured source root, the directories after it. Otherwise the directories upward as
    long as they have an ``__init__.py``; without any (a namespace package), those after the last
    directory called ``src``, else all.
    """
    folder = PurePosixPath(file).parent
    for root in context.source_roots:
        if folder.is_relative_to(root):
            return ".".join(folder.relative_to(root).parts)
    parts = folder.parts
    first = len(parts)
    while first and (context.files.root / PurePosixPath(*parts[:first], "__init__.py")).is_file():
        first -= 1
    if first == len(parts):
        first = len(parts) - 1 - parts[::-1].index("src") + 1 if "src" in parts else 0
    return ".".join(parts[first:])
