"""Who reads the rows of a plan: one connection, or several on one snapshot, in order either way.

One backend prints 2 to 3 µs a row on one core, which for a large table is all the time there is.
So large tables are read by several connections that share an exported snapshot. The key space is
cut into consecutive ranges of some MiB of output; each reader takes the next range, and what they
read is passed on range by range. The file is the same to the byte as that of one reader.

Bounds are stepped along the key's own index in the snapshot (``KeyLookup``), a few ranges ahead,
so ranges hold an exact number of rows whatever the key's type, its gaps or its skew, and a range
that does not bring that number is noticed. A row costs 0.1 µs more for it. At the end all rows are
counted once more, without ranges.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Protocol, Self

from waybill.catalog.comparisons import KeyComparisons
from waybill.config import PROGRESS_ROWS
from waybill.errors import IncompleteExport, RunError, SourceUnavailable
from waybill.formats import Encoding
from waybill.formats.base import ResumableEncoding
from waybill.formats.plan import ExportPlan
from waybill.log import get_logger
from waybill.pipeline.keyset import KeyLookup, rows_behind, rows_up_to
from waybill.run_control import POLL_SECONDS
from waybill.source.copy_chunk import CopyChunk
from waybill.source.processors import count_processors
from waybill.source.source import PostgresSnapshot, PostgresSource, SharedSnapshot

log = get_logger(__name__)

SMALLEST_ROWS: Final = 200_000
"""Fewer rows are read by one connection: three more cost some tens of milliseconds."""
MOST_READERS: Final = 4
_LARGE_ROWS: Final = 10_000
"""From here on one connection, too, prepares for much (``Session.copy``)."""

RANGE_BYTES: Final = 4 * 1024 * 1024
_FIRST_ROWS: Final = 5_000
_AHEAD_BYTES: Final = 12 * 1024 * 1024
"""What all readers together may hold of ranges whose turn has not come."""
_HEAD_BYTES: Final = 2 * 1024 * 1024
"""What may wait of the range whose turn it is."""
_PIECE_BYTES: Final = 256 * 1024
_JOIN_SECONDS: Final = 2.0
_MAY_MOVE: Final = re.compile(
    r"[\w\"]\s*\(|\b(?:current|local|session|now|today|user)", re.IGNORECASE
)


_STALE_INDEX: Final = (
    "an index is not in the order of its comparison. REINDEX it (`waybill check` names a collation "
    "whose version changed); or set WAYBILL_SOURCE_READERS=1."
)


class RowReader(Protocol):
    """Gives the bytes of a plan's rows. For one thread; used as a context."""

    @property
    def rows(self) -> int:
        """Rows given so far, as the encodings counted them."""
        ...

    @property
    def copied_rows(self) -> int | None:
        """Rows by PostgreSQL's command tags; ``None`` until all have been given."""
        ...

    def pieces(self) -> Iterator[bytes | bytearray]:
        """Yield the file's bytes between header and footer: at most 1,000 rows at a time, or
        nothing yet. What it raises ends the run."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class OneReader:
    """Reads on the snapshot's own connection."""

    def __init__(
        self, snapshot: PostgresSnapshot, encoding: Encoding, *, is_large: bool = True
    ) -> None:
        self._snapshot = snapshot
        self._encoding = encoding
        self._is_large = is_large

    @property
    def rows(self) -> int:
        return self._encoding.rows

    @property
    def copied_rows(self) -> int | None:
        return self._snapshot.copied_rows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def pieces(self) -> Iterator[bytes | bytearray]:
        for chunk in self._snapshot.copy(self._encoding.statement, is_large=self._is_large):
            yield self._encoding.encode(chunk)


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


def default_readers(plan: ExportPlan, *, is_beside_source: bool) -> int:
    """Return how many readers suit a plan on this machine: one per processor, at most 4.

    Half as many if PostgreSQL runs on it too and the file is sent as it is: its backends and the
    sending then keep the processors busy. (Two processors that also ran PostgreSQL and SeaweedFS,
    1,000,000 users, seconds by one reader and by two: CSV 4.6 and 4.7, NDJSON 5.8 and 6.3, CSV +
    zstd 4.4 and 4.0; ADR-0008.)
    """
    share = 2 if is_beside_source and not plan.is_compressed else 1
    return max(1, min(MOST_READERS, count_processors() // share))


def open_reader(
    plan: ExportPlan,
    snapshot: PostgresSnapshot,
    encoding: Encoding,
    check: Callable[[], None],
    *,
    expected_rows: int | None,
    parallel: Parallel | None,
) -> RowReader:
    """Return the reader for a plan: several connections for a large table with an index on its
    key, else one.

    Typed formats are encoded in the run's process alone, by a thread that keeps a processor busy:
    they get one reader less. (Parquet on two processors: 1.4 to 2 times as long with two readers
    as with one, and 50 MiB more.)
    """
    if parallel is not None and not isinstance(encoding, ResumableEncoding):
        parallel = dataclasses.replace(parallel, readers=parallel.readers - 1)
    if (
        parallel is None
        or parallel.readers < 2
        or expected_rows is None
        or expected_rows < parallel.smallest_rows
        or plan.limit is not None
        or plan.export_type.polite.limits_rate
        or not plan.order_by
        or _depends_on_the_moment(plan)
        or not snapshot.has_key_index(plan.export_type)
        or not _is_order_reliable(plan, snapshot)
    ):
        is_large = expected_rows is None or expected_rows >= _LARGE_ROWS
        return OneReader(snapshot, encoding, is_large=is_large)
    return ManyReaders(plan, snapshot, encoding, check, parallel)


def _is_order_reliable(plan: ExportPlan, snapshot: PostgresSnapshot) -> bool:
    order = snapshot.key_order(plan.export_type)
    if not order.is_reliable:
        log.warning("source.order_unreliable", reason=order.reason())
    return order.is_reliable


def _depends_on_the_moment(plan: ExportPlan) -> bool:
    """Whether the operator's row scope may say something else in another transaction: ``now()`` is
    when a transaction began, and each reader has its own. Any call is taken for such a one."""
    scope = plan.export_type.scope
    return scope is not None and any(_MAY_MOVE.search(piece) for piece in scope.pieces)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Bytes that are encoded already, or rows that the run's own encoding has to take in order."""

    content: bytes | CopyChunk
    rows: int


@dataclass(slots=True)
class _Range:
    """Consecutive rows: exactly ``expected``, or the rest of the table where that is ``None``."""

    plan: ExportPlan
    is_first: bool
    expected: int | None
    pieces: deque[_Piece] = field(default_factory=deque)
    held: int = 0
    copied: int | None = None
    """The command tag's row count, once the range is read."""


class _ReadersStopped(Exception):
    """The run is over; a reader that waits is to leave."""


class ManyReaders:
    """Reads ranges on connections of their own, each by a thread, and gives them in order.

    The reader whose range is next passes everything on at once; the others hold 12 MiB together,
    or one piece each, and then wait. The first failure of any ends the run.
    """

    def __init__(
        self,
        plan: ExportPlan,
        snapshot: PostgresSnapshot,
        encoding: Encoding,
        check: Callable[[], None],
        parallel: Parallel,
    ) -> None:
        self._plan = plan
        self._snapshot = snapshot
        self._encoding = encoding
        self._check = check
        self._parallel = parallel
        self._exported = snapshot.export()
        order = snapshot.key_comparisons(plan.export_type)
        self._ranges = _RangeSequence(plan, order, self._exported, parallel, self._check_stopped)
        self._in_order: deque[_Range] = deque()
        self._held = 0
        self._all_taken = False
        self._failure: BaseException | None = None
        self._stopped = False
        self._state = threading.Condition()
        # The sequence has a lock of its own: stepping to a bound may take milliseconds.
        self._taking = threading.Lock()
        self._without = 0
        self._all_readers_lost = False
        self._rows = 0
        self._copied = 0
        self._is_done = False
        # Daemons: a reader that hangs in the network may not keep a stopping worker alive.
        self._threads = [
            threading.Thread(target=self._run, name=f"waybill-read-{n}", daemon=True)
            for n in range(parallel.readers)
        ]

    @property
    def rows(self) -> int:
        return self._rows

    @property
    def copied_rows(self) -> int | None:
        return self._copied if self._is_done else None

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._state:
            self._stopped = True
            self._state.notify_all()
        # They look up every quarter of a second, and cancel what they run on the server.
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)
        self._ranges.close()

    def pieces(self) -> Iterator[bytes | bytearray]:
        while (taken := self._next()) is not None:
            content = taken.content
            self._rows += taken.rows
            yield self._encoding.encode(content) if isinstance(content, CopyChunk) else content
        if self._all_readers_lost:
            yield from self._read_alone()
            return
        self._prove_whole()
        self._is_done = True
        if isinstance(self._encoding, ResumableEncoding) and self._rows:
            # So that its footer knows of the rows that others encoded.
            self._encoding.resume_after(self._rows)

    def _prove_whole(self) -> None:
        """Compare what the ranges brought with a count that needs no range, of the same snapshot.

        Each range but the last had a number to bring; a row between two ranges, or behind a last
        one that began too late, would be missed by all of them.
        """
        rows, _ = self._snapshot.count_exactly(self._plan.export_type, self._plan.where)
        if rows != self._copied:
            raise IncompleteExport(
                f"The ranges brought {self._copied} rows of {rows}: {_STALE_INDEX}"
            )

    def _read_alone(self) -> Iterator[bytes | bytearray]:
        alone = OneReader(self._snapshot, self._encoding)
        for piece in alone.pieces():
            self._rows = alone.rows
            yield piece
        self._copied, self._is_done = alone.copied_rows or 0, alone.copied_rows is not None

    # -- the run's thread -----------------------------------------------------------------------

    def _next(self) -> _Piece | None:
        """Return the next piece in the file's order; ``None`` behind the last, or if there are no
        readers."""
        with self._state:
            while True:
                if self._failure is not None:
                    raise self._failure
                if self._in_order:
                    head = self._in_order[0]
                    if head.pieces:
                        piece = head.pieces.popleft()
                        size = _size(piece)
                        head.held -= size
                        self._held -= size
                        self._state.notify_all()
                        return piece
                    if head.copied is not None:
                        self._copied += head.copied
                        self._in_order.popleft()
                        self._state.notify_all()  # the next one is the head now
                        continue
                elif self._all_taken or self._all_readers_lost:
                    return None
                if not self._state.wait(POLL_SECONDS):
                    self._check()

    # -- the readers' threads -------------------------------------------------------------------

    def _run(self) -> None:
        opened = self._parallel.source.open_snapshot(
            self._check_stopped,
            application_name="waybill reader",
            statement_timeout_seconds=self._parallel.statement_timeout_seconds,
            exported=self._exported,
        )
        try:
            with contextlib.ExitStack() as stack:
                try:
                    snapshot = stack.enter_context(opened)
                except SourceUnavailable as exc:
                    self._leave(exc)
                else:
                    self._read(snapshot)
        except _ReadersStopped:
            pass
        except BaseException as exc:  # carried over to the run's thread, which raises it
            with self._state:
                self._failure = self._failure or exc
                self._state.notify_all()

    def _read(self, snapshot: PostgresSnapshot) -> None:
        while (taken := self._take()) is not None:
            for piece in _pieces(taken, snapshot):
                self._put(taken, piece)
            copied = snapshot.copied_rows
            if copied is None or taken.expected not in (None, copied):
                raise IncompleteExport(
                    f"A range of {taken.expected} rows brought {copied}: {_STALE_INDEX}"
                )
            with self._state:
                taken.copied = copied
                self._state.notify_all()

    def _take(self) -> _Range | None:
        with self._taking:
            taken = self._ranges.next()
            with self._state:
                if taken is None:
                    self._all_taken = True
                else:
                    self._in_order.append(taken)
                self._state.notify_all()
        return taken

    def _put(self, taken: _Range, piece: _Piece) -> None:
        size = _size(piece)
        self._ranges.note(piece.rows, size)
        with self._state:
            # The head waits for nothing but the run itself, so some reader always gets on.
            while (
                taken.held >= _HEAD_BYTES
                if self._in_order[0] is taken
                else self._held - self._in_order[0].held >= _AHEAD_BYTES
            ):
                self._state.wait(POLL_SECONDS)
                self._check_stopped()
            taken.pieces.append(piece)
            taken.held += size
            self._held += size
            self._state.notify_all()

    def _check_stopped(self) -> None:
        if self._stopped or self._failure is not None:
            raise _ReadersStopped

    def _leave(self, error: RunError) -> None:
        """End a reader that got no connection: the others do its work, or the snapshot's own."""
        log.warning("source.reader_lost", error=error.code)
        with self._state:
            self._without += 1
            self._all_readers_lost = self._without == len(self._threads)
            self._state.notify_all()


class _RangeSequence:
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

    def next(self) -> _Range | None:
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
            return _Range(dataclasses.replace(self._plan, where=where), is_first, None)
        self._last = key
        where = rows_up_to(where, self._order, key)
        return _Range(dataclasses.replace(self._plan, where=where), is_first, self._rows)

    def close(self) -> None:
        """Close the connection on which bounds are looked up."""
        self._lookup.close()

    def note(self, rows: int, size: int) -> None:
        """Learn how wide rows are. (Two threads may lose a count between them: an estimate.)"""
        self._seen_rows += rows
        self._seen_bytes += size


def _pieces(taken: _Range, snapshot: PostgresSnapshot) -> Iterator[_Piece]:
    """Read a range; encode it here, if its format can begin in the midst of a file."""
    encoding = taken.plan.encoder.open(taken.plan)
    chunks = snapshot.copy(encoding.statement, is_large=True)
    if not isinstance(encoding, ResumableEncoding):
        for chunk in chunks:
            yield _Piece(chunk, chunk.rows)
        return
    if not taken.is_first:
        encoding.resume_after(1)
    joined, rows, size = list[bytes | bytearray](), 0, 0
    for chunk in chunks:
        if rows + chunk.rows > PROGRESS_ROWS or size >= _PIECE_BYTES:
            yield _Piece(b"".join(joined), rows)
            joined, rows, size = [], 0, 0
        data = encoding.encode(chunk)
        joined.append(data)
        rows += chunk.rows
        size += len(data)
    if joined:
        yield _Piece(b"".join(joined), rows)


def _size(piece: _Piece) -> int:
    content = piece.content
    return len(content) if isinstance(content, bytes) else sum(map(len, content.messages))
