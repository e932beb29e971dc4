"""``dependency``: a package that the project declares, or must not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidName, canonicalize_name

from adrkit.checks.context import CheckContext
from adrkit.checks.requirements import (
    Declared,
    file_requirements,
    pyproject_requirements,
    within,
)
from adrkit.checks.table import CheckTable
from adrkit.checks.verdict import Evidence, MissingEvidence, Outcome, passed, violated
from adrkit.project_files import checked_relative

_DEFAULT_FILES = ("pyproject.toml", "requirements*.txt", "requirements/*.txt")


@dataclass(frozen=True, slots=True)
class DependencyCheck:
    """``package``, ``state`` ("present" or "absent"), ``version`` (a PEP 440 range), ``scope``.

    ``files``: by default ``pyproject.toml``, ``requirements*.txt`` and ``requirements/*.txt`` of
    the root. ``scope`` limits it to "project" (what is always installed), "extra:NAME",
    "group:NAME" or "file" (requirements files). What is installed plays no part. With ``version``
    every declared range must lie inside it; ``>=5`` does not lie inside ``>=5,<6``.
    """

    package: str
    absent: bool
    version: SpecifierSet | None
    scope: str
    files: tuple[str, ...]

    kind: ClassVar[str] = "dependency"
    location_keys: ClassVar[frozenset[str]] = frozenset({"files"})

    @classmethod
    def read(cls, table: CheckTable) -> Self:
        try:
            package = canonicalize_name(table.text("package"), validate=True)
        except InvalidName as error:
            raise table.problem(
                f"{table.values['package']!r} names no package", "package"
            ) from error
        absent = table.choice("state", ("present", "absent")) == "absent"
        version: SpecifierSet | None = None
        if (text := table.find_text("version")) is not None:
            if absent:
                raise table.problem("an absent package has no `version`", "version")
            try:
                version = SpecifierSet(text)
            except InvalidSpecifier as error:
                raise table.problem(
                    f"{text!r} is no version range like >=5.4,<6", "version"
                ) from error
        scope = table.find_text("scope") or ""
        if (
            scope
            and scope not in ("project", "file")
            and not scope.startswith(("extra:", "group:"))
        ):
            raise table.problem("`scope` is project, file, extra:NAME or group:NAME", "scope")
        files = table.texts("files", required=False) or _DEFAULT_FILES
        return cls(package, absent, version, scope, tuple(checked_relative(f) for f in files))

    @property
    def title(self) -> str:
        where = f" in {self.scope}" if self.scope else ""
        return f"{self.package} {self.version or ('absent' if self.absent else 'present')}{where}"

    @property
    def paths(self) -> tuple[str, ...]:
        return () if self.files == _DEFAULT_FILES else self.files

    def evaluate(self, context: CheckContext) -> Outcome:
        declared = [
            item
            for item in self._declared(context)
            if item.name == self.package and self._in_scope(item)
        ]
        if self.absent:
            if declared:
                first = declared[0]
                return violated(
                    f"{first.evidence} requires {first.requirement} ({first.scope})", first.evidence
                )
            return passed(f"nothing requires {self.package}")
        if not declared:
            return violated(f"nothing requires {self.package}{self._where}")
        if self.version is not None:
            for item in declared:
                if not within(item.requirement.specifier, self.version):
                    return violated(
                        f"{item.evidence} allows `{item.requirement}`, "
                        f"which is not within {self.version}",
                        item.evidence,
                    )
        return passed(f"{declared[0].evidence} requires it", declared[0].evidence)

    @property
    def _where(self) -> str:
        return f" in {self.scope}" if self.scope else ""

    def _in_scope(self, item: Declared) -> bool:
        return not self.scope or canonical_scope(item.scope) == canonical_scope(self.scope)

    def _declared(self, context: CheckContext) -> list[Declared]:
        found: list[Declared] = []
        readable = 0
        known = context.files.find(self.files) if self.files == _DEFAULT_FILES else ()
        for name in known or context.find(self.files):
            if name.endswith(".toml"):
                listed = pyproject_requirements(name, context.read(name))
            else:
                listed = file_requirements(name, context.read)
            if listed is not None:
                readable += 1
                found += listed
        if not readable:
            raise MissingEvidence(
                f"{', '.join(self.files)} declare no dependencies that can be read "
                "([project], [dependency-groups] or requirements files)",
                Evidence(self.files[0]),
            )
        return found


def canonical_scope(scope: str) -> str:
    kind, colon, name = scope.partition(":")
    return f"{kind}:{canonicalize_name(name)}" if colon else kind
