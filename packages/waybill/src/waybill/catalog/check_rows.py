"""Whether PostgreSQL can choose rows as a type declares: its row scope, filters and ``since``.

Each is put into a statement that returns nothing, so only its meaning is tried.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Final

import psycopg
from psycopg import sql

from waybill.catalog.comparisons import (
    Comparisons,
    of_their_own,
    operators_query,
    read_operators,
)
from waybill.catalog.connect import only_one
from waybill.catalog.filters import Condition, Filter, Value
from waybill.catalog.findings import Finding
from waybill.catalog.model import ExportType
from waybill.catalog.names import visible
from waybill.catalog.relation_sql import from_source, source_column
from waybill.catalog.relations import Connection
from waybill.catalog.where import where_clause
from waybill.errors import SourceRejected
from waybill.filter_types import FilterType

_SOME_TIME = datetime(2000, 1, 1, tzinfo=UTC)
_SAMPLES: Final[dict[FilterType, Value]] = {
    "text": "",
    "integer": 0,
    "number": 0,
    "boolean": False,
    "date": date(2000, 1, 1),
    "timestamp": _SOME_TIME.replace(tzinfo=None),
    "timestamptz": _SOME_TIME,
    "uuid": "00000000-0000-0000-0000-000000000000",
}


def check_rows(connection: Connection, export_type: ExportType) -> Iterator[Finding]:
    """Yield what PostgreSQL refuses; the source itself is known to be readable."""
    name = export_type.name
    if export_type.scope is not None:
        # NULL fits every type; a value that does not (a tenant "acme" for a uuid) is for the day
        # it comes, since which values come is the authenticator's matter.
        where = where_clause(scope=export_type.scope, principal={})
        if problem := _refusal(connection, export_type, where):
            yield Finding(
                "error", name, "scope_refused", f"PostgreSQL refuses the scope: {problem}.",
                "Name columns of the source alone, and compare them with values of their type.",
            )  # fmt: skip
    compared = _comparisons(connection, export_type)
    for each in export_type.filters:
        try:
            where = where_clause(conditions=_try(each), comparisons=compared)
            problem = _refusal(connection, export_type, where)
        except SourceRejected as exc:
            problem = str(exc).removesuffix(".")
        if problem:
            yield Finding(
                "error", name, "filter_refused",
                f"PostgreSQL cannot filter by {each.name!r}: {problem}.",
                "Correct the filter's column or type; for an enum, list its values.",
            )  # fmt: skip
    if export_type.since:
        where = where_clause(since=(export_type.since, _SOME_TIME), comparisons=compared)
        if problem := _refusal(connection, export_type, where):
            yield Finding(
                "error", name, "since_refused",
                f"PostgreSQL cannot compare {export_type.since!r} with a time: {problem}.",
                "Name a timestamptz column of the source.",
            )  # fmt: skip


def _comparisons(connection: Connection, export_type: ExportType) -> dict[str, Comparisons]:
    """Return how the columns compare that are filtered by, as a run has it."""
    names = {each.column_name for each in export_type.filters} | {export_type.since} - {""}
    types: dict[str, int] = {}
    for name in names:
        statement = sql.SQL("SELECT {} {} LIMIT 0").format(
            source_column(name), from_source(export_type.source)
        )
        # A column that is missing is told by what is tried with it.
        with contextlib.suppress(psycopg.errors.UndefinedColumn), connection.transaction():
            cursor = only_one(connection, statement)
            # The description has domains taken off.
            for column in cursor.description or ():
                types[name] = column.type_code
    theirs = of_their_own(types.values())
    if not theirs:
        return {}
    found = read_operators(connection.execute(operators_query(theirs)).fetchall())
    return {name: found[oid] for name, oid in types.items() if oid in found}


def _try(each: Filter) -> tuple[Condition, ...]:
    sample = each.values[0] if each.values else _SAMPLES[each.type]
    values: dict[str, Value | tuple[Value, ...]] = {"in": (sample,), "is_null": True}
    return tuple(
        Condition(each.name, each.column_name, operator, values.get(operator, sample))
        for operator in each.allowed
    )


def _refusal(
    connection: Connection, export_type: ExportType, where: sql.Composable | None
) -> str | None:
    statement = sql.SQL("SELECT 1 {} LIMIT 0").format(from_source(export_type.source, where))
    try:
        with connection.transaction():
            only_one(connection, statement)
    except psycopg.Error as exc:
        # Classes 42 and 22 speak of the operator's text and of the samples above, never of rows:
        # LIMIT 0 reads none.
        if connection.broken or not (exc.sqlstate or "").startswith(("42", "22")):
            raise
        return visible(exc.diag.message_primary or "")
    return None
