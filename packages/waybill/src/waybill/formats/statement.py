"""The COPY statements. Built with ``psycopg.sql`` alone: a name is an ``Identifier``, a text a
``Literal``; the only SQL taken as it stands is the operator's own query from the catalog.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from psycopg import sql

from waybill.catalog.relation_sql import from_source, source_column
from waybill.catalog.resolved import ResolvedColumn
from waybill.formats.computed import runs
from waybill.formats.formula_guard import guard_expression, is_guarded_column
from waybill.formats.plan import ExportPlan

_ROW = sql.Identifier("waybill_row")

BOOL_OID = 16
TIMESTAMP_OID = 1114
TIMESTAMPTZ_OID = 1184

_NAME_BYTES = 63
"""NAMEDATALEN - 1: PostgreSQL cuts a longer column alias, and so a longer JSON key, silently."""

_CONCAT_ARGUMENTS = 90
"""A function takes at most 100 arguments (FUNC_MAX_ARGS); nested calls take any number."""


def _order_by(names: Sequence[str]) -> sql.Composable:
    if not names:
        return sql.SQL("")
    return sql.SQL(" ORDER BY ") + sql.SQL(", ").join(map(source_column, names))


def _rows_of(plan: ExportPlan) -> tuple[sql.Composable, sql.Composable]:
    """Return ``FROM … WHERE …`` and ``ORDER BY … LIMIT …`` of a plan."""
    order = _order_by(plan.order_by)
    if plan.limit is not None:
        order = sql.SQL("{} LIMIT {}").format(order, sql.Literal(plan.limit))
    return from_source(plan.export_type.source, plan.where), order


def column_value(column: ResolvedColumn) -> sql.Composable:
    """Return the source's column; NULL for one that is computed afterwards."""
    if column.computed is not None:
        return sql.SQL("NULL::pg_catalog.text")
    return source_column(column.name)


def csv_value(column: ResolvedColumn, *, formula_guard: bool) -> sql.Composable:
    """Return the column as CSV should print it: ISO 8601 with ``T`` and ``+00:00``, booleans as
    ``true`` and ``false`` (COPY's own ``t`` and ``f`` are text to every other reader).

    ``to_json`` writes exactly that and is right for every value, but costs several times what the
    cast and ``replace`` do. So it is left the values that the cheap expression gets wrong:
    infinity and years BC. Under the session's ``TimeZone=UTC`` the cast always ends in ``+00``.
    """
    value = column_value(column)
    if column.computed is not None:
        return value
    if column.base_type_oid == BOOL_OID:
        return sql.SQL("{}::pg_catalog.text").format(value)
    if formula_guard and is_guarded_column(column):
        return guard_expression(value, column.base_type_oid)
    if column.base_type_oid == TIMESTAMPTZ_OID:
        text = sql.SQL("{}::pg_catalog.text OPERATOR(pg_catalog.||) ':00'").format(value)
        type_name = sql.SQL("'0001-01-01 00:00:00+00'::pg_catalog.timestamptz")
        end = sql.SQL("'infinity'::pg_catalog.timestamptz")
    elif column.base_type_oid == TIMESTAMP_OID:
        text = sql.SQL("{}::pg_catalog.text").format(value)
        type_name = sql.SQL("'0001-01-01 00:00:00'::pg_catalog.timestamp")
        end = sql.SQL("'infinity'::pg_catalog.timestamp")
    else:
        return value
    return sql.SQL(
        "CASE WHEN {value} OPERATOR(pg_catalog.>=) {start} "
        "AND {value} OPERATOR(pg_catalog.<) {end} "
        "THEN pg_catalog.replace({text}, ' ', 'T') "
        "ELSE pg_catalog.btrim(pg_catalog.to_json({value})::pg_catalog.text, '\"') END"
    ).format(value=value, start=type_name, end=end, text=text)


def copy_csv(
    plan: ExportPlan, *, delimiter: str, null_text: str, formula_guard: bool = False
) -> sql.Composed:
    """Return a COPY that sends RFC 4180 records, each ended by a bare LF, without a header."""
    return copy_values(
        plan,
        [csv_value(column, formula_guard=formula_guard) for column in plan.columns],
        delimiter=delimiter,
        null_text=null_text,
    )


def copy_values(
    plan: ExportPlan,
    values: Sequence[sql.Composable],
    *,
    delimiter: str,
    quote: str = '"',
    null_text: str = "",
) -> sql.Composed:
    """Return a COPY of ``values``, SQL expressions over the plan's source, in ``FORMAT csv``;
    behind them, what computed columns read."""
    source, order = _rows_of(plan)
    values = [*values, *map(column_value, plan.reads)]
    return sql.SQL(
        "COPY (SELECT {values} {source}{order}) TO STDOUT "
        "(FORMAT csv, DELIMITER {delimiter}, QUOTE {quote}, NULL {null}, ENCODING 'UTF8')"
    ).format(
        values=sql.SQL(", ").join(values),
        source=source,
        order=order,
        delimiter=sql.Literal(delimiter),
        quote=sql.Literal(quote),
        null=sql.Literal(null_text),
    )


def copy_json(plan: ExportPlan) -> sql.Composed:
    """Return a COPY that sends one JSON object per row, headers as keys, in order.

    ``row_to_json`` over a subquery is quicker than ``json_build_object`` and has no limit of 100
    arguments (ADR-0009 has the figures). Labels that do not fit a column alias are assembled from
    ``to_json`` of each value instead. In ``FORMAT binary`` a text passes as it is, which
    ``FORMAT csv`` looks through, even with a quote and a delimiter that JSON cannot hold.
    """
    if plan.computed:
        return _copy_json_pieces(plan)
    source, order = _rows_of(plan)
    if _has_long_header(plan.columns):
        select = sql.SQL("SELECT {} {}{}").format(_json_object(plan.columns), source, order)
    else:
        values = _as_headers(plan.columns)
        # ``waybill_row.*``, since a bare ``waybill_row`` would mean a column of that name.
        select = sql.SQL(
            "SELECT pg_catalog.row_to_json({row}.*) FROM (SELECT {values} {source}{order}) AS {row}"
        ).format(row=_ROW, values=values, source=source, order=order)
    return sql.SQL("COPY ({}) TO STDOUT (FORMAT binary)").format(select)


def _copy_json_pieces(plan: ExportPlan) -> sql.Composed:
    """Return a COPY that sends an object for each run of columns between computed ones."""
    pieces: list[sql.Composable] = []
    for run in runs(plan.columns):
        if not isinstance(run, list):
            continue
        if _has_long_header(run):
            pieces.append(_json_object(run))
        else:
            pieces.append(
                sql.SQL("(SELECT pg_catalog.row_to_json({row}.*) FROM (SELECT {values}) AS {row})")
                .format(row=_ROW, values=_as_headers(run))
            )  # fmt: skip
    return copy_values(plan, pieces, delimiter="\x02", quote="\x01")


def _has_long_header(columns: Iterable[ResolvedColumn]) -> bool:
    return any(len(column.header.encode()) > _NAME_BYTES for column in columns)


def _as_headers(columns: Iterable[ResolvedColumn]) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(source_column(column.name), sql.Identifier(column.header))
        for column in columns
    )


def _json_object(columns: Iterable[ResolvedColumn]) -> sql.Composable:
    pieces: list[sql.Composable] = []
    for index, column in enumerate(columns):
        opening = "{" if index == 0 else ","
        pieces.append(sql.Literal(f"{opening}{json.dumps(column.header, ensure_ascii=False)}:"))
        pieces.append(
            sql.SQL("coalesce(pg_catalog.to_json({})::pg_catalog.text, 'null')").format(
                source_column(column.name)
            )
        )
    pieces.append(sql.Literal("}"))
    while len(pieces) > 1:
        pieces = [
            sql.SQL("pg_catalog.concat({})").format(
                sql.SQL(", ").join(pieces[start : start + _CONCAT_ARGUMENTS])
            )
            for start in range(0, len(pieces), _CONCAT_ARGUMENTS)
        ]
    return pieces[0]
