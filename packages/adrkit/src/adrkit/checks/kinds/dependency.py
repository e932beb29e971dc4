"""``dependency``: a package that the project declares, or must not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Self

from packaging.utils import canonicalize_name

from adrkit.checks.context import CheckContext
from adrkit.checks.manifests import ECOSYSTEMS, Declared, Ecosystem, Project, ecosystem_of
from adrkit.checks.manifests.declared import UNUSED_SCOPES
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

_PYTHON_FILES = ("pyproject.toml", "requirements*.txt", "requirements/*.txt")
_OTHER_FILES = ("package.json", "go.mod", "Cargo.toml")
_NAME = re.compile(r"@?[A-Za-z0-9](?:[\w.~/-]*[A-Za-z0-9])?")
_SCOPES = (
    "project", "file", "dev", "build", "peer", "optional", "target", "indirect", "workspace",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DependencyCheck:
    """``package``, ``state`` ("present" or "absent"), ``version`` (a range), ``scope``.

    ``files``: by default ``pyproject.toml``, ``requirements*.txt`` and ``requirements/*.txt`` of
    the root; without those its ``package.json``, ``go.mod`` or ``Cargo.toml``. Members of a
    workspace are read with it. What is installed or locked plays no part.

    ``scope`` limits it to "project" (what is always installed), "extra:NAME", "group:NAME", "file"
    (requirements files), "dev", "build", "peer", "optional", "target" (Cargo: on some platforms),
    "indirect" (Go) or "workspace" (Cargo: listed for members). Without it the last two break
    "absent" and do not make "present".

    With ``version`` every declared range must lie inside it; ``>=5`` does not lie inside
    ``>=5,<6``. It is written as the file's tool writes it: PEP 440 and Poetry's ``^`` and ``~`` for
    Python, ``^18.2 || >=19 <20`` for npm, Cargo (where ``1.2`` means ``^1.2``) and Go. What the
    file does not tell is an error: an address, a folder, a tag, ``workspace:``, overrides, patches,
    a replacement, a pre-release in a range.
    """

    package: str
    absent: bool
    version: str | None
    scope: str
    files: tuple[str, ...]

    kind: ClassVar[str] = "dependency"
    location_keys: ClassVar[frozenset[str]] = frozenset({"files"})

    @classmethod
    def read(cls, table: CheckTable) -> Self:
        package = table.text("package")
        if not _NAME.fullmatch(package):
            raise table.problem(f"{package!r} names no package", "package")
        absent = table.choice("state", ("present", "absent")) == "absent"
        version = table.find_text("version")
        if version is not None and absent:
            raise table.problem("an absent package has no `version`", "version")
        scope = table.find_text("scope") or ""
        if scope and scope not in _SCOPES and not scope.startswith(("extra:", "group:")):
            raise table.problem(
                f"`scope` is {', '.join(_SCOPES)}, extra:NAME or group:NAME", "scope"
            )
        files = tuple(checked_relative(f) for f in table.texts("files", required=False))
        if version is not None and (problem := _range_problem(version, files)):
            raise table.problem(problem, "version")
        return cls(package, absent, version, scope, files)

    @property
    def title(self) -> str:
        where = f" in {self.scope}" if self.scope else ""
        return f"{self.package} {self.version or ('absent' if self.absent else 'present')}{where}"

    @property
    def paths(self) -> tuple[str, ...]:
        return self.files

    def evaluate(self, context: CheckContext) -> Outcome:
        declared = [item for item in self._declared(context) if self._in_scope(item)]
        if self.absent:
            if declared:
                first = declared[0]
                return violated(
                    f"{first.evidence} requires {first.text} ({first.scope})", first.evidence
                )
            return passed(f"nothing requires {self.package}")
        if not self.scope:
            unused = [item for item in declared if item.scope in UNUSED_SCOPES]
            declared = [item for item in declared if item.scope not in UNUSED_SCOPES]
            if unused and not declared:
                first = unused[0]
                return violated(
                    f"{first.evidence} names {self.package} as {first.scope} only", first.evidence
                )
        if not declared:
            return violated(f"nothing requires {self.package}{self._where}")
        for item in declared:
            if item.doubt:
                raise CannotEvaluate(item.doubt, item.evidence)
        if self.version is not None:
            for item in declared:
                if not item.allowed.within(self.version):
                    return violated(
                        f"{item.evidence} allows `{item.text}`, which is not within {self.version}",
                        item.evidence,
                    )
        return passed(f"{declared[0].evidence} requires it", declared[0].evidence)

    def overlaps(self, one: str, other: str) -> bool:
        """Whether two ranges have a version in common, as one of the tools in question reads."""
        readers = [
            ecosystem
            for ecosystem in _possible(self.files)
            if not any(map(ecosystem.range_problem, (one, other)))
        ]
        return not readers or any(ecosystem.overlap(one, other) for ecosystem in readers)

    @property
    def _where(self) -> str:
        return f" in {self.scope}" if self.scope else ""

    def _in_scope(self, item: Declared) -> bool:
        return not self.scope or canonical_scope(item.scope) == canonical_scope(self.scope)

    def _declared(self, context: CheckContext) -> list[Declared]:
        """The declarations of the package."""
        names = context.find(self.files) if self.files else _by_default(context)
        project = Project(context.read, context.files.find)
        found: list[Declared] = []
        readable = 0
        for name in names:
            ecosystem = ecosystem_of(name)
            if self.version is not None and (problem := ecosystem.range_problem(self.version)):
                raise CannotEvaluate(f"{problem} (of {ecosystem.name}: {name})", Evidence(name))
            listed = ecosystem.declared(name, project)
            if listed is not None:
                readable += 1
                wanted = ecosystem.canonical(self.package)
                found += [item for item in listed if item.name == wanted]
        if not readable:
            raise MissingEvidence(
                f"{', '.join(names)} declare no dependencies that can be read ([project], "
                "[dependency-groups], [tool.poetry], requirements files, package.json, go.mod, "
                "Cargo.toml)",
                Evidence(names[0]),
            )
        return found


def _by_default(context: CheckContext) -> tuple[str, ...]:
    """Python's files at the root, else the manifest of the one other ecosystem that is there."""
    if known := context.files.find(_PYTHON_FILES):
        return known
    others = context.files.find(_OTHER_FILES)
    if len(others) > 1:
        raise CannotEvaluate(f"{' and '.join(others)} are there: say in `files` which one is meant")
    return others or context.find(_PYTHON_FILES)


def _range_problem(version: str, files: tuple[str, ...]) -> str | None:
    """What is wrong with a range in the eyes of every tool that it may be written for."""
    problem = None
    for ecosystem in _possible(files):
        problem = ecosystem.range_problem(version)
        if problem is None:
            return None
    return problem


def _possible(files: tuple[str, ...]) -> list[Ecosystem]:
    # The ones that files name come last: theirs is the message that is shown.
    named = {ECOSYSTEMS[name].name for f in files if (name := f.rpartition("/")[2]) in ECOSYSTEMS}
    every = {ecosystem.name: ecosystem for ecosystem in ECOSYSTEMS.values()}.values()
    if named:
        return [ecosystem for ecosystem in every if ecosystem.name in named]
    return [*(e for e in every if e.name != "python"), ECOSYSTEMS["pyproject.toml"]]


def canonical_scope(scope: str) -> str:
    kind, colon, name = scope.partition(":")
    return f"{kind}:{canonicalize_name(name)}" if colon else kind
