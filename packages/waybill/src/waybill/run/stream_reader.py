"""Reads and encodes the rows of a stream in a thread, a few pieces ahead of who sends them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import uuid4

from waybill import tracing
from waybill.catalog import ExportType
from waybill.config import Settings
from waybill.errors import Cancelled, IncompleteExport, StreamTooLarge
from waybill.formats import FileFacts
from waybill.formats.computed import with_computed
from waybill.formats.plan import ExportPlan
from waybill.principal import Principal
from waybill.requests.plan import Requester, open_plan
from waybill.requests.request import ExportRequest
from waybill.run.control import AttemptControl
from waybill.run_control import POLL_SECONDS
from waybill.source.source import PostgresSource

_PIECES_AHEAD = 4
"""How many pieces (256 KiB each, or one row if that is larger) wait for a slow client."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What was sent, as the row keeps it."""

    rows: int
    bytes: int
    sha256: str


_Item = bytes | bytearray | Delivered | BaseException


class StreamReader:
    """Reads and encodes in a thread, at most a few pieces ahead of who takes them."""

    plan: ExportPlan
    """There when ``start`` returns."""
    span: tracing.Span = tracing.NO_SPAN
    """The whole stream, from the request on."""

    def __init__(
        self,
        source: PostgresSource,
        principal: Principal,
        request: ExportRequest,
        export_type: ExportType,
        settings: Settings,
    ) -> None:
        self.export_id = uuid4()
        seconds = settings.stream_seconds
        # No lease yet: it is held until the deadline.
        self.control = AttemptControl(seconds, time.monotonic() + seconds + 1)
        self._source = source
        self._principal = principal
        self._request = request
        self._export_type = export_type
        self._max_rows = settings.stream_max_rows
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[_Item] = asyncio.Queue()
        self._room = threading.Semaphore(_PIECES_AHEAD)
        self._reading: asyncio.Future[None] | None = None

    async def start(self, threads: ThreadPoolExecutor) -> bytes | bytearray | None:
        """Begin to read and return the first piece; ``None`` for a file without a byte.

        Raises:
            RunError, StreamTooLarge: by the source, or there are too many rows.
        """
        self._reading = self._loop.run_in_executor(threads, self._run)
        item = await self.take()
        if isinstance(item, Delivered):
            self._items.put_nowait(item)
            return None
        return item

    async def take(self) -> bytes | bytearray | Delivered:
        """Return the next piece, or what was delivered once there is none left."""
        item = await self._items.get()
        if isinstance(item, BaseException):
            raise item
        if not isinstance(item, Delivered):
            self._room.release()
        return item

    async def stop(self) -> None:
        """Have the thread end, its statement cancelled, and wait for that."""
        self.control.stop(Cancelled("The stream was closed."))
        if self._reading is not None:
            await asyncio.shield(self._reading)

    def _run(self) -> None:
        try:
            self._give(self._read())
        except BaseException as exc:
            self._give(exc)

    def _give(self, item: _Item) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._items.put_nowait, item)

    def _put(self, piece: bytes | bytearray) -> None:
        while not self._room.acquire(timeout=POLL_SECONDS):
            self.control.check()
        self.control.check()
        self._give(piece)

    def _read(self) -> Delivered:
        export_type = self._export_type
        with open_plan(
            self._source,
            self._request,
            export_type,
            Requester(self._principal.tenant, self._principal.subject),
            self.control.check,
            application_name=f"waybill stream {self.export_id}",
            statement_timeout_seconds=self.control.seconds_left() + 1,
            sharers=self.control.sharers,
        ) as (snapshot, plan):
            self.plan = plan
            snapshot.check_key(export_type, plan.where)
            # Not counted in any case, as a job's rows are: the first byte would wait for it.
            if snapshot.has_more_rows_than(self._max_rows, export_type, plan.where):
                raise StreamTooLarge(self._max_rows)
            facts = snapshot.facts
            encoding = plan.encoder.open(
                plan, FileFacts(str(self.export_id), export_type.name, facts.id, facts.taken_at)
            )
            digest, size = hashlib.sha256(), 0
            # The head goes with the first rows, so that nothing is sent before there are any.
            waiting = bytearray(encoding.header())

            def send(more: bytes | bytearray, *, is_last: bool = False) -> None:
                nonlocal size, waiting
                waiting += more
                if waiting and (more or is_last):
                    digest.update(waiting)
                    size += len(waiting)
                    piece, waiting = waiting, bytearray()
                    self._put(piece)

            chunks = snapshot.copy(encoding.statement)
            for chunk in with_computed(plan, chunks, self.control.check):
                send(encoding.encode(chunk))
                self.control.progress(encoding.rows, size)
                self.control.check()
                if encoding.rows > self._max_rows:
                    raise IncompleteExport("There are more rows than a stream may carry.")
            send(encoding.footer(), is_last=True)
            if encoding.rows != snapshot.copied_rows:
                raise IncompleteExport(
                    f"{encoding.rows} rows were sent where PostgreSQL had {snapshot.copied_rows}."
                )
        return Delivered(encoding.rows, size, digest.hexdigest())
