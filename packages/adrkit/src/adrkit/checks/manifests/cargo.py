"""``Cargo.toml``, with inheritance from its workspace."""

from __future__ import annotations

import posixpath
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from adrkit.checks.manifests.declared import (
    Allowed,
    Declared,
    Ecosystem,
    Project,
    Unknown,
    beside,
    decoded,
    line_of,
    member_manifests,
)
from adrkit.checks.manifests.semver import (
    NoRange,
    PreRelease,
    SemverRange,
    cargo_range,
    overlap,
    range_problem,
)
from adrkit.checks.verdict import CannotEvaluate, Evidence

#: Cargo still reads the spelling with an underscore.
_TABLES = {
    "dependencies": "project", "dev-dependencies": "dev", "dev_dependencies": "dev",
    "build-dependencies": "build", "build_dependencies": "build",
}  # fmt: skip


def canonical(name: str) -> str:
    """crates.io takes ``-`` and ``_`` for the same."""
    return name.replace("_", "-").lower()


def _declared(path: str, project: Project) -> list[Declared] | None:
    """What the crate declares, and its workspace's members. Raises CannotEvaluate."""
    manifest = _Manifest(path, project)
    if not any(isinstance(manifest.table.get(key), dict) for key in ("package", "workspace")):
        return None
    found = list(manifest.declared())
    workspace = _table(manifest.table, "workspace")
    members = member_manifests(path, workspace.get("members"), workspace.get("exclude"), project)
    for member in members:
        found += _Manifest(member, project).declared()
    return found


class _Manifest:
    def __init__(self, path: str, project: Project) -> None:
        self.path, self._project = path, project
        self._text = decoded(path, project.read(path))
        try:
            self.table = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            raise CannotEvaluate(f"{path} is not valid TOML: {error}", Evidence(path)) from error

    def declared(self) -> Iterator[Declared]:
        patched = self._patched()
        for table, target in [(self.table, ""), *self._targets()]:
            for key, scope in _TABLES.items():
                for name, entry in _table(table, key).items():
                    placed = "target" if target and scope == "project" else scope
                    yield self._one(name, entry, placed, patched)
        for name, entry in _table(self.table, "workspace", "dependencies").items():
            yield self._one(name, entry, "workspace", patched)

    def _targets(self) -> Iterator[tuple[Mapping[str, Any], str]]:
        for target, table in _table(self.table, "target").items():
            if isinstance(table, dict):
                yield table, target

    def _one(self, name: str, entry: Any, scope: str, patched: frozenset[str]) -> Declared:
        where = Evidence(
            self.path,
            line_of(self._text, f"\n{name} ", f"\n{name}=", f"\n{name}.", f".{name}]", name),
        )
        if where.line and self._text.split("\n")[where.line - 1].strip() == "":
            where = Evidence(self.path, where.line + 1)
        optional = isinstance(entry, dict) and entry.get("optional") is True
        if isinstance(entry, dict) and entry.get("workspace") is True:
            entry = self._inherited(name, where)
        if isinstance(entry, str):
            entry = {"version": entry}
        if not isinstance(entry, dict):
            raise CannotEvaluate(f"{where}: {name} is no dependency", where)
        real = entry.get("package", name)
        allowed = (
            Unknown(f"a [patch] or [replace] decides on {real}", where)
            if canonical(str(real)) in patched
            else _allowed(entry, where)
        )
        if optional and scope in ("project", "target"):
            scope = "optional"
        text = f'{name} = "{entry.get("version", "")}"'
        return Declared(canonical(str(real)), text, scope, allowed, where)

    def _inherited(self, name: str, where: Evidence) -> Any:
        """The entry of ``[workspace.dependencies]``. Raises CannotEvaluate without one."""
        root = self._workspace()
        listed = _table(root.table, "workspace", "dependencies") if root else {}
        if name not in listed:
            place = f"{root.path} has none" if root else "there is no workspace above it"
            raise CannotEvaluate(f"{where}: {name} is the workspace's, but {place}", where)
        return listed[name]

    def _workspace(self) -> _Manifest | None:
        if isinstance(self.table.get("workspace"), dict):
            return self
        named = _table(self.table, "package").get("workspace")
        if isinstance(named, str):
            place = beside(self.path, named, "Cargo.toml")
            return _Manifest(place, self._project) if self._project.find((place,)) else None
        folder = posixpath.dirname(self.path)
        while folder:
            folder = posixpath.dirname(folder)
            place = posixpath.join(folder, "Cargo.toml")
            if self._project.find((place,)):
                found = _Manifest(place, self._project)
                if isinstance(found.table.get("workspace"), dict):
                    return found
        return None

    def _patched(self) -> frozenset[str]:
        """Crates that come from elsewhere: said by the root of the workspace."""
        tables = [self.table]
        if (root := self._workspace()) is not None:
            tables.append(root.table)
        found: set[str] = set()
        for table in tables:
            for source in _table(table, "patch").values():
                for name, entry in source.items() if isinstance(source, dict) else ():
                    package = entry.get("package", name) if isinstance(entry, dict) else name
                    found.add(canonical(str(package)))
            found |= {canonical(name.split(":")[0]) for name in _table(table, "replace")}
        return frozenset(found)


def _allowed(entry: Mapping[str, Any], where: Evidence) -> Allowed:
    for key in ("git", "path", "registry"):
        if key in entry and (key != "registry" or "version" not in entry):
            return Unknown(f"the crate comes from elsewhere ({key})", where)
    written = entry.get("version")
    if not isinstance(written, str):
        return Unknown("no version is declared", where)
    try:
        intervals = cargo_range(written)
    except PreRelease:
        return Unknown(f"{written!r} names a pre-release, which follows rules of its own", where)
    except NoRange:
        return Unknown(f"{written!r} is no range of Cargo's", where)
    if not intervals:
        return Unknown(f"{written!r} allows no version at all", where)
    return SemverRange(intervals, "^")


def _table(value: Any, *keys: str) -> Mapping[str, Any]:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


CARGO = Ecosystem("cargo", canonical, _declared, range_problem, overlap)
