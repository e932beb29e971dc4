"""COPY's text into Arrow columns, by Arrow's own CSV reader: no value is touched in Python.

What that reader does not take (years beyond 9999 and BC, lists) is done here; what a type of Arrow
cannot hold (infinity among timestamps, NaN among decimals) is an error, never a NULL and never
another value.
"""

from __future__ import annotations

import array
import binascii
import json
import re
from collections.abc import Callable, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json

from waybill.catalog.names import visible
from waybill.errors import IncompleteExport, ValueNotRepresentable
from waybill.formats.arrow_types import (
    BINARY,
    DATE,
    JSON,
    TEXT,
    TIME,
    UUID,
    ArrowColumn,
)
from waybill.formats.half_pairs import holds_half_a_pair

DELIMITER: Final = "\x02"
QUOTE: Final = "\x01"
"""Bytes that text hardly ever holds, so that next to nothing is quoted; where it does, COPY quotes
and doubles as with any other."""

_BOM: Final = b"\xef\xbb\xbf"
_BLOCK_LIMIT: Final = 2**31 - 1


def literal(text: str) -> pa.Scalar:
    """Return a text as a scalar, for Arrow's kernels.

    ``pa.scalar`` and ``pa.array`` import pandas wherever it is installed, just to ask whether they
    were given something of it, which takes long and stays in memory.
    """
    content = text.encode()
    offsets = array.array("i", (0, len(content))).tobytes()
    return pa.Array.from_buffers(TEXT, 1, [None, pa.py_buffer(offsets), pa.py_buffer(content)])[0]


def number(value: int) -> pa.Scalar:
    """Return an int64 as a scalar; see ``literal``."""
    content = array.array("q", (value,)).tobytes()
    return pa.Array.from_buffers(pa.int64(), 1, [None, pa.py_buffer(content)])[0]


def read_columns(data: bytearray, columns: Sequence[ArrowColumn], rows: int) -> list[pa.Array]:
    """Return the columns of whole records, in the columns' types.

    Args:
        data: records as ``copy_values`` sends them with ``DELIMITER`` and ``QUOTE``.
        columns: their columns.
        rows: how many there are.

    Raises:
        IncompleteExport: there are not that many.
        ValueNotRepresentable: a value has no place in its column's type.
    """
    try:
        texts = read_text(data, [_read_type(column) for column in columns], rows)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        # One column in doubt: as text, then one at a time, to convert it or to name it.
        texts = read_text(data, [TEXT] * len(columns), rows)
    return [_convert(text, column) for text, column in zip(texts, columns, strict=True)]


def read_text(
    data: bytes | bytearray,
    types: Sequence[pa.DataType],
    rows: int,
    *,
    delimiter: str = DELIMITER,
    quote: str = QUOTE,
) -> list[pa.Array]:
    """Return the fields of whole CSV records, column by column; an unquoted empty one is NULL.

    Raises:
        IncompleteExport: not as many records as ``rows``, or not as many fields as ``types``.
        pyarrow.ArrowInvalid: a field does not read as its type.
    """
    if data.startswith(_BOM):
        data = _BOM + data  # the reader takes one off, and this one is data
    if len(data) >= _BLOCK_LIMIT:
        raise IncompleteExport("PostgreSQL sent a row of more than 2 GiB.")
    names = [str(number) for number in range(len(types))]
    table = pyarrow.csv.read_csv(
        pa.py_buffer(data),
        pyarrow.csv.ReadOptions(
            column_names=names, use_threads=False, block_size=min(len(data) + 1, _BLOCK_LIMIT)
        ),
        pyarrow.csv.ParseOptions(
            delimiter=delimiter,
            quote_char=quote,
            newlines_in_values=True,
            ignore_empty_lines=False,
        ),
        pyarrow.csv.ConvertOptions(
            column_types=dict(zip(names, types, strict=True)),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t", "true"],
            false_values=["f", "false"],
            check_utf8=False,
        ),
    )
    if table.num_rows != rows:
        raise IncompleteExport(f"{table.num_rows} rows were read where PostgreSQL sent {rows}.")
    return [_one(column) for column in table.columns]


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _read_type(column: ArrowColumn) -> pa.DataType:
    return TEXT if column.is_list or column.element in (JSON, UUID, BINARY) else column.element


def _convert(values: pa.Array, column: ArrowColumn) -> pa.Array:
    if column.is_list:
        return _lists(values, column)
    return values if values.type == column.element else from_text(values, column)


def from_text(texts: pa.Array, column: ArrowColumn) -> pa.Array:
    """Return texts as values of the column's element type.

    Raises:
        ValueNotRepresentable: one cannot be.
    """
    kind = column.element
    if kind == TEXT:
        return texts
    if kind == JSON:
        if holds_half_a_pair(joined(texts)):
            raise _not_representable(column, "half of a surrogate pair (like \\ud800) in its JSON")
        return pa.ExtensionArray.from_storage(JSON, texts)
    if kind == UUID:
        return _uuids(texts)
    if kind == BINARY:
        return _binaries(texts)
    try:
        if kind != TIME:
            return pc.cast(texts, kind)
    except pa.ArrowInvalid:
        pass  # the parsers below know more spellings
    parse = _PARSERS.get(kind)
    if parse is None:
        raise _not_representable(column, _odd_one(texts, _decimal))
    try:
        values = [None if text is None else parse(text) for text in texts.to_pylist()]
        if pa.types.is_boolean(kind):
            return pa.array(values, kind)
        return pa.array(values, pa.int32() if kind == DATE else pa.int64()).view(kind)
    except (ValueError, OverflowError, pa.ArrowInvalid) as exc:
        raise _not_representable(column, _odd_one(texts, parse)) from exc


def _odd_one(texts: pa.Array, parse: Callable[[str], object]) -> str:
    """Return in words what the first text is that ``parse`` has no place for; never the text."""
    for text in texts.drop_null().to_pylist():
        try:
            found = parse(text)
        except ValueError:
            return "infinity" if text.lstrip("-").lower() == "infinity" else _ODD.get(text, _NONE)
        if isinstance(found, int) and not -(2**63) <= found < 2**63:
            return "a time after the year 294246"
    return _NONE


def _decimal(text: str) -> object:
    if not text[-1:].isdigit():
        raise ValueError("no decimal")
    return None


_ODD: Final = {"NaN": "NaN", "24:00:00": "24:00"}
_NONE: Final = "a value"


def _uuids(texts: pa.Array) -> pa.Array:
    digits = binascii.unhexlify(joined(texts).replace(b"-", b""))
    valid = texts.is_valid()
    dense = pa.Array.from_buffers(pa.binary(16), len(digits) // 16, [None, pa.py_buffer(digits)])
    if texts.null_count:
        # Each value's place among those that there are; NULL takes NULL.
        places = pc.subtract(pc.cumulative_sum(valid.cast(pa.int64())), number(1))
        dense = dense.take(pc.if_else(valid, places, pa.nulls(1, pa.int64())[0]))
    return pa.ExtensionArray.from_storage(UUID, dense)


def _binaries(texts: pa.Array) -> pa.Array:
    content = binascii.unhexlify(joined(texts).replace(b"\\x", b""))
    digits = pc.subtract(pc.cast(pc.binary_length(texts), pa.int64()), number(2))
    ends = pc.cumulative_sum(pc.divide(digits, number(2)).fill_null(number(0)))
    valid = texts.is_valid().buffers()[1] if texts.null_count else None
    offsets = array.array("i", [0]).tobytes() + bytes(pc.cast(ends, pa.int32()).buffers()[1])
    return pa.Array.from_buffers(
        BINARY, len(texts), [valid, pa.py_buffer(offsets), pa.py_buffer(content)]
    )


def joined(texts: pa.Array) -> bytes:
    """Return all texts of an array, one after the other."""
    _, offsets, content = texts.buffers()
    if content is None or not len(texts):
        return b""
    places = memoryview(offsets).cast("i")
    first, last = places[texts.offset], places[texts.offset + len(texts)]
    return bytes(memoryview(content)[first:last])


def _lists(texts: pa.Array, column: ArrowColumn) -> pa.Array:
    """Return JSON arrays of texts as lists. Those of several dimensions are no lists of values."""
    lines = joined(
        pc.binary_join_element_wise(
            literal('{"v":'), texts.fill_null(literal("null")), literal("}\n"), literal("")
        )
    )
    try:
        table = pyarrow.json.read_json(
            pa.py_buffer(lines),
            pyarrow.json.ReadOptions(
                use_threads=False, block_size=min(len(lines) + 1, _BLOCK_LIMIT)
            ),
            pyarrow.json.ParseOptions(explicit_schema=pa.schema([("v", pa.list_(TEXT))])),
        )
    except pa.ArrowInvalid as exc:
        raise _not_representable(column, "an array of several dimensions") from exc
    lists = _one(table.column(0))
    elements = from_text(lists.values, column)
    result: pa.Array = pa.ListArray.from_arrays(lists.offsets, elements, mask=lists.is_null())
    return result


def _not_representable(column: ArrowColumn, what: str) -> ValueNotRepresentable:
    return ValueNotRepresentable(
        column.name,
        f"{what}, which Parquet's type for {visible(column.type_name)} cannot hold",
        f"With the option text_columns=[{json.dumps(column.name)}] the file has PostgreSQL's text "
        "of it; csv and ndjson hold every value",
    )


# -- spellings beyond Arrow's readers -------------------------------------------------------------

_DATE: Final = re.compile(r"(\d{4,})-(\d\d)-(\d\d)(?: BC)?")
_MOMENT: Final = re.compile(
    r"(\d{4,}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d(?:\.\d{1,6})?)(?:\+00(?::00)?)?( BC)?"
)
_TIME: Final = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?")
_DAY_US: Final = 86_400_000_000


def days(text: str) -> int:
    """Return the days from 1970-01-01 to a date as PostgreSQL prints it, years BC included.

    By Howard Hinnant's ``days_from_civil`` ("chrono-Compatible Low-Level Date Algorithms").

    Raises:
        ValueError: it is no date (``infinity``).
    """
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError("not a date")
    year, month, day = (int(part) for part in match.groups())
    if text.endswith("BC"):
        year = 1 - year
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * 146_097 + day_of_era - 719_468


def day_microseconds(text: str) -> int:
    """Return the microseconds from midnight; raises ``ValueError`` for what is no time of day."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("not a time")
    hour, minute, second, fraction = match.groups()
    seconds = int(hour) * 3600 + int(minute) * 60 + int(second)
    return seconds * 1_000_000 + int((fraction or "").ljust(6, "0"))


def microseconds(text: str) -> int:
    """Return the microseconds from 1970-01-01 (UTC); raises ``ValueError`` for ``infinity``."""
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise ValueError("not a timestamp")
    date, time, before_christ = match.groups()
    return days(date + (before_christ or "")) * _DAY_US + day_microseconds(time)


def _time_of_day(text: str) -> int:
    value = day_microseconds(text)
    if value >= _DAY_US:
        raise ValueError("24:00")
    return value


_PARSERS: Final[dict[pa.DataType, Callable[[str], object]]] = {
    DATE: days,
    TIME: _time_of_day,
    pa.timestamp("us"): microseconds,
    pa.timestamp("us", tz="UTC"): microseconds,
    pa.bool_(): lambda text: {"t": True, "f": False}[text],
}
