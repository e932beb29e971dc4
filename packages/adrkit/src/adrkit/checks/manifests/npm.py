"""``package.json``: npm, pnpm, Yarn and Bun."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from adrkit.checks.data_files import parse_data
from adrkit.checks.manifests.declared import (
    Allowed,
    Declared,
    Ecosystem,
    Project,
    Unknown,
    decoded,
    line_of,
    member_manifests,
)
from adrkit.checks.manifests.semver import (
    NoRange,
    PreRelease,
    SemverRange,
    npm_range,
    overlap,
    range_problem,
)
from adrkit.checks.verdict import CannotEvaluate, Evidence

_TABLES = {
    "dependencies": "project", "optionalDependencies": "optional", "devDependencies": "dev",
    "peerDependencies": "peer",
}  # fmt: skip
_ALIAS = re.compile(r"npm:(?P<name>@?[^@]+)(?:@(?P<range>.*))?")


def _declared(path: str, project: Project) -> list[Declared]:
    """What the file declares, and its workspaces' members. Raises CannotEvaluate."""
    table, text = _parsed(path, project)
    found = list(_of_table(path, text, table, _overridden(table)))
    workspaces = table.get("workspaces")
    members = workspaces.get("packages") if isinstance(workspaces, dict) else workspaces
    for member in member_manifests(path, members, [], project):
        inner, inner_text = _parsed(member, project)
        found += _of_table(member, inner_text, inner, _overridden(table))
    return found


def _parsed(path: str, project: Project) -> tuple[dict[str, Any], str]:
    data = project.read(path)
    text = decoded(path, data)
    table = parse_data(path, data, "json")
    if not isinstance(table, dict):
        raise CannotEvaluate(f"{path} is no package.json: no object", Evidence(path))
    return table, text


def _of_table(
    path: str, text: str, table: Mapping[str, Any], overridden: frozenset[str]
) -> Iterator[Declared]:
    optional = table.get("optionalDependencies")
    for key, scope in _TABLES.items():
        listed = table.get(key, {})
        if not isinstance(listed, dict):
            raise CannotEvaluate(f"{path}: {key} is no table", Evidence(path))
        for name, written in listed.items():
            if key == "dependencies" and isinstance(optional, dict) and name in optional:
                continue  # npm: the optional entry counts
            where = Evidence(path, line_of(text[text.find(f'"{key}"') :], f'"{name}"'))
            line = line_of(text, f'"{key}"')
            if where.line and line:
                where = Evidence(path, where.line + line - 1)
            if not isinstance(written, str):
                raise CannotEvaluate(f"{where}: the version of {name} is no text", where)
            alias = _ALIAS.fullmatch(written.strip())
            real, wanted = (alias["name"], alias["range"] or "*") if alias else (name, written)
            allowed = (
                Unknown(f"overrides or resolutions decide on {real}", where)
                if {real, name} & overridden
                else _allowed(wanted, where)
            )
            yield Declared(real, f"{name}: {written}", scope, allowed, where)


def _allowed(written: str, where: Evidence) -> Allowed:
    try:
        intervals = npm_range(written)
    except PreRelease:
        return Unknown(f"{written!r} names a pre-release, which follows rules of its own", where)
    except NoRange:
        return Unknown(f"{written!r} is no range (a tag, an address, a folder, a catalog)", where)
    if not intervals:
        return Unknown(f"{written!r} allows no version at all", where)
    return SemverRange(intervals, "=")


def _overridden(table: Mapping[str, Any]) -> frozenset[str]:
    """Packages whose versions are decided elsewhere in the file."""
    pnpm = table.get("pnpm")
    places = [table.get("overrides"), table.get("resolutions")]
    places.append(pnpm.get("overrides") if isinstance(pnpm, dict) else None)
    return frozenset(name for place in places for name in _keys(place))


def _keys(place: object) -> Iterator[str]:
    """``name``, ``name@range``, ``parent/name``, ``parent>name``, nested ones too."""
    if not isinstance(place, dict):
        return
    for key, value in place.items():
        last = re.split(r">", str(key))[-1].removeprefix("**/")
        bare = re.sub(r"(?<=.)@.*$", "", last)
        yield bare
        parts = bare.split("/")
        if len(parts) > 1:
            yield parts[-1]
            yield "/".join(parts[-2:])
        yield from _keys(value)


NPM = Ecosystem("npm", str, _declared, range_problem, overlap)
