"""Hears of every change of an export and tells who watches it.

One connection per process listens to the database's own notifications (``NOTIFY``, sent by a
trigger in the transaction of each change). Watchers wait in memory; a change of a job is read once,
however many watch it, and a watcher that is slow finds the latest state, never a queue of old ones.

A notification can be missed while the connection is down. So after every reconnection, and every
``resync_seconds`` in any case, all watched jobs are read again, in one statement. A pooler that
lends connections per transaction swallows all of them: whether they come is tried out with one of
our own, and where it does not, watched jobs are read every ``poll_seconds``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self
from uuid import UUID, uuid4

import psycopg

from waybill.errors import TooManyWatchers
from waybill.jobs.job import ExportJob
from waybill.log import get_logger
from waybill.own_database import SCHEMA, change_channel, connection_arguments

log = get_logger(__name__)

_PROBE_CHANNEL = "waybill_probe"

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_PROBE_SECONDS = 3.0
_POLLED_SECONDS = 60.0

ReadJobs = Callable[[Collection[UUID]], Awaitable[Mapping[UUID, ExportJob]]]


class FeedClosed(Exception):
    """Control flow: no change will be heard any more, as the process is going down or the job's row
    is gone."""


class Watcher:
    """Waits for one job. Holds at most one state: the latest."""

    def __init__(self, export_id: UUID) -> None:
        self.export_id = export_id
        self._latest: ExportJob | None = None
        self._changed = asyncio.Event()
        self._closed = False

    async def next(self, timeout_seconds: float) -> ExportJob | None:
        """Return the job as it is after a change; ``None`` when none came in time.

        Raises:
            FeedClosed: the process is going down, or the row is gone.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), timeout_seconds)
        if self._closed:
            raise FeedClosed
        self._changed.clear()
        latest, self._latest = self._latest, None
        return latest

    def tell(self, job: ExportJob) -> None:
        """Replace the state that is waiting to be seen."""
        self._latest = job
        self._changed.set()

    def close(self) -> None:
        """End the wait."""
        self._closed = True
        self._changed.set()


class ExportChanges:
    """The changes of watched exports. Starts with the first watcher.

    Args:
        dsn: waybill's own database, reached without a transaction pooler in between, if it can be.
        read: reads jobs by id, in one statement.
        max_watchers: how many may watch at a time in this process.
        resync_seconds: the longest time that a missed notification goes unnoticed.
        poll_seconds: the same, where there are none.
        schema: the one that the jobs lie in.
    """

    def __init__(
        self,
        dsn: str,
        read: ReadJobs,
        *,
        max_watchers: int,
        resync_seconds: float = 15.0,
        poll_seconds: float = 1.0,
        schema: str = SCHEMA,
    ) -> None:
        self._dsn = dsn
        self._channel = change_channel(schema)
        self._read = read
        self._max_watchers = max_watchers
        self._resync_seconds = resync_seconds
        self._poll_seconds = poll_seconds
        self._watchers: dict[UUID, set[Watcher]] = {}
        self._count = 0
        self._due: set[UUID] = set()
        self._something_due = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False
        self.reads = 0
        """How many statements this feed has read jobs with."""

    @asynccontextmanager
    async def watch(self, export_id: UUID) -> AsyncIterator[Watcher]:
        """Watch a job for the block. Read the job inside it: no change is lost in between.

        Raises:
            TooManyWatchers: there are as many as there may be.
        """
        if self._closing or self._count >= self._max_watchers:
            raise TooManyWatchers
        self._start()
        watcher = Watcher(export_id)
        self._watchers.setdefault(export_id, set()).add(watcher)
        self._count += 1
        try:
            yield watcher
        finally:
            self._count -= 1
            watchers = self._watchers[export_id]
            watchers.discard(watcher)
            if not watchers:
                del self._watchers[export_id]

    def release(self) -> None:
        """End every wait: the process is going down, and clients come back to another."""
        self._closing = True
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.close()

    async def close(self) -> None:
        """End every wait and the connection."""
        self.release()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def _start(self) -> None:
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._listen(), name="waybill-changes-listen"),
                asyncio.create_task(self._deliver(), name="waybill-changes-deliver"),
            ]

    # -- hearing ------------------------------------------------------------------------------

    async def _listen(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                async with await self._connect() as connection:
                    hears = await self._is_heard(connection)
                    pause = _FIRST_PAUSE_SECONDS
                    # Only now is nothing missed any more; what was missed is read.
                    self._resync()
                    if hears:
                        await self._hear(connection)
                await self._poll()
            except (psycopg.Error, OSError) as exc:
                log.warning("changes.connection_lost", error=type(exc).__name__)
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE_SECONDS, pause * 2)

    async def _connect(self) -> psycopg.AsyncConnection[tuple[object, ...]]:
        arguments = connection_arguments(self._dsn, application_name="waybill-changes")
        return await psycopg.AsyncConnection.connect(autocommit=True, **arguments)

    async def _is_heard(self, connection: psycopg.AsyncConnection[tuple[object, ...]]) -> bool:
        """Listen, if what another connection sends comes to this one."""
        probe = str(uuid4())
        await connection.execute(f"LISTEN {_PROBE_CHANNEL}".encode())
        try:
            async with asyncio.timeout(_PROBE_SECONDS), await self._connect() as other:
                await other.execute("SELECT pg_notify(%s, %s)", (_PROBE_CHANNEL, probe))
                async for notice in connection.notifies():
                    if notice.payload == probe:
                        break
        except (TimeoutError, psycopg.Error):
            return False
        await connection.execute(f"LISTEN {self._channel}; UNLISTEN {_PROBE_CHANNEL}".encode())
        return True

    async def _poll(self) -> None:
        """Do without notifications for a while; then they are tried out again."""
        log.warning("changes.polled", remedy="set WAYBILL_DATABASE_DIRECT_URL")
        for _ in range(max(1, round(_POLLED_SECONDS / self._poll_seconds))):
            await asyncio.sleep(self._poll_seconds)
            self._resync()

    async def _hear(self, connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        while True:
            async for notice in connection.notifies(timeout=self._resync_seconds):
                with contextlib.suppress(ValueError):
                    self._mark(UUID(notice.payload))
            # A connection that died without a word answers nothing; this finds out.
            async with asyncio.timeout(self._resync_seconds):
                await connection.execute(b"SELECT 1")
            self._resync()

    def _mark(self, export_id: UUID) -> None:
        if export_id in self._watchers:
            self._due.add(export_id)
            self._something_due.set()

    def _resync(self) -> None:
        self._due.update(self._watchers)
        if self._due:
            self._something_due.set()

    # -- telling ------------------------------------------------------------------------------

    async def _deliver(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            await self._something_due.wait()
            self._something_due.clear()
            due, self._due = self._due, set()
            try:
                self.reads += 1
                found = await self._read(due)
            except Exception as exc:
                log.warning("changes.not_read", error=type(exc).__name__, jobs=len(due))
                self._due |= due
                self._something_due.set()
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE_SECONDS, pause * 2)
                continue
            pause = _FIRST_PAUSE_SECONDS
            for export_id, job in found.items():
                for watcher in self._watchers.get(export_id, ()):
                    watcher.tell(job)
            # Whoever comes back is told that there is none, and need not wait for a word of it.
            for export_id in due - found.keys():
                for watcher in self._watchers.get(export_id, ()):
                    watcher.close()
