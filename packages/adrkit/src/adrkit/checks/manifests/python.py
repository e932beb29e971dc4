"""Declared requirements of Python: ``pyproject.toml`` (PEP 621, PEP 735, Poetry, uv) and
requirements files."""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from adrkit.checks.manifests.declared import (
    Allowed,
    Declared,
    Ecosystem,
    Project,
    Unknown,
    line_of,
    member_manifests,
)
from adrkit.checks.manifests.poetry import constraint, poetry_entries
from adrkit.checks.verdict import CannotEvaluate, Evidence

_OPTION = re.compile(r"\s--?[A-Za-z]")
_INCLUDE = re.compile(r"(?:-r|--requirement)(?:\s+|=)(\S+)")


@dataclass(frozen=True, slots=True)
class PythonRange:
    """A union of PEP 440 ranges; only Poetry's ``||`` makes more than one."""

    sets: tuple[SpecifierSet, ...]

    def within(self, wanted: str) -> bool:
        return within(self.sets, constraint(wanted))


def _declared(path: str, project: Project) -> list[Declared] | None:
    if not path.endswith(".toml"):
        return file_requirements(path, project.read)
    return pyproject_requirements(path, project)


def _range_problem(text: str) -> str | None:
    try:
        constraint(text)
    except ValueError:
        return f"{text!r} is no version range like >=5.4,<6"
    return None


def _overlap(first: str, second: str) -> bool:
    both = tuple(one & other for one in constraint(first) for other in constraint(second))
    # Nothing lies within an empty set of versions: whatever is asked of it holds.
    return not within(both, (SpecifierSet("==0.dev0"),))


# --- pyproject.toml -------------------------------------------------------------------------


def pyproject_requirements(path: str, project: Project) -> list[Declared] | None:
    """None when the file declares no dependencies in a way that is known: it proves nothing then.

    The members of a uv workspace are read, too. Raises CannotEvaluate.
    """
    text, table = _toml(path, project.read(path))
    found = _of_pyproject(path, text, table)
    workspace = _table(table, "tool", "uv", "workspace")
    members = member_manifests(path, workspace.get("members"), workspace.get("exclude"), project)
    for member in members:
        inner_text, inner = _toml(member, project.read(member))
        found = (found or []) + (_of_pyproject(member, inner_text, inner) or [])
    return found


def _toml(path: str, data: bytes) -> tuple[str, dict[str, Any]]:
    try:
        text = data.decode("utf-8-sig")
        return text, tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CannotEvaluate(f"{path} is not valid TOML: {error}", Evidence(path)) from error


def _of_pyproject(path: str, text: str, table: Mapping[str, Any]) -> list[Declared] | None:
    poetry, uv = _table(table, "tool", "poetry"), _table(table, "tool", "uv")
    known = ("project" in table, "dependency-groups" in table, "dev-dependencies" in uv)
    by_poetry = "dependencies" in poetry or "group" in poetry or "dev-dependencies" in poetry
    if not any(known) and not by_poetry:
        return None
    found: list[Declared] = []
    project = _table(table, "project")
    dynamic = project.get("dynamic", [])
    for key in ("dependencies", "optional-dependencies"):
        if key in dynamic and "dependencies" not in poetry:
            raise CannotEvaluate(f"{path} computes its {key} (`dynamic`)", Evidence(path))
    found += _listed(path, text, "project", project.get("dependencies", []))
    for extra, listed in _table(project, "optional-dependencies").items():
        found += _listed(path, text, f"extra:{extra}", listed)
    groups = _table(table, "dependency-groups")
    for group in groups:
        found += _listed(path, text, f"group:{group}", _expanded(path, groups, group, ()))
    found += _listed(path, text, "group:dev", uv.get("dev-dependencies", []))
    found += poetry_entries(path, text, poetry, _range_of)
    return [_as_uv_decides(item, uv) for item in found]


def _range_of(sets: tuple[SpecifierSet, ...]) -> Allowed:
    return PythonRange(sets)


def _expanded(
    path: str, groups: Mapping[str, Any], group: str, within_groups: tuple[str, ...]
) -> list[str]:
    """A group with those that it includes (PEP 735). Raises CannotEvaluate."""
    by_name = {canonicalize_name(name): listed for name, listed in groups.items()}
    if len(by_name) != len(groups):
        raise CannotEvaluate(f"{path} has a dependency group twice", Evidence(path))
    name = canonicalize_name(group)
    if name in within_groups or name not in by_name:
        problem = "includes itself" if name in within_groups else "is included, but not there"
        raise CannotEvaluate(f"{path}: the dependency group {group} {problem}", Evidence(path))
    found: list[str] = []
    for item in by_name[name] if isinstance(by_name[name], list) else []:
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, dict) and isinstance(inner := item.get("include-group"), str):
            found += _expanded(path, groups, inner, (*within_groups, name))
        else:
            where = Evidence(path)
            raise CannotEvaluate(f"{path}: the group {group} holds no requirement: {item}", where)
    return found


def _as_uv_decides(item: Declared, uv: Mapping[str, Any]) -> Declared:
    """With ``[tool.uv]`` the version may be decided by a source or an override."""
    sources = {str(canonicalize_name(name)): entry for name, entry in _table(uv, "sources").items()}
    source = sources.get(item.name)
    entries = source if isinstance(source, list) else [source]
    if any(isinstance(entry, dict) and "index" not in entry for entry in entries):
        reason = f"[tool.uv.sources] says where {item.name} comes from, whatever its version"
    elif item.name in _names(uv.get("override-dependencies")):
        reason = f"override-dependencies decide on {item.name}"
    else:
        return item
    allowed = Unknown(reason, item.evidence)
    return Declared(item.name, item.text, item.scope, allowed, item.evidence, item.doubt)


def _names(listed: object) -> set[str]:
    found: list[str] = []
    for item in listed if isinstance(listed, list) else []:
        if isinstance(item, str) and (match := re.match(r"\s*([A-Za-z0-9][\w.-]*)", item)):
            found.append(match[1])
    return {canonicalize_name(name) for name in found}


def _listed(path: str, text: str, scope: str, listed: Any) -> Iterator[Declared]:
    for item in listed if isinstance(listed, list) else []:
        if isinstance(item, str):
            where = Evidence(path, line_of(text, f'"{item}"', f"'{item}'"))
            yield _of_requirement(_parsed(item, where), scope, where)


def _of_requirement(requirement: Requirement, scope: str, where: Evidence) -> Declared:
    allowed: Allowed = PythonRange((requirement.specifier,))
    if requirement.url:
        allowed = Unknown("it comes from an address, whatever its version", where)
    name = canonicalize_name(requirement.name)
    return Declared(name, str(requirement), scope, allowed, where)


def _parsed(text: str, where: Evidence) -> Requirement:
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        raise CannotEvaluate(f"{where} holds no requirement: {text!r}", where) from error


def _table(value: Any, *keys: str) -> Mapping[str, Any]:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


# --- requirements files ---------------------------------------------------------------------


def file_requirements(path: str, read: Callable[[str], bytes]) -> list[Declared]:
    """Requirements of a pip requirements file and of the files it includes with ``-r``.

    Editable, URL and path entries that name no project are passed over; so are options. Raises
    what ``read`` raises, and CannotEvaluate.
    """
    return list(_file_requirements(path, read, set()))


def _file_requirements(
    path: str, read: Callable[[str], bytes], seen: set[str]
) -> Iterator[Declared]:
    if path in seen:
        return
    seen.add(path)
    text = read(path).decode("utf-8", "replace")
    for line, entry in _logical_lines(text):
        where = Evidence(path, line)
        if include := _INCLUDE.match(entry):
            inner = posixpath.normpath(posixpath.join(posixpath.dirname(path), include.group(1)))
            yield from _file_requirements(inner, read, seen)
            continue
        if entry.startswith("-") or re.match(r"(?:[a-z+]+://|\.{0,2}/|file:)", entry):
            continue
        bare = entry[: option.start()] if (option := _OPTION.search(entry)) else entry
        yield _of_requirement(_parsed(bare.strip(), where), "file", where)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Entries with the line they begin on: continued lines joined, comments and blanks left out."""
    pending, start = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = re.sub(r"(?:^|\s)#.*$", "", raw).rstrip()
        start = start if pending else number
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        entry = (pending + line).strip()
        pending = ""
        if entry:
            yield start, entry
    if pending.strip():
        yield start, pending.strip()


# --- ranges ---------------------------------------------------------------------------------


def within(declared: tuple[SpecifierSet, ...], wanted: tuple[SpecifierSet, ...]) -> bool:
    """Whether every version that one of ``declared`` allows is one that ``wanted`` allows.

    All are unions of intervals between the versions they name, so it is enough to try each named
    version and one version just below and just above it.
    """

    def allows(sets: tuple[SpecifierSet, ...], version: Version) -> bool:
        return any(specifiers.contains(version, prereleases=True) for specifiers in sets)

    return all(
        allows(wanted, version) or not allows(declared, version)
        for version in _candidates(*declared, *wanted)
    )


def _candidates(*sets: SpecifierSet) -> Iterator[Version]:
    yield Version("0")
    yield Version("99999")
    for specifiers in sets:
        for specifier in specifiers:
            text = specifier.version.removesuffix(".*")
            try:
                version = Version(text)
            except InvalidVersion:  # `===` with arbitrary text
                continue
            yield version
            release = list(version.release)
            yield Version(".".join(map(str, [*release, 0, 1])))
            bumped = [*release[:-1], release[-1] + 1]
            yield Version(".".join(map(str, bumped)))
            if len(release) > 1:  # the end of ~=1.4 and of ==1.4.*
                yield Version(".".join(map(str, [*release[:-2], release[-2] + 1])))
            below = _below(release)
            if below is not None:
                yield below


def _below(release: list[int]) -> Version | None:
    for index in range(len(release) - 1, -1, -1):
        if release[index]:
            return Version(".".join(map(str, [*release[:index], release[index] - 1, 99999])))
    return None


PYTHON = Ecosystem("python", canonicalize_name, _declared, _range_problem, _overlap)
