"""Exports streamed to the caller while they are read: no queue, no file, no second chance.

A stream is a job all the same, one that this process runs and that leaves no file: it has a row,
so the quota counts it, its owner can cancel it, the audit trail names it and the sweeper ends it
should this process die. The row comes into being before the source is asked, in the transaction
that spends the quota and makes sure of a place at the source; what fails before there is a first
byte to send takes it back, and has cost nothing. The row is finished, rows counted and hashed,
before the last byte of the answer is sent: whoever gets a whole answer got a whole export, and
whoever gets a broken one did not.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from waybill import tracing
from waybill.catalog.politeness import outside_hours
from waybill.clock import Clock
from waybill.config import Settings
from waybill.errors import (
    Cancelled,
    ComputedColumnFailed,
    DeadlineExceeded,
    InvalidOption,
    LeaseLost,
    RequestError,
    RunError,
    SourceFull,
    SourceUnreadable,
    TooManyStreams,
)
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
from waybill.requests.quota import QuotaPolicy, QuotaState, may_pass
from waybill.requests.request import ExportRequest
from waybill.requests.service import ExportService
from waybill.run.heartbeat import Heartbeat, trusted_until
from waybill.run.identity import WorkerIdentity
from waybill.run.settlement import DATABASE_ERRORS
from waybill.run.stream_reader import Delivered, StreamReader
from waybill.source.source import PostgresSource

log = get_logger(__name__)


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
        await self._dry_runs.check(principal)
        if self._open >= self._settings.max_streams:
            raise TooManyStreams(self._settings.max_streams)
        self._open += 1
        reader = StreamReader(self._source, principal, checked, export_type, self._settings)
        reader.span = tracing.begin(
            "export.stream",
            kind="server",
            export_id=str(reader.export_id),
            type=export_type.name,
            format=checked.format,
        )
        try:
            asked_at = time.monotonic()
            job, lease, quota = await self._admission.admit_stream(
                principal,
                checked,
                export_id=reader.export_id,
                bucket=bucket,
                lease_seconds=self._settings.lease_seconds,
                holder=str(WorkerIdentity.current(self._family)),
                place=self._use.place(export_type),
            )
        except BaseException as exc:
            reader.span.fail(_code_of(exc))
            await self._end(reader)
            if not isinstance(exc, RequestError):
                # It may have been committed, and nobody was told.
                await asyncio.shield(self._withdraw(reader.export_id))
            raise
        reader.control.hold_until(trusted_until(asked_at, self._settings.lease_seconds))
        count = self._use.sharing(export_type)
        heartbeat = asyncio.create_task(
            Heartbeat(self._leases, lease, reader.control, self._settings, None, count).run()
        )
        try:
            if count is not None:
                reader.control.share_with(await count())
            first = await reader.start(self._threads)
            await self._admission.record_stream(principal, job)
        except BaseException as exc:
            reader.span.fail(_code_of(exc))
            await self._stop(reader, heartbeat)
            await asyncio.shield(self._withdraw(job.id))
            if not may_pass(exc):
                # The source was asked, for nothing: that is a dry run by another name.
                await asyncio.shield(self._dry_runs.charge(principal))
            if isinstance(exc, ComputedColumnFailed):
                raise exc.for_who_asked() from exc
            if isinstance(exc, RunError):
                log.warning("stream.failed", type=export_type.name, error=exc.code)
                raise SourceUnreadable(exc.code) from exc
            raise
        log.info("stream.started", export_id=str(job.id), type=job.export_type, format=job.format)
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
        await self._stop(stream.reader, stream.heartbeat)

    async def _stop(self, reader: StreamReader, heartbeat: asyncio.Task[None]) -> None:
        heartbeat.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await heartbeat
        await self._end(reader)

    async def _withdraw(self, export_id: UUID) -> None:
        try:
            await self._admission.withdraw_stream(export_id)
        except DATABASE_ERRORS as exc:
            # It ends with its lease, as broken by us, which costs nothing either.
            log.warning("stream.not_withdrawn", export_id=str(export_id), error=type(exc).__name__)

    async def _end(self, reader: StreamReader) -> None:
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
        reader: StreamReader,
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
