"""Declared requirements: ``pyproject.toml`` (PEP 621, PEP 735) and requirements files."""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from adrkit.checks.verdict import CannotEvaluate, Evidence

_OPTION = re.compile(r"\s--?[A-Za-z]")
_INCLUDE = re.compile(r"(?:-r|--requirement)(?:\s+|=)(\S+)")


@dataclass(frozen=True, slots=True)
class Declared:
    """One requirement; ``scope`` is "project", "extra:NAME", "group:NAME" or "file"."""

    requirement: Requirement
    scope: str
    evidence: Evidence

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)


# --- pyproject.toml -------------------------------------------------------------------------


def pyproject_requirements(path: str, data: bytes) -> list[Declared] | None:
    """None when the file declares no dependencies in a standard way: it proves nothing then.

    Raises CannotEvaluate.
    """
    try:
        text = data.decode("utf-8-sig")
        table = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CannotEvaluate(f"{path} is not valid TOML: {error}", Evidence(path)) from error
    project = table.get("project")
    groups = table.get("dependency-groups")
    if not isinstance(project, dict) and not isinstance(groups, dict):
        return None
    found: list[Declared] = []
    project = project if isinstance(project, dict) else {}
    if "dependencies" in project.get("dynamic", []):
        raise CannotEvaluate(f"{path} computes its dependencies (`dynamic`)", Evidence(path))
    found += _declared(path, text, "project", project.get("dependencies", []))
    for extra, listed in project.get("optional-dependencies", {}).items():
        found += _declared(path, text, f"extra:{extra}", listed)
    for group, listed in (groups if isinstance(groups, dict) else {}).items():
        found += _declared(path, text, f"group:{group}", listed)
    return found


def _declared(path: str, text: str, scope: str, listed: Any) -> Iterator[Declared]:
    for item in listed if isinstance(listed, list) else []:
        if isinstance(item, str):  # a table is PEP 735's include-group, listed by itself
            where = Evidence(path, _line_of(text, item))
            yield Declared(_parsed(item, where), scope, where)


def _line_of(text: str, quoted: str) -> int | None:
    at = max(text.find(f'"{quoted}"'), text.find(f"'{quoted}'"))
    return text.count("\n", 0, at) + 1 if at >= 0 else None


def _parsed(text: str, where: Evidence) -> Requirement:
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        raise CannotEvaluate(f"{where} holds no requirement: {text!r}", where) from error


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
        yield Declared(_parsed(bare.strip(), where), "file", where)


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


def within(declared: SpecifierSet, wanted: SpecifierSet) -> bool:
    """Whether every version that ``declared`` allows is one that ``wanted`` allows.

    Both sets are unions of intervals between the versions they name, so it is enough to try each
    named version and one version just below and just above it.
    """
    for candidate in _candidates(declared, wanted):
        if declared.contains(candidate, prereleases=True) and not wanted.contains(
            candidate, prereleases=True
        ):
            return False
    return True


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
