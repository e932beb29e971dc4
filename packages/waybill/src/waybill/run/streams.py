"""Exports streamed to the caller while they are read: no queue, no file, no second chance.

A stream is a job all the same, one that this process runs and that leaves no file: it has a row,
so the quota counts it, its owner can cancel it, the audit trail names it and the sweeper ends it
should this process die. The row comes into being when there is a first byte to send, in the
transaction that spends the quota; what fails before that has cost nothing. The row is finished,
rows counted and hashed, before the last byte of the answer is sent: whoever gets a whole answer
got a whole export, and whoever gets a broken one did not.
"""

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
from waybill.catalog.politeness import outside_hours
from waybill.clock import Clock
from waybill.config import Settings
from waybill.errors import (
    Cancelled,
    ComputedColumnFailed,
    DeadlineExceeded,
    IncompleteExport,
    InvalidOption,
    LeaseLost,
    RunError,
    SourceFull,
    SourceUnreadable,
    StreamTooLarge,
    TooManyStreams,
)
from waybill.formats import FileFacts
from waybill.formats.computed import with_computed
from waybill.formats.plan import ExportPlan
from waybill.jobs.attempts import AttemptFailure
from waybill.jobs.job import ExportJob, Lease
from waybill.jobs.leases import LeaseRepository
from waybill.jobs.repository import ExportRepository
from waybill.jobs.source_use import SourceUse
from waybill.log import get_logger
from waybill.manifest import export_file_name
from waybill.principal import Principal
from waybill.requests.admission import Admission
from waybill.requests.dry_runs import DryRunBudget
from waybill.requests.plan import Requester, open_plan
from waybill.requests.quota import QuotaPolicy, QuotaState, may_pass
from waybill.requests.request import ExportRequest
from waybill.requests.service import ExportService
from waybill.run.control import AttemptControl
from waybill.run.heartbeat import Heartbeat, trusted_until
from waybill.run.identity import WorkerIdentity
from waybill.run_control import POLL_SECONDS
from waybill.source.source import PostgresSource

log = get_logger(__name__)

_PIECES_AHEAD = 4
"""How many pieces (256 KiB each, or one row if that is larger) wait for a slow client."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What was sent, as the row keeps it."""

    rows: int
    bytes: int
    sha256: str


_Item = bytes | bytearray | Delivered | BaseException


class ExportStreams:
    """Opens streams, so many at a time in this process.

    Args:
        exports: checks requests.
        admission: admits them.
        dry_runs: what is spent by a stream that is given up before its first byte.
        source: where rows come from.
        leases, repository: end the job's row.
        quotas: which quota a stream spends.
        clock: says whether exports of a type begin at this hour.
        use: counts who reads the source.
        settings: bounds, lease and heartbeat.
        family: the name of this process, for the history.
    """

    def __init__(
        self,
        *,
        exports: ExportService,
        admission: Admission,
        dry_runs: DryRunBudget,
        source: PostgresSource,
        leases: LeaseRepository,
        repository: ExportRepository,
        quotas: QuotaPolicy,
        clock: Clock,
        use: SourceUse,
        settings: Settings,
        family: str,
    ) -> None:
        self._use = use
        self._exports = exports
        self._admission = admission
        self._dry_runs = dry_runs
        self._source = source
        self._leases = leases
        self._repository = repository
        self._quotas = quotas
        self._clock = clock
        self._settings = settings
        self._family = family
        self._open = 0
        # Threads of their own: a stream waits for its client for minutes.
        self._threads = ThreadPoolExecutor(
            settings.max_streams, thread_name_prefix="waybill-stream"
        )

    async def open(self, principal: Principal, request: ExportRequest) -> ExportStream:
        """Return a stream whose first bytes are there. The caller closes it.

        Raises:
            TooManyStreams, OutsideHours, SourceFull, StreamTooLarge, SourceUnreadable,
            QuotaExceeded, InvalidOption (a column could not be computed), and what
            ``ExportService.check`` raises: then no quota was spent.
        """
        checked, export_type = await self._exports.check(principal, request)
        closed = outside_hours(export_type.polite, self._clock.now())
        if closed is not None:
            raise closed
        if not await self._use.has_room(export_type):
            raise SourceFull(export_type.together.max_running or 0)
        if checked.compression is not None:
            raise InvalidOption(
                "compression", "a stream is not compressed; leave it out, or request the export"
            )
        bucket = self._quotas.bucket(principal, checked.export_type)
        if bucket is not None:
            # Asked beforehand as well, so that who has none left cannot keep the source busy.
            await self._admission.check_quota(principal, bucket)
        await self._dry_runs.check(principal)
        if self._open >= self._settings.max_streams:
            raise TooManyStreams(self._settings.max_streams)
        self._open += 1
        reader = _Reader(self._source, principal, checked, export_type, self._settings)
        count = self._use.sharing(export_type)
        reader.span = tracing.begin(
            "export.stream",
            kind="server",
            export_id=str(reader.export_id),
            type=export_type.name,
            format=checked.format,
        )
        try:
            if count is not None:
                reader.control.share_with(await count() + 1)
            first = await reader.start(self._threads)
            asked_at = time.monotonic()
            job, lease, quota = await self._admission.admit_stream(
                principal,
                checked,
                export_id=reader.export_id,
                bucket=bucket,
                lease_seconds=self._settings.lease_seconds,
                holder=str(WorkerIdentity.current(self._family)),
            )
        except BaseException as exc:
            reader.span.fail(_code_of(exc))
            await self._end(reader)
            if not may_pass(exc):
                # The source was asked, for nothing: that is a dry run by another name.
                await asyncio.shield(self._dry_runs.charge(principal))
            if isinstance(exc, ComputedColumnFailed):
                raise exc.for_who_asked() from exc
            if isinstance(exc, RunError):
                log.warning("stream.failed", type=export_type.name, error=exc.code)
                raise SourceUnreadable(exc.code) from exc
            raise
        reader.control.hold_until(trusted_until(asked_at, self._settings.lease_seconds))
        log.info("stream.started", export_id=str(job.id), type=job.export_type, format=job.format)
        heartbeat = asyncio.create_task(
            Heartbeat(self._leases, lease, reader.control, self._settings, None, count).run()
        )
        return ExportStream(self, reader, first, job, lease, quota, heartbeat)

    @property
    def settings(self) -> Settings:
        return self._settings

    # -- the ends of a stream; for ``ExportStream`` -----------------------------------------------

    async def deliver(self, stream: ExportStream, delivered: Delivered) -> None:
        """Write that everything was read and all but the last byte sent.

        Raises:
            LeaseLost: the stream was cancelled meanwhile.
        """
        is_held = await self._leases.deliver(
            stream.lease, rows=delivered.rows, bytes=delivered.bytes, sha256=delivered.sha256
        )
        if not is_held:
            raise LeaseLost("The stream's lease was lost.")

    async def fail(self, stream: ExportStream, error: Exception) -> None:
        """Write that it broke, and why: if that was our side, it does not count. Operators can
        replay it as a job."""
        if not isinstance(error, LeaseLost):
            await self._leases.fail(
                stream.lease, AttemptFailure.of(error), progress=stream.reader.control.snapshot()
            )

    async def abandon(self, stream: ExportStream) -> None:
        """Write that its client went away: that is a cancellation."""
        await self._repository.cancel(stream.job.id)

    async def close(self, stream: ExportStream) -> None:
        """Stop whatever still runs."""
        stream.heartbeat.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await stream.heartbeat
        await self._end(stream.reader)

    async def _end(self, reader: _Reader) -> None:
        try:
            await reader.stop()
        finally:
            self._open -= 1
            reader.span.end()

    def shut_down(self) -> None:
        """Let the threads go once what they do is over."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class ExportStream:
    """A stream under way: ``next`` until ``None``, and ``close`` in any case."""

    def __init__(
        self,
        streams: ExportStreams,
        reader: _Reader,
        first: bytes | bytearray | None,
        job: ExportJob,
        lease: Lease,
        quota: QuotaState | None,
        heartbeat: asyncio.Task[None],
    ) -> None:
        self._streams = streams
        self._first = first
        self._is_over = False
        self.reader = reader
        self.job = job
        self.lease = lease
        self.quota = quota
        self.heartbeat = heartbeat
        self.media_type = reader.plan.media_type
        self.file_name = export_file_name(
            job.export_type, reader.plan.extension, created_at=job.created_at, export_id=job.id
        )

    def seconds_left(self) -> float:
        """Return how much longer the stream may take."""
        return max(0.0, self.reader.control.seconds_left())

    def deadline_passed(self) -> DeadlineExceeded:
        """Return the error of a stream that took longer than it may."""
        return DeadlineExceeded(self._streams.settings.stream_seconds)

    async def next(self) -> bytes | bytearray | None:
        """Return the next bytes; ``None`` when all were given and the export is proven whole.

        Raises:
            RunError: it broke. The answer must not end well.
        """
        if self._first is not None:
            first, self._first = self._first, None
            return first
        item = await self.reader.take()
        if not isinstance(item, Delivered):
            return item
        await self._streams.deliver(self, item)
        self._is_over = True
        self.reader.span.set(rows=item.rows, bytes=item.bytes)
        log.info("stream.delivered", export_id=str(self.job.id), rows=item.rows, bytes=item.bytes)
        return None

    async def close(self, error: Exception | None = None) -> None:
        """End the stream. Without ``error``, and before its end, its client has gone away."""
        try:
            if not self._is_over:
                self._is_over = True
                self.reader.control.stop(Cancelled("The stream's client went away."))
                if error is None:
                    log.info("stream.abandoned", export_id=str(self.job.id))
                    self.reader.span.fail("abandoned")
                    await self._streams.abandon(self)
                else:
                    code = _code_of(error)
                    self.reader.span.fail(code)
                    log.error("stream.broken", export_id=str(self.job.id), error=code)
                    await self._streams.fail(self, error)
        finally:
            await self._streams.close(self)


def _code_of(error: BaseException) -> str:
    return str(getattr(error, "code", type(error).__name__))


class _Reader:
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
