"""``import-forbidden``: modules that files must not import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import ClassVar, Self

from adrkit.checks.context import CheckContext
from adrkit.checks.languages import EMBEDDING, language_of
from adrkit.checks.languages.go import GO
from adrkit.checks.languages.javascript import JAVASCRIPT
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
    """``files`` (globs), ``except`` (globs), ``modules``: names, what is below them included.

    Python, and with ``pip install 'adrkeep[languages]'`` JavaScript, TypeScript and Go; without
    that, files of those are an error. ``languages`` ("python", "javascript" with TypeScript, "go")
    leaves the others out. Modules are written as the language does: ``boto3.session``,
    ``@aws-sdk/client-s3``, ``node:fs`` (which is ``fs``), ``database/sql``; ``./src/db`` is a file
    or folder of the project that JavaScript imports by relative paths.

    Imports under ``if TYPE_CHECKING:``, ``import type`` and those of ``.d.ts`` files never run and
    are left out, unless ``type-checking = true``. JavaScript that computes what it loads, or passes
    ``require`` on, is an error where that could be a banned module. Aliases (``@/db``) are banned
    by that name; beside a ban of ``./src/db`` an alias that is not is an error. So are ``.vue``,
    ``.svelte`` and ``.astro`` files, of which the scripts are not read. Where ``files`` hold
    Python, too, and no ``languages`` are given, doubts count in files that write a banned name.
    """

    files: tuple[str, ...]
    excluded: tuple[str, ...]
    modules: tuple[str, ...]
    type_checking: bool
    languages: tuple[str, ...]

    kind: ClassVar[str] = "import-forbidden"
    location_keys: ClassVar[frozenset[str]] = frozenset({"files"})

    @classmethod
    def read(cls, table: CheckTable) -> Self:
        files = tuple(checked_relative(path) for path in table.texts("files"))
        excluded = tuple(checked_relative(path) for path in table.texts("except", required=False))
        modules = table.texts("modules")
        for module in modules:
            if not any(could_name(module) for could_name in _NAMES.values()):
                raise table.problem(f"{module!r} is no module like `package.module`", "modules")
        languages = table.texts("languages", required=False)
        for language in languages:
            if language not in _NAMES:
                raise table.problem(f"`languages` are {', '.join(_NAMES)}", "languages")
            if not any(_NAMES[language](module) for module in modules):
                raise table.problem(f"no module of these is one of {language}", "modules")
        return cls(files, excluded, modules, table.flag("type-checking"), languages)

    @property
    def title(self) -> str:
        return f"{', '.join(self.files)} import none of {', '.join(self.modules)}"

    @property
    def paths(self) -> tuple[str, ...]:
        return self.files

    def evaluate(self, context: CheckContext) -> Outcome:
        found = context.find(self.files, self.excluded)
        names = [name for name in found if _family(name) in (self.languages or _NAMES)]
        if not names:
            raise MissingEvidence(
                f"no file of {', '.join(self.languages or _NAMES)} matches {', '.join(self.files)}"
            )
        mixed = not self.languages and any(_family(name) == "python" for name in names)
        dotted = [module for module in self.modules if _is_dotted(module)]
        banned = [now for module in dotted for now in context.python_modules(module)]
        for name in names:
            try:
                outcome = (
                    self._in_python(context, name, banned)
                    if _family(name) == "python"
                    else self._in_other(context, name)
                )
            except CannotEvaluate:
                # A ban of a Python module, most likely: doubt counts where its name is written.
                if _family(name) == "python" or not mixed or self._is_named(context, name):
                    raise
                continue
            if outcome is not None:
                return outcome
        return passed(f"none of {len(names)} files imports {', '.join(self.modules)}")

    def _is_named(self, context: CheckContext, name: str) -> bool:
        data = context.read(name)
        text = data.decode("utf-8", "replace")
        return b"\0" in data or any(module.removeprefix("./") in text for module in self.modules)

    def _in_python(
        self, context: CheckContext, name: str, modules: Sequence[str]
    ) -> Outcome | None:
        for found in context.module(name).imports(package_of(context, name)) if modules else ():
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
        return None

    def _in_other(self, context: CheckContext, name: str) -> Outcome | None:
        language = language_of(name)
        if language is None:
            raise CannotEvaluate(
                f"{name}: scripts in files of this kind are not read; leave them out with `except`",
                Evidence(name),
            )
        modules = [module for module in self.modules if language.could_name(module)]
        seen = language.read(name, context.read(name)) if modules else []
        running = [found for found in seen if self.type_checking or not found.type_only]
        doubt: CannotEvaluate | None = None
        for found in running:
            where = Evidence(name, found.line)
            for module in modules:
                verdict = language.forbids(name, found, module, self.modules)
                if verdict:
                    return violated(f"{where} imports {found.target}", where)
                if verdict is None and doubt is None:
                    what = found.problem or f"what is loaded is not certain ({found.target}…)"
                    doubt = CannotEvaluate(f"{where}: {what}: it could be {module}", where)
        if doubt is not None:
            raise doubt
        return None


def _is_dotted(module: str) -> bool:
    return all(part.isidentifier() for part in module.split("."))


#: The languages, each with whether a text could name a module of it.
_NAMES = {
    "python": _is_dotted,
    "javascript": JAVASCRIPT.could_name,
    "go": GO.could_name,
}


def _family(name: str) -> str:
    """The language of a file as ``languages`` calls it, "" for none."""
    if name.endswith((".py", ".pyi")):
        return "python"
    if name.lower().endswith(EMBEDDING):
        return "javascript"
    language = language_of(name)
    return "" if language is None else "go" if language is GO else "javascript"


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
