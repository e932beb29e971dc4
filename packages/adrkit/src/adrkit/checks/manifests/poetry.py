"""``[tool.poetry]``: its tables, and its version constraints as unions of PEP 440 ranges."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from adrkit.checks.manifests.declared import Allowed, Declared, Unknown, line_of
from adrkit.checks.verdict import CannotEvaluate, Evidence

_ELSEWHERE = ("git", "path", "url", "file")


def poetry_entries(
    path: str,
    text: str,
    poetry: Mapping[str, Any],
    range_of: Callable[[tuple[SpecifierSet, ...]], Allowed],
) -> Iterator[Declared]:
    """Raises CannotEvaluate for entries that are none."""
    extras = poetry.get("extras")
    tables: list[tuple[str, Any]] = [
        ("project", poetry.get("dependencies")),
        ("group:dev", poetry.get("dev-dependencies")),
    ]
    groups = poetry.get("group")
    for group, table in groups.items() if isinstance(groups, dict) else ():
        listed = table.get("dependencies") if isinstance(table, dict) else None
        tables.append((f"group:{group}", listed))
    for scope, table in tables:
        seen: set[str] = set()
        for name, written in table.items() if isinstance(table, dict) else ():
            bare = canonicalize_name(name)
            if bare == "python":
                continue
            where = Evidence(path, line_of(text, f"\n{name} ", f"\n{name}=", f".{name}]", name))
            if where.line and not text.split("\n")[where.line - 1].strip():
                where = Evidence(path, where.line + 1)
            if bare in seen:
                raise CannotEvaluate(f"{where}: {bare} is there twice", where)
            seen.add(bare)
            for entry in written if isinstance(written, list) else [written]:
                yield from _declared(name, entry, scope, where, extras, range_of)


def _declared(
    name: str,
    entry: Any,
    scope: str,
    where: Evidence,
    extras: Any,
    range_of: Callable[[tuple[SpecifierSet, ...]], Allowed],
) -> Iterator[Declared]:
    table = {"version": entry} if isinstance(entry, str) else entry
    if not isinstance(table, dict):
        raise CannotEvaluate(f"{where}: {name} is no dependency", where)
    written = table.get("version")
    bare = canonicalize_name(name)
    allowed: Allowed
    if any(key in table for key in _ELSEWHERE):
        allowed = Unknown("it comes from elsewhere, whatever its version", where)
    elif not isinstance(written, str):
        if set(table) <= {"source", "allow-prereleases"}:
            return  # beside [project], which has the version
        allowed = Unknown(f"{name} has no version there", where)
    else:
        try:
            allowed = range_of(constraint(written))
        except ValueError:
            allowed = Unknown(f"{written!r} is no constraint of Poetry's", where)
    scopes = [scope]
    if table.get("optional") is True and scope == "project":
        named = [
            f"extra:{extra}"
            for extra, listed in (extras.items() if isinstance(extras, dict) else ())
            if isinstance(listed, list) and bare in {canonicalize_name(str(x)) for x in listed}
        ]
        scopes = named or ["optional"]
    for each in scopes:
        yield Declared(bare, f"{name} {written or ''}".strip(), each, allowed, where)


def constraint(text: str) -> tuple[SpecifierSet, ...]:
    """PEP 440 and what Poetry adds: ``^1.2``, ``~1.2``, ``1.2.*``, ``||``, a bare version.

    Raises ValueError (of which InvalidSpecifier and InvalidVersion are kinds).
    """
    return tuple(
        SpecifierSet(",".join(_pep440(part) for part in _parts(alternative)))
        for alternative in re.split(r"\|\|?", text)
    )


def _parts(text: str) -> list[str]:
    spaced = re.sub(r"(\^|~=?|===?|!=|[<>]=?)\s+", r"\1", text.strip())
    return [part for part in re.split(r"[,\s]+", spaced) if part]


def _pep440(part: str) -> str:
    if part == "*":
        return ">=0"
    if part.startswith("^"):
        return _from_to(part[1:], caret=True)
    if part.startswith("~") and not part.startswith("~="):
        return _from_to(part[1:], caret=False)
    if part[0].isdigit() or part[0] == "v":
        return f"=={part}"
    if part.startswith("=") and not part.startswith("=="):
        return f"={part}"
    return part


def _from_to(text: str, *, caret: bool) -> str:
    version = Version(text)
    release = list(version.release)
    at = min(1, len(release) - 1)
    if caret:
        at = next((i for i, number in enumerate(release) if number), len(release) - 1)
    behind = [*release[:at], release[at] + 1]
    return f">={version},<{'.'.join(map(str, behind))}"
