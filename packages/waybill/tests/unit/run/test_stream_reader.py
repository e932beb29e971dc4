"""A stream's reader: it says that all was delivered only where PostgreSQL says the same."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from waybill.catalog.model import ExportType, TableSource
from waybill.catalog.resolved import ResolvedColumn
from waybill.errors import IncompleteExport, StreamTooLarge
from waybill.principal import Principal
from waybill.requests.request import ExportRequest
from waybill.run.stream_reader import _PIECES_AHEAD, Delivered, StreamReader
from waybill.source.copy_chunk import CopyChunk
from waybill.source.opening import SnapshotFacts

ROWS = [b"%d\n" % number for number in range(300)]
FILE = b"a\r\n" + b"".join(ROWS).replace(b"\n", b"\r\n")
MOST_ROWS = 400
TYPE = ExportType("things", TableSource("public", "t"), key=("a",))


class Source:
    """A source and its snapshot: sends ``rows``, and says afterwards that there were ``says``."""

    facts = SnapshotFacts("7:7:", datetime(2026, 5, 1, tzinfo=UTC), None, "18.1")

    def __init__(self, rows: list[bytes], says: int, *, seems_large: bool = False) -> None:
        self.copied_rows: int | None = None
        self._rows = rows
        self._says = says
        self._seems_large = seems_large

    @contextmanager
    def open_snapshot(self, *_: object, **__: object) -> Iterator[Source]:
        yield self

    def resolve(self, *_: object) -> tuple[ResolvedColumn, ...]:
        return (ResolvedColumn("a", "a", "integer", 23, 23),)

    def comparisons(self, *_: object) -> dict[str, object]:
        return {}

    key_comparisons = comparisons

    def check_key(self, *_: object) -> None:
        """The key is unique."""

    def has_more_rows_than(self, limit: int, *_: object) -> bool:
        assert limit == MOST_ROWS
        return self._seems_large

    def copy(self, *_: object, **__: object) -> Iterator[CopyChunk]:
        for start in range(0, len(self._rows), 100):
            yield CopyChunk(list[bytes | memoryview](self._rows[start : start + 100]))
        self.copied_rows = self._says


def reader_of(source: Source) -> StreamReader:
    settings = SimpleNamespace(stream_seconds=60.0, stream_max_rows=MOST_ROWS)
    return StreamReader(
        cast("Any", source),
        Principal("ann"),
        ExportRequest("things", format_options={"formula_guard": False}),
        TYPE,
        cast("Any", settings),
    )


async def everything(source: Source) -> tuple[list[bytes], Delivered]:
    """Read to the end; return the pieces and what was delivered."""
    reader = reader_of(source)
    with ThreadPoolExecutor(1) as threads:
        try:
            pieces = [bytes(await reader.start(threads) or b"")]
            while not isinstance(item := await reader.take(), Delivered):
                pieces.append(bytes(item))
            return pieces, item
        finally:
            await reader.stop()


async def test_what_was_delivered_is_counted_and_hashed() -> None:
    pieces, delivered = await everything(Source(ROWS, len(ROWS)))

    assert b"".join(pieces) == FILE
    assert delivered == Delivered(len(ROWS), len(FILE), hashlib.sha256(FILE).hexdigest())


async def test_rows_are_sent_as_they_come_the_head_with_the_first_of_them() -> None:
    pieces, _ = await everything(Source(ROWS, len(ROWS)))

    assert [piece.count(b"\n") for piece in pieces] == [101, 100, 100]


@pytest.mark.parametrize("says", [0, len(ROWS) - 1, len(ROWS) + 1])
async def test_rows_that_are_not_those_postgresql_sent_break_the_stream(says: int) -> None:
    with pytest.raises(IncompleteExport, match=f"300 rows were sent .* PostgreSQL had {says}"):
        await everything(Source(ROWS, says))


async def test_table_that_is_too_large_is_refused_before_the_first_byte() -> None:
    with pytest.raises(StreamTooLarge):
        await everything(Source(ROWS, len(ROWS), seems_large=True))


async def test_table_that_turns_out_larger_than_the_estimate_breaks_the_stream() -> None:
    fits = [b"1\n"] * MOST_ROWS
    assert (await everything(Source(fits, len(fits))))[1].rows == MOST_ROWS

    with pytest.raises(IncompleteExport, match="more rows than a stream may carry"):
        await everything(Source([*fits, b"1\n"], MOST_ROWS + 1))


class Room(threading.Semaphore):
    """A reader's room: it never waits, and says when there was none any more after a piece had been
    taken."""

    def __init__(self, pieces: int, is_full: threading.Event) -> None:
        super().__init__(pieces)
        self._is_full = is_full
        self._asking = threading.Lock()
        self._refused = 0
        self._is_taken = False

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        with self._asking:
            has_room = super().acquire(blocking=False)
            self._refused = 0 if has_room else self._refused + 1
            if self._is_taken and self._refused > 50:
                self._is_full.set()
            return has_room

    def release(self, n: int = 1) -> None:
        with self._asking:
            super().release(n)
            self._refused = 0
            self._is_taken = True


class Narrow(Source):
    """Sends each row by itself and counts those sent."""

    def __init__(self, rows: list[bytes], says: int) -> None:
        super().__init__(rows, says)
        self.sent = 0
        self.stands_still = threading.Event()

    def copy(self, *_: object, **__: object) -> Iterator[CopyChunk]:
        for row in self._rows:
            self.sent += 1
            yield CopyChunk([row])
        self.stands_still.set()


async def test_reader_waits_while_nobody_takes_and_ends_when_the_stream_is_stopped() -> None:
    source = Narrow(ROWS, len(ROWS))
    reader = reader_of(source)
    reader._room = Room(_PIECES_AHEAD, source.stands_still)
    with ThreadPoolExecutor(1) as threads:
        try:
            await reader.start(threads)  # takes the first
            assert await asyncio.to_thread(source.stands_still.wait, 60)
            assert source.sent == 1 + _PIECES_AHEAD + 1  # the last has no room yet
        finally:
            await reader.stop()
    assert source.sent == 1 + _PIECES_AHEAD + 1
