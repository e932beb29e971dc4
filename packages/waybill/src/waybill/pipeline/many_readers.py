"""Several connections on one snapshot that read consecutive ranges and give them in order."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Self

from waybill.errors import IncompleteExport, RunError, SourceUnavailable
from waybill.formats import Encoding
from waybill.formats.base import ResumableEncoding
from waybill.formats.plan import ExportPlan
from waybill.log import get_logger
from waybill.pipeline.ranges import Parallel, Piece, Range, RangeSequence, pieces_of, size_of
from waybill.pipeline.row_reader import OneReader
from waybill.run_control import POLL_SECONDS
from waybill.source.copy_chunk import CopyChunk
from waybill.source.source import PostgresSnapshot

log = get_logger(__name__)

_AHEAD_BYTES: Final = 12 * 1024 * 1024
"""What all readers together may hold of ranges whose turn has not come."""
_HEAD_BYTES: Final = 2 * 1024 * 1024
"""What may wait of the range whose turn it is."""
_JOIN_SECONDS: Final = 2.0
_STALE_INDEX: Final = (
    "an index is not in the order of its comparison. REINDEX it (`waybill check` names a collation "
    "whose version changed); or set WAYBILL_SOURCE_READERS=1."
)


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
        self._ranges = RangeSequence(plan, order, self._exported, parallel, self._check_stopped)
        self._in_order: deque[Range] = deque()
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
        alone = OneReader(self._plan, self._snapshot, self._encoding, self._check)
        for piece in alone.pieces():
            self._rows = alone.rows
            yield piece
        self._copied, self._is_done = alone.copied_rows or 0, alone.copied_rows is not None

    # -- the run's thread -----------------------------------------------------------------------

    def _next(self) -> Piece | None:
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
                        size = size_of(piece)
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
            for piece in pieces_of(taken, snapshot):
                self._put(taken, piece)
            copied = snapshot.copied_rows
            if copied is None or taken.expected not in (None, copied):
                raise IncompleteExport(
                    f"A range of {taken.expected} rows brought {copied}: {_STALE_INDEX}"
                )
            with self._state:
                taken.copied = copied
                self._state.notify_all()

    def _take(self) -> Range | None:
        with self._taking:
            taken = self._ranges.next()
            with self._state:
                if taken is None:
                    self._all_taken = True
                else:
                    self._in_order.append(taken)
                self._state.notify_all()
        return taken

    def _put(self, taken: Range, piece: Piece) -> None:
        size = size_of(piece)
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
