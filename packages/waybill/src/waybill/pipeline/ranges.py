"""Consecutive ranges of a table's rows: how they are cut, and read."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from waybill.catalog.comparisons import KeyComparisons
from waybill.config import PROGRESS_ROWS
from waybill.errors import SourceUnavailable
from waybill.formats.base import ResumableEncoding
from waybill.formats.plan import ExportPlan
from waybill.pipeline.keyset import KeyLookup, rows_behind, rows_up_to
from waybill.source.copy_chunk import CopyChunk
from waybill.source.source import PostgresSnapshot, PostgresSource, SharedSnapshot

SMALLEST_ROWS: Final = 200_000
"""Fewer rows are read by one connection: three more cost some tens of milliseconds."""
RANGE_BYTES: Final = 4 * 1024 * 1024
_FIRST_ROWS: Final = 5_000
_PIECE_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Parallel:
    """How to read with several connections, if that pays.

    ``statement_timeout_seconds`` bounds each reader on the server, as it bounds the snapshot's own
    connection. The other figures are for tests.
    """

    source: PostgresSource
    readers: int
    statement_timeout_seconds: float | None = None
    smallest_rows: int = SMALLEST_ROWS
    range_bytes: int = RANGE_BYTES
    first_rows: int = _FIRST_ROWS


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that are encoded already, or rows that the run's own encoding has to take in order."""

    content: bytes | CopyChunk
    rows: int


@dataclass(slots=True)
class Range:
    """Consecutive rows: exactly ``expected``, or the rest of the table where that is ``None``."""

    plan: ExportPlan
    is_first: bool
    expected: int | None
    pieces: deque[Piece] = field(default_factory=deque)
    held: int = 0
    copied: int | None = None
    """The command tag's row count, once the range is read."""


class RangeSequence:
    """Cuts a plan into ranges of about ``range_bytes`` of output, by the width of rows so far."""

    def __init__(
        self,
        plan: ExportPlan,
        order: KeyComparisons,
        exported: SharedSnapshot,
        parallel: Parallel,
        check: Callable[[], None],
    ) -> None:
        self._plan = plan
        self._order = order
        self._lookup = KeyLookup(parallel.source, plan, order, exported, check)
        self._range_bytes = parallel.range_bytes
        self._rows = parallel.first_rows
        self._seen_rows = 0
        self._seen_bytes = 0
        self._last: tuple[str, ...] = ()
        self._row = 0
        self._is_over = False

    def next(self) -> Range | None:
        """Return the next range; one call at a time. The last is open at its end."""
        if self._is_over:
            return None
        if self._seen_rows:
            width = max(1, self._seen_bytes // self._seen_rows)
            self._rows = max(1, self._range_bytes // width)
        is_first, where = not self._row, self._plan.where
        if not is_first:
            where = rows_behind(where, self._order, self._last)
        self._row += self._rows
        try:
            key = self._lookup.find(self._row)
        except SourceUnavailable:
            if not is_first:
                raise
            key = None  # no connection to spare for it: all rows are one range
        if key is None:
            self._is_over = True
            self.close()
            return Range(dataclasses.replace(self._plan, where=where), is_first, None)
        self._last = key
        where = rows_up_to(where, self._order, key)
        return Range(dataclasses.replace(self._plan, where=where), is_first, self._rows)

    def close(self) -> None:
        """Close the connection on which bounds are looked up."""
        self._lookup.close()

    def note(self, rows: int, size: int) -> None:
        """Learn how wide rows are. (Two threads may lose a count between them: an estimate.)"""
        self._seen_rows += rows
        self._seen_bytes += size


def pieces_of(taken: Range, snapshot: PostgresSnapshot) -> Iterator[Piece]:
    """Read a range; encode it here, if its format can begin in the midst of a file."""
    encoding = taken.plan.encoder.open(taken.plan)
    chunks = snapshot.copy(encoding.statement, is_large=True)
    if not isinstance(encoding, ResumableEncoding):
        for chunk in chunks:
            yield Piece(chunk, chunk.rows)
        return
    if not taken.is_first:
        encoding.resume_after(1)
    joined, rows, size = list[bytes | bytearray](), 0, 0
    for chunk in chunks:
        if rows + chunk.rows > PROGRESS_ROWS or size >= _PIECE_BYTES:
            yield Piece(b"".join(joined), rows)
            joined, rows, size = [], 0, 0
        data = encoding.encode(chunk)
        joined.append(data)
        rows += chunk.rows
        size += len(data)
    if joined:
        yield Piece(b"".join(joined), rows)


def size_of(piece: Piece) -> int:
    content = piece.content
    return len(content) if isinstance(content, bytes) else sum(map(len, content.messages))
