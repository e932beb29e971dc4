"""Runs one attempt of one export. The only place that decides: complete, retry, fail or stop.

The event loop owns the job's row (claim, heartbeat, end); the pipeline moves the bytes in a
thread. They share an ``AttemptControl`` and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import structlog

from waybill import tracing
from waybill.catalog import Catalog
from waybill.catalog.politeness import outside_hours
from waybill.clock import Clock
from waybill.config import Settings
from waybill.errors import (
    LeaseLost,
    NewerRequest,
    OutsideHours,
    PermanentError,
    QueueUnavailable,
    RequestError,
    RetryableError,
    RunError,
    RunStopped,
    SourceBusy,
    WorkerLost,
)
from waybill.jobs.attempts import AttemptFailure, AttemptOutcome, RetryPolicy
from waybill.jobs.completing import Result
from waybill.jobs.figures import JobFigures
from waybill.jobs.job import ExportJob, Lease, Progress
from waybill.jobs.leases import LeaseRepository
from waybill.jobs.queue import ExportQueue
from waybill.jobs.source_use import SourceUse
from waybill.jobs.turns import Turns
from waybill.log import get_logger
from waybill.manifest import manifest_key
from waybill.pipeline.pipeline import Completion
from waybill.requests.request import ExportRequest, is_of_later_version
from waybill.results.adoption import ResultAdoption, StorageUndecided
from waybill.run.answered import ANSWERED
from waybill.run.attempt_span import attempt_span
from waybill.run.company import Company, Member
from waybill.run.control import AttemptControl
from waybill.run.heartbeat import Heartbeat, trusted_until
from waybill.run.identity import WorkerIdentity
from waybill.run.produce import ExportProducer
from waybill.run.settlement import (
    DATABASE_ERRORS,
    WRITE_TIMEOUT_SECONDS,
    Outcome,
    Settlement,
)
from waybill.run.shutdown import ShutdownFlag
from waybill.storage.base import Storage

__all__ = ["ExportRunner", "Outcome"]

log = get_logger(__name__)

_CLAIM_PAUSE_SECONDS = 0.5
_BUSY_SECONDS = 30.0
"""How long a job waits before its source is asked again whether there is room."""


class ExportRunner:
    """Claims jobs, runs them, and ends the attempts. Safe to call twice for one message.

    Args:
        leases: the lease protocol on waybill's database.
        turns: says whether somebody waits for a job to end.
        use: counts who reads a job's source.
        figures: counts them.
        queue: told of them.
        catalog: what can be exported.
        producer: makes the bytes of one attempt.
        storages: where objects may lie, by the name the job's row keeps.
        adoption: finds what a dead process had finished.
        clock: says when a file expires.
        settings: lease, heartbeat, deadline, retries.
        family: the name of this process's worker (``identity.new_family``).
        shutdown: the order to stop, if anybody gives one.
        on_end: told, after the commit, what an attempt came to.
    """

    def __init__(
        self,
        *,
        leases: LeaseRepository,
        turns: Turns,
        use: SourceUse,
        figures: JobFigures,
        queue: ExportQueue,
        catalog: Catalog,
        producer: ExportProducer,
        storages: Mapping[str, Storage],
        adoption: ResultAdoption,
        clock: Clock,
        settings: Settings,
        family: str,
        shutdown: ShutdownFlag | None = None,
        on_end: Callable[[UUID, Outcome], Awaitable[None]] | None = None,
    ) -> None:
        self._on_end = on_end
        self._leases = leases
        self._turns = turns
        self._use = use
        self._figures = figures
        self._queue = queue
        self._catalog = catalog
        self._producer = producer
        self._storages = storages
        self._adoption = adoption
        self._clock = clock
        self._settings = settings
        self._family = family
        self._shutdown = shutdown
        self._settlement = Settlement(leases, patience_seconds=settings.lease_seconds)
        self._retries = RetryPolicy(settings.max_attempts, settings.retry_backoff_seconds)

    async def run(self, notified: UUID) -> Outcome:
        """Run one attempt of the job whose turn it is, if any is due; and of others beside it while
        all are small (``run.company``). Return what became of the first when all are over.

        ``notified`` is the job that a message names. A message says that there is work, not which:
        every due job has one, so none is left over when all messages are answered.
        """
        if ANSWERED.take(notified):
            log.info("export.already_answered", notified=str(notified))
            return Outcome.SKIPPED
        company = Company(
            notified,
            partial(self._claim, notified),
            self._run,
            places=self._settings.small_jobs_together,
            is_stopping=lambda: self._shutdown is not None and self._shutdown.is_set(),
        )
        first = await self._claim(notified, company)
        if first is None:
            await self.release_dead_siblings()
            # A duplicate message, or one that came too early or too late, or whose job must wait
            # until others have ended: no effect.
            log.info("export.nothing_to_claim", notified=str(notified))
            return Outcome.SKIPPED
        return await company.run(first)

    async def _run(self, member: Member) -> Outcome:
        job, lease = member.job, member.lease
        with structlog.contextvars.bound_contextvars(export_id=str(job.id), attempt=lease.attempt):
            outcome = await self._run_traced(member)
        await self._announce_next()
        return outcome

    async def _run_traced(self, member: Member) -> Outcome:
        job, lease = member.job, member.lease
        async with attempt_span(self._leases, job, lease) as span:
            log.info(
                "export.started", type=job.export_type, format=job.format, beside=member.beside
            )
            self._figures.claimed(job)
            outcome = await self._attempt(member)
            span.set(outcome=outcome.value)
            self._figures.attempt_ended(job, outcome.value)
            log.info("export.attempt_ended", outcome=outcome.value)
            if self._on_end is not None:
                await self._on_end(job.id, outcome)
        return outcome

    # -- the beginning of an attempt ------------------------------------------------------------

    async def _claim(self, notified: UUID, company: Company) -> Member | None:
        asked_at = time.monotonic()
        claimed = await self._claim_surely(notified)
        return None if claimed is None else Member(*claimed, asked_at, company)

    async def _claim_surely(self, notified: UUID) -> tuple[ExportJob, Lease] | None:
        """Claim a job, and find out what became of a claim whose answer was lost."""
        identity = str(WorkerIdentity.current(self._family))
        token = uuid4()
        give_up_at = time.monotonic() + self._settings.lease_seconds / 2
        is_repeated = False
        while True:
            try:
                async with asyncio.timeout(WRITE_TIMEOUT_SECONDS):
                    # First, as a second claim would take another job.
                    held = await self._leases.find_claim(token) if is_repeated else None
                    return held or await self._leases.claim(
                        notified,
                        lease_seconds=self._settings.lease_seconds,
                        worker=identity,
                        token=token,
                        is_looking=self._settings.small_jobs_together > 1,
                    )
            except DATABASE_ERRORS as exc:
                # The message may be lost with this: the sweeper publishes again.
                if time.monotonic() >= give_up_at:
                    raise
                log.warning("export.claim_failed", error=type(exc).__name__)
                is_repeated = True
                await asyncio.sleep(_CLAIM_PAUSE_SECONDS)

    async def release_dead_siblings(self) -> None:
        """End the attempts of dead processes of our own worker, without waiting for their leases.

        A killed child is taken from the system's table before another takes its place, and that
        one comes here first.
        """
        try:
            held = await self._leases.holders()
            here = WorkerIdentity.current(self._family)
            for holder, job, lease in held:
                if here.has_died(holder):
                    with structlog.contextvars.bound_contextvars(export_id=str(job.id)):
                        await self._release(job, lease)
        except DATABASE_ERRORS:
            return  # the leases run out by themselves

    async def _release(self, job: ExportJob, lease: Lease) -> None:
        try:
            if await self._adoption.adopt(job, lease):
                return
        except StorageUndecided:
            if job.attempt >= job.max_attempts:
                return  # the last attempt's file may be whole: the sweeper asks again
        log.warning("export.worker_lost", attempt=lease.attempt)
        progress = Progress(job.rows_done, job.bytes_done, job.rows_expected)
        await self._end_failed(job, lease, WorkerLost("The process was killed."), progress)

    async def _announce_next(self) -> None:
        """Announce a job that may have waited for ours to end: its own message found no room."""
        if not self._turns.limits.are_set:
            return
        try:
            waiting = await self._turns.next_due()
            if waiting is not None:
                await self._queue.publish(waiting)
        except (*DATABASE_ERRORS, QueueUnavailable) as exc:
            # The sweeper announces it.
            log.warning("export.announcement_deferred", error=type(exc).__name__)

    # -- the attempt ----------------------------------------------------------------------------

    async def _attempt(self, member: Member) -> Outcome:
        job, lease = member.job, member.lease
        closed = self._closed(job)
        if closed is not None:
            return await self._postpone(lease, closed)
        if is_of_later_version(job.options):
            reason = NewerRequest("A later version of waybill stored it. Update this worker.")
            return await self._postpone(lease, reason)
        control = AttemptControl(
            self._deadline_seconds(job),
            trusted_until(member.asked_at, self._settings.lease_seconds),
            on_expected=member.company.look,
        )
        declared = self._catalog.get(job.export_type)
        count = None if declared is None else self._use.sharing(declared)
        beats = Heartbeat(self._leases, lease, control, self._settings, self._shutdown, count)
        await beats.share()
        heartbeat = asyncio.create_task(beats.run())
        try:
            completion = await self._produced(member, control, heartbeat)
        except LeaseLost:
            log.warning("export.lease_lost")
            return Outcome.LEASE_LOST
        except SourceBusy as exc:
            return await self._postpone(lease, exc)
        except RunStopped:
            progress = control.snapshot()
            return await self._settlement.settle(
                lease,
                lambda: self._leases.give_back(lease, progress=progress),
                AttemptOutcome.GIVEN_BACK,
            )
        except (RunError, RequestError) as exc:
            # A RequestError here: the catalog changed after the request was accepted.
            return await self._end_failed(job, lease, exc, control.snapshot())
        except Exception as exc:
            # Unknown, so loud; and tried again, as the job must end one way or the other.
            log.exception("export.unexpected_error")
            return await self._end_failed(job, lease, exc, control.snapshot())
        finally:
            heartbeat.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await heartbeat
        return await self._complete(lease, completion)

    async def _produced(
        self, member: Member, control: AttemptControl, heartbeat: asyncio.Task[None]
    ) -> Completion:
        """Run the pipeline in a thread, and wait for it no longer than its lease and orders."""
        await member.may_begin(control)
        producing = asyncio.create_task(
            asyncio.to_thread(self._produce, member.job, member.lease, control)
        )
        await asyncio.wait({producing, heartbeat}, return_when=asyncio.FIRST_COMPLETED)
        if heartbeat.done() and not producing.done():
            if heartbeat.exception() is not None:
                # A defect: the lease is not renewed any more, at whose end the pipeline stops.
                log.error("export.heartbeat_broken", exc_info=heartbeat.exception())
                await asyncio.wait({producing})
            elif (reason := control.stopped_because()) is not None:
                # It hangs in a request. The job must not: whatever the thread still does is
                # fenced off, and its object, should it come to be, is swept.
                log.error("export.pipeline_abandoned", reason=reason.code)
                producing.add_done_callback(_ignore_result)
                raise reason
        return await producing

    def _produce(self, job: ExportJob, lease: Lease, control: AttemptControl) -> Completion:
        request = ExportRequest.from_job(job.export_type, job.format, job.options)
        export_type = self._catalog.get_type(request.export_type)
        return self._producer.produce(job, lease, export_type, request, control)

    def _closed(self, job: ExportJob) -> OutsideHours | None:
        """Return why exports of the job's type do not begin now, if it is for the hour."""
        declared = self._catalog.get(job.export_type)
        return None if declared is None else outside_hours(declared.polite, self._clock.now())

    async def _postpone(
        self, lease: Lease, reason: OutsideHours | SourceBusy | NewerRequest
    ) -> Outcome:
        delay = getattr(reason, "retry_after_seconds", _BUSY_SECONDS)
        log.info("export.postponed", reason=reason.code, for_seconds=round(delay))
        return await self._settlement.settle(
            lease,
            lambda: self._leases.postpone(lease, reason.code, delay_seconds=delay),
            AttemptOutcome.GIVEN_BACK,
        )

    def _deadline_seconds(self, job: ExportJob) -> float:
        declared = self._catalog.get(job.export_type)
        if declared is not None and declared.deadline_seconds is not None:
            return declared.deadline_seconds
        return self._settings.deadline_seconds

    # -- the end of an attempt ------------------------------------------------------------------

    async def _complete(self, lease: Lease, completion: Completion) -> Outcome:
        stored, manifest = completion.stored, completion.manifest
        result = Result(
            storage=completion.storage,
            object_key=stored.key,
            object_bytes=stored.bytes,
            object_etag=stored.etag,
            manifest=manifest.model_dump(mode="json"),
            sha256=manifest.sha256,
            rows=manifest.rows,
            expires_at=self._clock.now() + timedelta(days=self._settings.result_ttl_days),
        )
        outcome = await self._settlement.settle(
            lease, lambda: self._leases.complete(lease, result), AttemptOutcome.COMPLETED
        )
        if outcome is Outcome.LEASE_LOST and not completion.is_shared:
            # Nobody refers to this object and nobody ever will.
            await asyncio.to_thread(self._discard, completion.storage, stored.key)
        return outcome

    async def _end_failed(
        self, job: ExportJob, lease: Lease, error: Exception, progress: Progress
    ) -> Outcome:
        """Try again if that may help and attempts are left, else end in the dead-letter list."""
        failure = AttemptFailure.of(error)
        self._figures.attempt_failed(job, failure)
        tracing.note(failed=failure.code)
        may_pass = not isinstance(error, PermanentError | RequestError)
        if may_pass and lease.attempt < job.max_attempts:
            delay = self._retries.delay_seconds(lease.attempt, job.max_attempts)
            if isinstance(error, RetryableError):
                delay *= error.patience
            log.warning(
                "export.attempt_failed",
                error=failure.code,
                cause=failure.cause.value,
                retry_in_seconds=delay,
            )
            return await self._settlement.settle(
                lease,
                lambda: self._leases.retry(lease, failure, delay_seconds=delay, progress=progress),
                AttemptOutcome.RETRIED,
            )
        log.error("export.failed", error=failure.code, cause=failure.cause.value)
        return await self._settlement.settle(
            lease,
            lambda: self._leases.fail(lease, failure, progress=progress),
            AttemptOutcome.FAILED,
        )

    def _discard(self, storage: str, key: str) -> None:
        try:
            self._storages[storage].delete(manifest_key(key))
            self._storages[storage].delete(key)
        except RunError as exc:
            # The orphan sweep finds it by its key.
            log.warning("export.orphan_left", error=exc.code)


def _ignore_result(task: asyncio.Task[Completion]) -> None:
    if not task.cancelled():
        task.exception()  # looked at, so that nobody complains that it was not
