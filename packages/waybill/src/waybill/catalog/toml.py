"""Load a catalog from ``waybill.toml``; every problem of a file is told at once, with its line.

``file_model.py`` describes the file, ``model.py`` its meaning, ``explain.py`` writes the messages.
"""

from __future__ import annotations

import codecs
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from waybill.catalog.computed import Computed
from waybill.catalog.explain import explain, syntax_problem
from waybill.catalog.file_model import (
    CatalogFile,
    ColumnTable,
    ExportTable,
    PoliteTable,
    SourceTable,
    catalog_json_schema,
)
from waybill.catalog.filters import Filter
from waybill.catalog.locate import Path as KeyPath
from waybill.catalog.locate import Position, locate
from waybill.catalog.model import Catalog, Column, ExportType, QuerySource, TableSource
from waybill.catalog.names import parse_table_name
from waybill.catalog.politeness import NOT_LIMITED, UNSHARED, Hours, Politeness, Together
from waybill.catalog.problems import CatalogFileError, Problem
from waybill.catalog.scope import RowScope
from waybill.catalog.sources import DEFAULT_SOURCE, NamedSource, unknown_source, unused_source
from waybill.errors import ConfigurationError

__all__ = ["ExportTable", "catalog_json_schema", "load_catalog", "parse_catalog"]


def load_catalog(path: str | Path) -> Catalog:
    """Read a catalog file.

    Raises:
        ConfigurationError: it cannot be read, or ``CatalogFileError`` with all of its problems.
    """
    file = Path(path)
    try:
        raw = file.read_bytes()
    except FileNotFoundError as exc:
        raise ConfigurationError(
            f"There is no catalog at {file}. Write one with `waybill init --dsn …`, "
            "or name another in WAYBILL_CATALOG."
        ) from exc
    except OSError as exc:
        raise ConfigurationError(
            f"The catalog {file} cannot be read: {exc.strerror}. Give this process a readable file."
        ) from exc
    return parse_catalog(_decode(raw, str(file)), name=str(file))


def _decode(raw: bytes, name: str) -> str:
    """Return the text of a file, a byte order mark taken off; TOML is UTF-8 and nothing else."""
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in raw[:4]:
        problem = Problem(None, f"not UTF-8 but UTF-16, which Notepad calls Unicode; {_SAVE_AS}")
        raise CatalogFileError(name, [problem])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        before = raw[: exc.start].decode("utf-8", "replace").removeprefix("\ufeff")
        position = Position(before.count("\n") + 1, len(before) - before.rfind("\n"))
        problem = Problem(
            position,
            f"not UTF-8 (byte 0x{raw[exc.start]:02X}) but some other encoding, such as ANSI or "
            f"Latin-1; {_SAVE_AS}",
        )
        raise CatalogFileError(name, [problem]) from exc


_SAVE_AS = "save it as UTF-8 (in Notepad: File, Save as, Encoding: UTF-8)"


def parse_catalog(text: str, *, name: str = "waybill.toml") -> Catalog:
    """Build a catalog from the text of a file called ``name`` (for messages only).

    Raises:
        CatalogFileError: with all of its problems.
    """
    text = text.replace("\r\n", "\n")
    try:
        document = tomllib.loads(text)
        positions = locate(text)
    except RecursionError as exc:
        raise CatalogFileError(name, [Problem(None, "nested too deeply; flatten it")]) from exc
    except ValueError as exc:  # TOMLDecodeError, or a number too long for Python
        raise CatalogFileError(name, [syntax_problem(str(exc), text)]) from exc

    problems: list[Problem] = []
    broken: set[KeyPath] = set()
    try:
        CatalogFile.model_validate(document)
    except ValidationError as exc:
        for error in exc.errors(include_url=False):
            path = error["loc"]
            broken.add(path[:2])
            problems.append(Problem(_nearest(positions, path), explain(error, path)))

    def tell(found: Iterator[tuple[KeyPath, str]]) -> None:
        problems.extend(Problem(_nearest(positions, path), message) for path, message in found)

    exports, sources = _tables(document, "exports"), _tables(document, "sources")
    declared: list[NamedSource] = []
    for source_name, entry in sources.items():
        # One that does not hold is there all the same, for the types that name it.
        said = {} if ("sources", source_name) in broken else entry
        tell(_declare(declared, source_name, SourceTable.model_validate(said)))
    catalog = Catalog(sources=declared)
    for export_name, entry in exports.items():
        if ("exports", export_name) not in broken:
            tell(_build(catalog, export_name, ExportTable.model_validate(entry)))
    tell(_unused(declared, exports.values()))
    if problems:
        raise CatalogFileError(name, sorted(problems, key=lambda p: p.position or Position(0, 0)))
    return catalog


def _tables(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _declare(
    declared: list[NamedSource], name: str, table: SourceTable
) -> Iterator[tuple[KeyPath, str]]:
    """Add the source to those that are declared; yield what stands in the way besides."""
    at: KeyPath = ("sources", name)
    polite = NOT_LIMITED
    try:
        polite = _politeness(table.polite)
    except ConfigurationError as exc:
        yield (*at, "polite"), f"polite: {exc}"
    said = table.together
    together = (
        UNSHARED
        if said is None
        else Together(said.max_running, said.rows_per_second, said.mb_per_second)
    )
    try:
        declared.append(NamedSource(name, polite, table.standby, table.dsn_file or "", together))
    except ConfigurationError as exc:
        yield at, str(exc)


def _unused(
    declared: Iterable[NamedSource], exports: Iterable[object]
) -> Iterator[tuple[KeyPath, str]]:
    """Yield the sources that no type is read from: each is a mistake in a name, or left over."""
    named = [each.get("source", DEFAULT_SOURCE) for each in exports if isinstance(each, dict)]
    for source in declared:
        if source.name not in named:
            yield ("sources", source.name), unused_source(source.name)


def _build(catalog: Catalog, name: str, table: ExportTable) -> Iterator[tuple[KeyPath, str]]:
    """Add the export type to ``catalog``; yield what stands in the way instead."""
    at: KeyPath = ("exports", name)
    columns: list[Column] = []
    misspelt: list[tuple[KeyPath, str]] = []
    for index, column in enumerate(table.columns):
        try:
            columns.append(_column(column))
        except ConfigurationError as exc:
            misspelt.append(((*at, "columns", index), str(exc)))
    problems = [
        *misspelt,
        *(
            list(_duplicates([c.name for c in columns], (*at, "columns"), "column"))
            or _duplicates([c.header for c in columns], (*at, "columns"), "column label")
        ),
        *_duplicates(table.key, (*at, "key"), "key column"),
        *_duplicates([f.name for f in table.filters], (*at, "filters"), "filter"),
    ]
    source: TableSource | QuerySource | None = None
    scope: RowScope | None = None
    try:
        source = _source(table)
    except ValueError as exc:
        problems.append(((*at, "table"), f"table: {exc}."))
    except ConfigurationError as exc:
        problems.append(((*at, "query"), str(exc)))
    try:
        scope = RowScope(table.scope) if table.scope is not None else None
    except ConfigurationError as exc:
        problems.append(((*at, "scope"), str(exc)))
    polite = NOT_LIMITED
    try:
        polite = _politeness(table.polite)
    except ConfigurationError as exc:
        problems.append(((*at, "polite"), f"polite: {exc}"))
    if table.source not in catalog.sources:
        said = unknown_source(table.source, catalog.sources)
        problems.append(((*at, "source"), f"source: {said}"))
    filters: list[Filter] = []
    for index, entry in enumerate(table.filters):
        try:
            filters.append(
                Filter(
                    entry.name,
                    entry.type,
                    entry.column or "",
                    tuple(entry.operators),
                    tuple(entry.values),
                    entry.pii,
                )
            )
        except ConfigurationError as exc:
            problems.append(((*at, "filters", index), str(exc)))
    try:
        # The name is checked even when something else is wrong: all problems in one go.
        export_type = ExportType(
            name,
            source or TableSource("", ""),
            key=() if problems else tuple(table.key),
            columns=() if problems else tuple(columns),
            title=table.title,
            order=table.order,
            deadline_seconds=table.deadline_seconds,
            requires=tuple(table.requires),
            scope=scope,
            filters=() if problems else tuple(filters),
            since=table.since.column if table.since else "",
            since_pii=table.since.pii if table.since else None,
            quota=table.quota,
            # A key that is refused for another reason is told once.
            consistency="snapshot" if problems else table.consistency,
            requires_recent_login_seconds=table.requires_recent_login_seconds,
            search_path=() if problems else tuple(table.search_path),
            max_running=table.max_running,
            urgency=table.urgency,
            polite=polite,
            source_name=table.source,
        )
    except ConfigurationError as exc:
        problems.append((at, str(exc)))
    if problems:
        yield from problems
    else:
        catalog.add(export_type)


def _column(entry: ColumnTable) -> Column:
    label = entry.label or ""
    if entry.compute is None:
        return Column(entry.name, label, entry.pii or "")
    computed = Computed(entry.compute, tuple(entry.reads), entry.type, entry.pii)
    return Column(entry.name, label, computed=computed)


def _politeness(said: PoliteTable | None) -> Politeness:
    if said is None:
        return NOT_LIMITED
    return Politeness(
        rows_per_second=said.rows_per_second,
        mb_per_second=said.mb_per_second,
        hours=None if said.hours is None else Hours(said.hours, said.timezone),
        max_lag_seconds=said.max_lag_seconds,
        max_active_sessions=said.max_active_sessions,
        health_query=said.health_query,
    )


def _source(table: ExportTable) -> TableSource | QuerySource:
    if table.query is not None:
        return QuerySource(table.query)
    assert table.table is not None  # noqa: S101 - ExportTable checks it
    if table.schema_ is not None:
        return TableSource(table.schema_, table.table)
    return parse_table_name(table.table)


def _duplicates(names: list[str], path: KeyPath, what: str) -> Iterator[tuple[KeyPath, str]]:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            yield (*path, index), f"the {what} {name!r} is given twice; remove one of them"
        seen.add(name)


def _nearest(positions: Mapping[KeyPath, Position], path: KeyPath) -> Position | None:
    """Return the position of ``path`` or of the innermost thing around it that has one."""
    while path:
        if path in positions:
            return positions[path]
        path = path[:-1]
    return None
