"""Rows with columns that Python computes: between what COPY sends and what a format encodes.

For each row the server sends, in the format's own dialect, what it would send anyway, a NULL in the
place of each computed column, and behind it the values that are read. Here each row is taken apart,
the functions are called, and the row is put together again as if the server had written all of it:
the cells that it did write are passed on as they are. A row in, a row out.
"""

from __future__ import annotations

import json
import re
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from waybill.catalog.computed import ComputedType, Function
from waybill.catalog.resolved import ResolvedColumn
from waybill.errors import (
    ComputedColumnFailed,
    ConfigurationError,
    IncompleteExport,
    ValueNotRepresentable,
)
from waybill.formats.formula_guard import guard, is_guarded_column
from waybill.log import get_logger
from waybill.source.copy_chunk import CopyChunk

if TYPE_CHECKING:
    from waybill.formats.plan import ExportPlan

log = get_logger(__name__)

MOST_TEXT_BYTES: Final = 16 * 1024 * 1024
"""Of one computed text, in UTF-8."""
_CHUNK_BYTES: Final = 256 * 1024
"""Rows are passed on when they are so many bytes: a function may return much for little."""


def with_computed(
    plan: ExportPlan, chunks: Iterable[CopyChunk], check: Callable[[], None] = lambda: None
) -> Iterable[CopyChunk]:
    """Return the rows of a plan's COPY with its computed columns filled in; ``chunks`` as they are
    where it has none.

    Args:
        plan: what is exported.
        chunks: rows as the statement of the plan's encoding sends them.
        check: called before each row; stops by raising.

    Raises:
        ComputedColumnFailed: a function is not there, raises, or returns what its column cannot
            hold.
        ValueNotRepresentable: Python cannot hold a value that is read.
        IncompleteExport: the rows are not what was asked for.
    """
    return _Rows(plan).filled(chunks, check) if plan.computed else chunks


class RowForm(ABC):
    """How a format's rows lie in the text of a COPY.

    Args:
        delimiter, quote, null_text: of the COPY; ``null_text`` unquoted.
    """

    def __init__(self, *, delimiter: str, quote: str = '"', null_text: str = "") -> None:
        self._quote = quote.encode()
        self._null = null_text.encode()
        self._special = tuple(each.encode() for each in (delimiter, quote, "\r", "\n"))
        inside, between = re.escape(self._quote), re.escape(delimiter.encode())
        # Each field with the delimiter before it; a record is given one in front.
        self._field = re.compile(
            between + rb"(" + inside + rb"(?:[^" + inside + rb"]++|" + inside * 2 + rb")*+" + inside
            + rb"|[^" + inside + between + rb"\r\n]*+)"
        )  # fmt: skip
        self._delimiter = delimiter.encode()

    def fields(self, message: bytes, count: int) -> list[bytes]:
        """Return a record's fields as they stand, quotes and all.

        Raises:
            IncompleteExport: they are not so many.
        """
        record = self._delimiter + message.removesuffix(b"\n")
        found = self._field.findall(record)
        if len(found) != count or sum(map(len, found)) + count != len(record):
            raise IncompleteExport("PostgreSQL's rows do not have the fields that were asked for.")
        return found

    def text(self, field: bytes) -> str | None:
        """Return the text of a field; ``None`` for NULL."""
        if field.startswith(self._quote):
            return field[1:-1].replace(self._quote * 2, self._quote).decode()
        return None if field == self._null else field.decode()

    @abstractmethod
    def value_fields(self, columns: Sequence[ResolvedColumn]) -> int:
        """Return how many fields there are for a file's columns."""

    @abstractmethod
    def row(
        self, columns: Sequence[ResolvedColumn], fields: Sequence[bytes], values: Sequence[Any]
    ) -> bytes:
        """Return a row as the format's encoding takes it.

        Args:
            columns: the file's.
            fields: what the server sent for them.
            values: of those that are computed, in order, as ``_checked`` lets them pass.
        """


class RecordForm(RowForm):
    """A record of a field per column, as COPY writes them (CSV, and what Arrow parses).

    Args:
        formula_guard: whether texts are guarded, as the statement guards those of the source.
        truths: how false and true are written.
        is_iso: whether a moment is written as ISO 8601 has it, or as PostgreSQL does.
    """

    def __init__(
        self,
        *,
        delimiter: str,
        quote: str = '"',
        null_text: str = "",
        formula_guard: bool = False,
        truths: tuple[str, str] = ("false", "true"),
        is_iso: bool = True,
    ) -> None:
        super().__init__(delimiter=delimiter, quote=quote, null_text=null_text)
        self._is_guarding = formula_guard
        self._truths = truths
        self._is_iso = is_iso

    def value_fields(self, columns: Sequence[ResolvedColumn]) -> int:
        return len(columns)

    def row(
        self, columns: Sequence[ResolvedColumn], fields: Sequence[bytes], values: Sequence[Any]
    ) -> bytes:
        left = iter(values)
        is_alone = len(columns) == 1
        return (
            self._delimiter.join(
                field if column.computed is None else self._cell(column, next(left), is_alone)
                for column, field in zip(columns, fields, strict=True)
            )
            + b"\n"
        )

    def _cell(self, column: ResolvedColumn, value: Any, is_alone: bool) -> bytes:
        if value is None:
            return self._null
        if isinstance(value, bool):
            text = self._truths[value]
        elif isinstance(value, datetime):
            text = moment_text(value)
            text = text if self._is_iso else text.replace("T", " ").removesuffix(":00")
        else:
            text = plain_text(value)
        if self._is_guarding and is_guarded_column(column):
            text = guard(text)
        cell = text.encode()
        # COPY's own rules (CopyAttributeOutCSV).
        if (
            cell == self._null
            or any(each in cell for each in self._special)
            or (is_alone and cell == b"\\.")
        ):
            return self._quote + cell.replace(self._quote, self._quote * 2) + self._quote
        return cell


class ObjectForm(RowForm):
    """A JSON object: the server sends one for each run of columns that are its own."""

    def __init__(self) -> None:
        # Bytes that JSON cannot hold, so that nothing is quoted but what is read.
        super().__init__(delimiter="\x02", quote="\x01")

    def value_fields(self, columns: Sequence[ResolvedColumn]) -> int:
        return sum(isinstance(run, list) for run in runs(columns))

    def row(
        self, columns: Sequence[ResolvedColumn], fields: Sequence[bytes], values: Sequence[Any]
    ) -> bytes:
        server, left = iter(fields), iter(values)
        members: list[bytes] = []
        for run in runs(columns):
            if isinstance(run, list):
                members.append((self.text(next(server)) or "").encode()[1:-1])
            else:
                key = json.dumps(run.header, ensure_ascii=False)
                members.append(f"{key}:{_json(next(left))}".encode())
        return b"{" + b",".join(members) + b"}"


def runs(columns: Iterable[ResolvedColumn]) -> list[list[ResolvedColumn] | ResolvedColumn]:
    """Return the columns in order: computed ones as they are, those between them as lists."""
    found: list[list[ResolvedColumn] | ResolvedColumn] = []
    for column in columns:
        if column.computed is not None:
            found.append(column)
        elif found and isinstance(found[-1], list):
            found[-1].append(column)
        else:
            found.append([column])
    return found


# -- what PostgreSQL would write of a value --------------------------------------------------------


def plain_text(value: str | int | Decimal | date) -> str:
    """Return what PostgreSQL prints of a value that is neither a truth nor a moment."""
    if isinstance(value, Decimal):
        # It knows no zero below zero.
        return format(value if value else abs(value), "f")
    return value.isoformat() if isinstance(value, date) else str(value)


def moment_text(value: datetime) -> str:
    """Return ISO 8601 in UTC, with as many digits of a second as there are."""
    moment = value.astimezone(UTC)
    text = moment.isoformat(timespec="microseconds").removesuffix("+00:00")
    return text.rstrip("0").removesuffix(".") + "+00:00"


def _json(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int | Decimal):
        return plain_text(value)
    text = moment_text(value) if isinstance(value, datetime) else plain_text(value)
    return json.dumps(text, ensure_ascii=False)


# -- what functions are given and return -----------------------------------------------------------

_GIVEN: Final[dict[int, tuple[str, Callable[[str], Any]]]] = {
    16: ("bool", lambda text: text == "t"),
    20: ("int", int),
    21: ("int", int),
    23: ("int", int),
    26: ("int", int),
    114: ("JSON", json.loads),
    700: ("float", float),
    701: ("float", float),
    1082: ("date", date.fromisoformat),
    1114: ("datetime", datetime.fromisoformat),
    1184: ("datetime", datetime.fromisoformat),
    1700: ("Decimal", Decimal),
    2950: ("UUID", UUID),
    3802: ("JSON", json.loads),
}
"""By ``pg_type.oid``, domains taken off. What is not here is PostgreSQL's text."""

_BIGINT: Final = 2**63
_NUMERIC_DIGITS: Final = 131_072
_NUMERIC_SCALE: Final = 16_383
_INT_BITS: Final = 13_000
"""Some 3,900 digits: Python prints no int of more than 4,300."""


def _refusal(kind: ComputedType, value: Any) -> str | None:
    """Say what is wrong with a returned value, without saying it; ``None`` if nothing is."""
    right: bool
    if kind == "text":
        right = isinstance(value, str)
    elif kind == "integer":
        right = isinstance(value, int) and not isinstance(value, bool)
    elif kind == "number":
        right = isinstance(value, int | Decimal) and not isinstance(value, bool)
    elif kind == "boolean":
        right = isinstance(value, bool)
    elif kind == "date":
        right = isinstance(value, date) and not isinstance(value, datetime)
    else:
        right = isinstance(value, datetime)
    if not right:
        return f"returned a value of type {type(value).__name__}, where its column is {kind}"
    if kind == "integer" and not -_BIGINT <= int(value) < _BIGINT:
        return "returned a number that PostgreSQL's bigint does not hold"
    if kind == "number" and not _fits_numeric(value):
        return "returned a number of too many digits, or none (NaN, Infinity)"
    if kind == "timestamptz" and value.utcoffset() is None:
        return "returned a datetime without a time zone"
    return None


def _fits_numeric(value: int | Decimal) -> bool:
    if isinstance(value, int):
        return value.bit_length() <= _INT_BITS
    exponent = value.as_tuple().exponent
    return (
        isinstance(exponent, int)
        and exponent >= -_NUMERIC_SCALE
        and value.adjusted() < _NUMERIC_DIGITS
    )


def _checked(kind: ComputedType, value: Any) -> tuple[Any, str | None]:
    """Return a returned value as one of Python's own, and what is wrong with it."""
    if value is None:
        return None, None
    if (said := _refusal(kind, value)) is not None:
        return None, said
    if kind == "text":
        return _checked_text(str.__str__(value))
    if kind == "timestamptz":
        try:
            return value.astimezone(UTC), None
        except OverflowError:
            return None, "returned a datetime that is outside of the calendar in UTC"
    if kind in {"integer", "number"} and isinstance(value, int):
        return int(value), None  # of an IntEnum, the number
    return value, None


def _checked_text(text: str) -> tuple[str | None, str | None]:
    if "\0" in text:
        return None, "returned a text with a NUL character, which PostgreSQL's texts do not hold"
    try:
        size = len(text) if len(text) > MOST_TEXT_BYTES else len(text.encode())
    except UnicodeEncodeError:
        return None, "returned a text with half of a surrogate pair, which is no character"
    if size > MOST_TEXT_BYTES:
        return None, f"returned a text of more than {MOST_TEXT_BYTES // 2**20} MiB"
    return text, None


class _Rows:
    """Fills in the computed columns of a plan's rows."""

    def __init__(self, plan: ExportPlan) -> None:
        self._type = plan.export_type.name
        self._form = plan.encoder.row_form(plan.options)
        self._columns = plan.columns
        self._reads = plan.reads
        self._at = self._form.value_fields(plan.columns)
        self._functions = [(column, self._load(column)) for column in plan.computed]

    def filled(self, chunks: Iterable[CopyChunk], check: Callable[[], None]) -> Iterator[CopyChunk]:
        rows: list[bytes | memoryview] = []
        size = 0
        for chunk in chunks:
            for message in chunk.messages:
                check()
                row = self._row(bytes(message))
                rows.append(row)
                size += len(row)
                if size >= _CHUNK_BYTES:
                    yield CopyChunk(rows)
                    rows, size = [], 0
            if rows:
                yield CopyChunk(rows)
                rows, size = [], 0

    def _row(self, message: bytes) -> bytes:
        fields = self._form.fields(message, self._at + len(self._reads))
        given: dict[str, Any] = {}
        for read, field in zip(self._reads, fields[self._at :], strict=True):
            given[read.name] = self._given(read, self._form.text(field))
        values = [self._computed(*each, given) for each in self._functions]
        return self._form.row(self._columns, fields[: self._at], values)

    def _given(self, read: ResolvedColumn, text: str | None) -> Any:
        if text is None or read.base_type_oid not in _GIVEN:
            return text
        kind, make = _GIVEN[read.base_type_oid]
        try:
            return make(text)
        except (ValueError, ArithmeticError, RecursionError):
            # Without what it was made of: that is data.
            raise ValueNotRepresentable(
                read.name,
                f"a value that Python's {kind} does not hold, and a computed column reads it",
                "Leave the computed column out, or cast what it reads to text in a query",
            ) from None

    def _computed(self, column: ResolvedColumn, function: Function, given: dict[str, Any]) -> Any:
        assert column.computed is not None  # noqa: S101 - ``plan.computed`` has no others
        # Its own columns alone, in a dict of its own: what a function does to it is nobody's.
        row = {read.name: given[read.name] for read in column.reads}
        try:
            returned = function(row)
            value, said = _checked(column.computed.type, returned)
        except (Exception, SystemExit) as exc:
            log.error(  # noqa: TRY400 - its text may quote the row
                "computed_column.raised",
                type=self._type,
                column=column.name,
                function=column.computed.spelt,
                error=type(exc).__name__,
                at=_place(exc),
            )
            said = f"raised {type(exc).__name__}"
        if said is not None:
            # Outside of the handler: nothing of the row goes along as the cause.
            raise ComputedColumnFailed(column.name, self._type, column.computed.spelt, said)
        return value

    def _load(self, column: ResolvedColumn) -> Function:
        assert column.computed is not None  # noqa: S101 - as above
        try:
            return column.computed.load(column.name, self._type)
        except ConfigurationError as exc:
            raise ComputedColumnFailed(
                column.name, self._type, column.computed.spelt, "cannot be loaded"
            ) from exc


def _place(exc: BaseException) -> str:
    """Return the file and line where it was raised, and nothing of what was there."""
    frames = traceback.extract_tb(exc.__traceback__, limit=-1)
    return f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
