"""How PostgreSQL's types are asked of the server, and what they are in Arrow and so in Parquet.

The choice for each type is the one that every common reader gets right (pyarrow, pandas, polars,
DuckDB; ``docs/formats.md`` has the table). So a numeric of more than 38 digits is text, although
Parquet has decimals of 76: DuckDB 1.5 reads those as wrong doubles, polars 2.1 not at all.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from psycopg import sql

from waybill.catalog.comparisons import FIRST_OF_THEIRS
from waybill.catalog.resolved import ResolvedColumn
from waybill.formats.statement import column_value

TEXT: Final = pa.string()
JSON: Final = pa.json_(pa.string())
UUID: Final = pa.uuid()
BINARY: Final = pa.binary()
DATE: Final = pa.date32()
TIME: Final = pa.time64("us")
TIMESTAMP: Final = pa.timestamp("us")
TIMESTAMPTZ: Final = pa.timestamp("us", tz="UTC")

_SCALARS: Final[dict[int, pa.DataType]] = {
    16: pa.bool_(),
    17: BINARY,
    20: pa.int64(),
    21: pa.int16(),
    23: pa.int32(),
    26: pa.uint32(),  # oid
    114: JSON,
    700: pa.float32(),
    701: pa.float64(),
    1082: DATE,
    1083: TIME,
    1114: TIMESTAMP,
    1184: TIMESTAMPTZ,
    2950: UUID,
    3802: JSON,
}
"""By ``pg_type.oid``. What is not here, nor numeric, is PostgreSQL's text."""

_ELEMENTS: Final[dict[int, int]] = {
    199: 114,
    1000: 16,
    1001: 17,
    1005: 21,
    1007: 23,
    1016: 20,
    1021: 700,
    1022: 701,
    1028: 26,
    1115: 1114,
    1182: 1082,
    1183: 1083,
    1185: 1184,
    1231: 1700,
    3807: 3802,
}
"""Arrays' ``oid`` to that of their elements. uuid[] is left as text: pandas 3.1 cannot read lists
of the UUID type."""

_BOOL_OID: Final = 16
_NUMERIC_OID: Final = 1700
_NUMERIC: Final = re.compile(r"numeric\((\d+),(-?\d+)\)")
_MAX_PRECISION: Final = 38


@dataclass(frozen=True, slots=True)
class ArrowColumn:
    """A column as it is selected, read and written. ``element`` is the type of a value, or of a
    list's elements where ``is_list``; ``value`` is what the COPY selects."""

    name: str
    header: str
    type_name: str
    value: sql.Composable
    element: pa.DataType
    is_list: bool = False

    @property
    def field(self) -> pa.Field:
        """The column of the file, with PostgreSQL's name of its type as metadata."""
        kind = pa.list_(self.element) if self.is_list else self.element
        return pa.field(self.header, kind, metadata={"postgresql_type": self.type_name})


def arrow_column(column: ResolvedColumn, text_columns: Collection[str] = ()) -> ArrowColumn:
    """Return how a column is carried; as PostgreSQL's text if it is in ``text_columns``."""
    value = column_value(column)
    element, is_list = TEXT, False
    if column.name in text_columns:
        # COPY prints t and f, which are text to every reader but PostgreSQL.
        if column.base_type_oid == _BOOL_OID:
            value = sql.SQL("{}::pg_catalog.text").format(value)
    else:
        is_list = column.base_type_name.endswith("[]")
        oid = _ELEMENTS.get(column.base_type_oid, 0) if is_list else column.base_type_oid
        element = _scalar(oid, column.base_type_name.removesuffix("[]"))
        if is_list:
            value = sql.SQL("pg_catalog.to_json({})").format(_texts(value, column.base_type_oid))
    return ArrowColumn(column.name, column.header, column.type_name, value, element, is_list)


def _texts(value: sql.Composable, type_oid: int) -> sql.Composed:
    """Return an array's elements as texts: JSON has no NaN, its numbers would be read as doubles.

    A cast of elements calls what the owner of their type made for it. Types of the user's own go by
    the array's text instead, which says the same wherever a comma stands between elements.
    """
    if type_oid < FIRST_OF_THEIRS:
        return sql.SQL("{}::pg_catalog.text[]").format(value)
    return sql.SQL(
        "CASE WHEN {value} IS NULL THEN NULL "
        "WHEN (SELECT t.typdelim OPERATOR(pg_catalog.=) ','::pg_catalog.\"char\" "
        "FROM pg_catalog.pg_type AS t WHERE t.oid OPERATOR(pg_catalog.=) {oid}::pg_catalog.oid) "
        "THEN pg_catalog.concat({value})::pg_catalog.text[] ELSE {value}::pg_catalog.text[] END"
    ).format(value=value, oid=sql.Literal(str(type_oid)))


def _scalar(oid: int, type_name: str) -> pa.DataType:
    if oid != _NUMERIC_OID:
        return _SCALARS.get(oid, TEXT)
    declared = _NUMERIC.fullmatch(type_name)
    if declared is None:
        return TEXT  # any number of digits
    precision, scale = int(declared[1]), int(declared[2])
    # PostgreSQL 15 and later: numeric(3,-2) is in hundreds, numeric(2,5) is 0.00012.
    precision, scale = max(precision - min(scale, 0), scale), max(scale, 0)
    return pa.decimal128(precision, scale) if precision <= _MAX_PRECISION else TEXT
