"""Columns of COPY's text into the XML of spreadsheet cells, by Arrow's kernels.

A value becomes a number, a date or a time only where the cell gives the same value back; all else
is PostgreSQL's text, as in CSV. Numbers: up to 15 significant digits, which a double returns
unchanged (``DBL_DIG``) and Excel shows; doubles themselves in full, but for those that Excel does
not take (NaN, infinity, subnormal, 1e308 and more). Dates and times: from 1900-03-01 (before it
Excel's calendar has a day too many) to 9999-12-31; with more than milliseconds, while a double's
steps are fine enough.
"""

from __future__ import annotations

import array
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from waybill.catalog.resolved import ResolvedColumn
from waybill.errors import ValueNotRepresentable
from waybill.formats.arrow_text import (
    day_microseconds,
    days,
    joined,
    literal,
    microseconds,
    number,
)
from waybill.formats.statement import column_value, csv_value
from waybill.formats.xlsx import MAX_CELL_CHARACTERS

_EPOCH_DAYS: Final = 25_569  # 1970-01-01 in days since 1899-12-30, Excel's day 0
_FIRST_DAY: Final = 61  # 1900-03-01
_LAST_DAY: Final = 2_958_465  # 9999-12-31
_DAY_US: Final = 86_400_000_000
_EXACT_DAYS: Final = 65_536
"""2079-06-05. Up to it half a step of a double is 0.32 µs, so that rounding gives each microsecond
back; behind it the steps grow, to 40 µs in 9999, and only milliseconds come back for certain."""
_MAX_DIGITS: Final = 15
_FAR: Final = 2**62
_FALSE: Final = pc.equal(number(0), number(1))

_ILLEGAL: Final = bytes({*range(0x20)} - {0x09, 0x0A})
_illegal = re.compile(rb"[\x00-\x08\x0b-\x1f]|\xef\xbf[\xbe\xbf]")
_looks_escaped = re.compile(rb"_(?=x[0-9A-Fa-f]{4}_)")
_escape = re.compile(r"_x([0-9A-F]{4})_")


def escape(text: bytes) -> bytes:
    """Return UTF-8 text as it stands in a cell's XML.

    What XML cannot hold is ``_xHHHH_`` (ECMA-376, part 1, 22.9.2.19 ST_Xstring), and so is CR,
    which an XML parser would make LF; a text that looks like such an escape has its ``_`` escaped.
    Commas, quotes and line feeds stay, so whole CSV records may be escaped at once.
    """
    if b"_x" in text:
        text = _looks_escaped.sub(b"_x005F_", text)
    if b"\r" in text:
        text = text.replace(b"\r", b"_x000D_")  # the common one
    if b"\xef\xbf" in text or len(text.translate(None, _ILLEGAL)) != len(text):
        text = _illegal.sub(lambda found: b"_x%04X_" % ord(found[0].decode()), text)
    if b"&" in text:
        text = text.replace(b"&", b"&amp;")
    if b"<" in text:
        text = text.replace(b"<", b"&lt;")
    if b">" in text:
        text = text.replace(b">", b"&gt;")
    return text


def unescape(text: str) -> str:
    """Return the text that ``escape`` was given."""
    plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return _escape.sub(lambda found: chr(int(found[1], 16)), plain)


# -- kinds of columns -----------------------------------------------------------------------------

_Values = tuple[pa.Array, pa.Array | None]
"""What stands in ``<v>``, and where: a mask, or ``None`` for everywhere. The rest is text."""


@dataclass(frozen=True, slots=True)
class CellColumn:
    """How a column is selected, and what its cells are.

    ``number_format`` is Excel's code for its display; ``width`` is in characters.
    """

    name: str
    value: sql.Composable
    letters: str
    kind: Callable[[pa.Array], _Values] | None = None
    number_format: str = ""
    width: int = 0
    cell_type: str = ""

    def cells(self, texts: pa.Array, rows: pa.Array, style: int) -> pa.Array:
        """Return the cells of escaped ``texts`` in the rows of those numbers; "" for NULL.

        Raises:
            ValueNotRepresentable: a text is longer than a cell takes.
        """
        if self.kind is None:
            return self._texts(texts, rows)
        values, mask = self.kind(texts)
        attributes = (f' s="{style}"' if style else "") + self.cell_type
        written = _join(f'<c r="{self.letters}', rows, f'"{attributes}><v>', values, "</v></c>")
        if mask is None:
            return written.fill_null(literal(""))
        return pc.if_else(mask, written, self._texts(texts, rows)).fill_null(literal(""))

    def _texts(self, texts: pa.Array, rows: pa.Array) -> pa.Array:
        self._check_length(texts)
        start = '" t="inlineStr"><is><t xml:space="preserve">'
        cells = _join(f'<c r="{self.letters}', rows, start, texts, "</t></is></c>")
        return cells.fill_null(literal(""))

    def _check_length(self, texts: pa.Array) -> None:
        if _longest(texts) <= MAX_CELL_CHARACTERS:
            return  # bytes are at least as many
        for text in texts.filter(
            pc.greater(pc.cast(pc.binary_length(texts), pa.int64()), number(MAX_CELL_CHARACTERS))
        ).to_pylist():
            # Excel counts UTF-16 code units.
            if len(unescape(text).encode("utf-16-le", "surrogatepass")) > 2 * MAX_CELL_CHARACTERS:
                raise ValueNotRepresentable(
                    self.name,
                    "a text of more than the 32,767 characters that a spreadsheet's cell takes",
                    "Leave the column out, shorten it in the catalog's query, or request csv, "
                    "ndjson or parquet",
                )


def cell_column(column: ResolvedColumn, index: int, *, formula_guard: bool) -> CellColumn:
    """Return how the column at ``index`` (from 0) is written."""
    letters = column_letters(index)
    value = csv_value(column, formula_guard=formula_guard)
    oid = column.base_type_oid
    if oid in (21, 23):
        return CellColumn(column.name, value, letters, _all, "0")
    if oid in (20, 26):
        return CellColumn(column.name, value, letters, _decimals, "0")
    if oid == 1700:
        return CellColumn(
            column.name, value, letters, _decimals, _decimal_format(column.base_type_name)
        )
    if oid in (700, 701):
        return CellColumn(column.name, value, letters, _floats)
    if oid == 16:
        as_number = sql.SQL("{}::pg_catalog.int4").format(column_value(column))
        return CellColumn(column.name, as_number, letters, _all, cell_type=' t="b"')
    if oid in _TEMPORAL:
        kind, number_format, width = _TEMPORAL[oid]
        return CellColumn(column.name, value, letters, kind, number_format, width)
    return CellColumn(column.name, value, letters)


def column_letters(index: int) -> str:
    """Return a column's name: 0 is ``A``, 26 is ``AA``."""
    letters = ""
    index += 1
    while index:
        index, letter = divmod(index - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return letters


def row_numbers(first: int, count: int) -> pa.Array:
    """Return ``count`` row numbers as texts, from ``first``."""
    numbers = array.array("q", range(first, first + count)).tobytes()
    return pc.cast(
        pa.Array.from_buffers(pa.int64(), count, [None, pa.py_buffer(numbers)]), "string"
    )


def rows_xml(cells: list[pa.Array], rows: pa.Array) -> bytes:
    """Return the rows' elements."""
    return joined(
        pc.binary_join_element_wise(
            literal('<row r="'), rows, literal('">'), *cells, literal("</row>\n"), literal("")
        )
    )


def _decimal_format(type_name: str) -> str:
    declared = re.fullmatch(r"numeric\(\d+,(\d+)\)", type_name)
    scale = min(int(declared[1]), 30) if declared else -1
    return "" if scale < 0 else "0" if scale == 0 else "0." + "0" * scale


def _join(*pieces: pa.Array | str) -> pa.Array:
    return pc.binary_join_element_wise(
        *(literal(piece) if isinstance(piece, str) else piece for piece in pieces), literal("")
    )


def _longest(texts: pa.Array) -> int:
    return int(pc.max(pc.binary_length(texts)).as_py() or 0)


def _all(texts: pa.Array) -> _Values:
    return texts, None


def _decimals(texts: pa.Array) -> _Values:
    content = joined(texts)
    if _longest(texts) <= _MAX_DIGITS and b"N" not in content and b"I" not in content:
        return texts, None
    return texts, _mask(texts, _is_short_number)


def _is_short_number(text: str) -> bool:
    if not text[-1:].isdigit() or len(text) > 300:
        return False  # NaN, Infinity, or beyond a double's range
    whole, _, fraction = text.lstrip("-").partition(".")
    return len((whole + fraction.rstrip("0")).lstrip("0")) <= _MAX_DIGITS


def _floats(texts: pa.Array) -> _Values:
    if not re.search(rb"[NI]|e[-+]\d{3}", joined(texts)):
        return texts, None
    return texts, _mask(texts, _is_excel_double)


def _is_excel_double(text: str) -> bool:
    value = abs(float(text))
    return value == 0 or (math.isfinite(value) and 2.2250738585072014e-308 <= value < 1e308)


def _mask(texts: pa.Array, holds: Callable[[str], bool]) -> pa.Array:
    return pa.array([text is not None and holds(text) for text in texts.to_pylist()], pa.bool_())


def _dates(texts: pa.Array) -> _Values:
    found = _parsed(texts, pa.date32(), days)
    serial = pc.add(pc.cast(pc.cast(found, pa.int32()), pa.int64()), number(_EPOCH_DAYS))
    return pc.cast(serial, pa.string()), _within(serial, _FIRST_DAY, _LAST_DAY + 1)


def _timestamps(texts: pa.Array) -> _Values:
    found = _parsed(texts, pa.timestamp("us"), microseconds)
    return _moments(pc.cast(found, pa.int64()))


def _zoned(texts: pa.Array) -> _Values:
    found = _parsed(texts, pa.timestamp("us", tz="UTC"), microseconds)
    return _moments(pc.cast(found, pa.int64()))


def _moments(since_1970: pa.Array) -> _Values:
    # Added up as integers, so that the division's is the only rounding: half an ulp of 45,000
    # days is 0.3 µs, and rounding to microseconds gives PostgreSQL's value back.
    since_1899 = pc.add(since_1970, number(_EPOCH_DAYS * _DAY_US))
    inside = _within(since_1899, _FIRST_DAY * _DAY_US, (_LAST_DAY + 1) * _DAY_US)
    return _in_days(since_1899), _both(inside, _comes_back(since_1899))


def _comes_back(since_1899: pa.Array) -> pa.Array | None:
    """Return where a double tells the microseconds apart; ``None`` for everywhere."""
    end = number(_EXACT_DAYS * _DAY_US)
    if (pc.max(since_1899).as_py() or 0) < end.as_py():
        return None
    whole = pc.multiply(pc.divide(since_1899, number(1000)), number(1000))
    return pc.or_(pc.less(since_1899, end), pc.equal(whole, since_1899)).fill_null(_FALSE)


def _both(one: pa.Array | None, other: pa.Array | None) -> pa.Array | None:
    if one is None or other is None:
        return other if one is None else one
    return pc.and_(one, other)


def _times(texts: pa.Array) -> _Values:
    try:
        at_epoch = pc.cast(_join("1970-01-01T", texts), pa.timestamp("us"))
        found = pc.cast(at_epoch, pa.int64())
    except pa.ArrowInvalid:
        found = _slowly(texts, day_microseconds, pa.int64())
    return _in_days(found), _within(found, 0, _DAY_US)


def _in_days(values: pa.Array) -> pa.Array:
    as_double = pc.cast(values, pa.float64(), safe=False)
    return pc.cast(pc.divide(as_double, pc.cast(number(_DAY_US), pa.float64())), pa.string())


def _parsed(texts: pa.Array, kind: pa.DataType, parse: Callable[[str], int]) -> pa.Array:
    try:
        return pc.cast(texts, kind)
    except pa.ArrowInvalid:
        return _slowly(texts, parse, pa.int32() if kind == pa.date32() else pa.int64())


def _slowly(texts: pa.Array, parse: Callable[[str], int], kind: pa.DataType) -> pa.Array:
    def value(text: str | None) -> int | None:
        try:
            found = None if text is None else parse(text)
        except ValueError:
            return None  # infinity
        # PostgreSQL's timestamps go decades beyond 64 bits since 1970, Excel's end long before.
        return None if found is None or abs(found) > _FAR else found

    return pa.array(map(value, texts.to_pylist()), kind)


def _within(values: pa.Array, first: int, end: int) -> pa.Array | None:
    least, most = pc.min_max(values).values()
    if not values.null_count and first <= (least.as_py() or first) and (most.as_py() or 0) < end:
        return None
    inside = pc.and_(pc.greater_equal(values, number(first)), pc.less(values, number(end)))
    return inside.fill_null(_FALSE)


_TEMPORAL: Final[dict[int, tuple[Callable[[pa.Array], _Values], str, int]]] = {
    1082: (_dates, "yyyy\\-mm\\-dd", 11),
    1083: (_times, "hh:mm:ss.000", 13),
    1114: (_timestamps, "yyyy\\-mm\\-dd\\ hh:mm:ss.000", 24),
    # Excel has no time zones, so the display says which one it is.
    1184: (_zoned, 'yyyy\\-mm\\-dd\\ hh:mm:ss.000" UTC"', 28),
}
