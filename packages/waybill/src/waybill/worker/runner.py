"""Runs one attempt of one export. The only place that decides: complete, retry, fail or stop.

The event loop owns the job's row (claim, heartbeat, end); the pipeline moves the bytes in a
thread. They share an ``AttemptControl`` and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from waybill.catalog import Catalog
from waybill.clock import Clock
from waybill.config import Settings
from waybill.errors import (
    DeadlineExceeded,
    LeaseLost,
    PermanentError,
    RequestError,
    RetryableError,
    RunError,
    RunStopped,
)
from waybill.exports.job import ExportJob, ExportStatus, Lease
from waybill.exports.manifest import manifest_key
from waybill.exports.repository import ExportRepository
from waybill.exports.request import ExportRequest
from waybill.log import get_logger
from waybill.pipeline.pipeline import Completion
from waybill.storage.base import Storage
from waybill.worker.control import AttemptControl
from waybill.worker.produce import ExportProducer
from waybill.worker.shutdown import ShutdownFlag

log = get_logger(__name__)

_RENEW_TIMEOUT_SECONDS = 5.0
_SETTLE_PAUSE_SECONDS = 0.5
_TICK_SECONDS = 0.25
_INTERNAL_ERROR = "internal_error"


class Outcome(StrEnum):
    """How an attempt ended for the job."""

    SKIPPED = "skipped"
    COMPLETED = "completed"
    RETRIED = "retried"
    FAILED = "failed"
    GIVEN_BACK = "given_back"
    LEASE_LOST = "lease_lost"
    UNSETTLED = "unsettled"


class ExportRunner:
    """Claims a job, runs it, and ends the attempt. Safe to call twice with the same id."""

    def __init__(
        self,
        *,
        repository: ExportRepository,
        catalog: Catalog,
        producer: ExportProducer,
        storage: Storage,
        clock: Clock,
        settings: Settings,
        shutdown: ShutdownFlag | None = None,
    ) -> None:
        self._repository = repository
        self._catalog = catalog
        self._producer = producer
        self._storage = storage
        self._clock = clock
        self._settings = settings
        self._shutdown = shutdown

    async def run(self, export_id: UUID) -> Outcome:
        """Run one attempt of ``export_id``, if it is due and nobody else holds it."""
        with structlog.contextvars.bound_contextvars(export_id=str(export_id)):
            claimed = await self._repository.claim(
                export_id, lease_seconds=self._settings.lease_seconds
            )
            if claimed is None:
                # A duplicate message, or one that came too early or too late: no effect.
                log.info("export.not_due")
                return Outcome.SKIPPED
            job, lease = claimed
            with structlog.contextvars.bound_contextvars(attempt=lease.attempt):
                log.info("export.started", type=job.export_type, format=job.format)
                outcome = await self._attempt(job, lease)
                log.info("export.attempt_ended", outcome=outcome.value)
                return outcome

    async def _attempt(self, job: ExportJob, lease: Lease) -> Outcome:
        control = AttemptControl(self._deadline_seconds(job))
        heartbeat = asyncio.create_task(self._heartbeat(lease, control))
        try:
            completion = await asyncio.to_thread(self._produce, job, lease, control)
        except LeaseLost:
            log.warning("export.lease_lost")
            return Outcome.LEASE_LOST
        except RunStopped:
            return await self._settle(
                lease, lambda: self._repository.give_back(lease), Outcome.GIVEN_BACK
            )
        except (PermanentError, RequestError) as exc:
            # A RequestError here: the catalog changed after the request was accepted.
            return await self._fail(lease, exc.code, str(exc))
        except RetryableError as exc:
            return await self._retry(job, lease, exc.code, str(exc))
        except Exception:
            # Unknown, so loud; and tried again, as the job must end one way or the other.
            log.exception("export.unexpected_error")
            return await self._retry(job, lease, _INTERNAL_ERROR, "Something failed on our side.")
        finally:
            heartbeat.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await heartbeat
        return await self._complete(lease, completion)

    def _deadline_seconds(self, job: ExportJob) -> float:
        declared = self._catalog.get(job.export_type)
        if declared is not None and declared.deadline_seconds is not None:
            return declared.deadline_seconds
        return self._settings.deadline_seconds

    def _produce(self, job: ExportJob, lease: Lease, control: AttemptControl) -> Completion:
        request = ExportRequest.from_job(job.export_type, job.format, job.options)
        export_type = self._catalog.get_type(request.export_type)
        return self._producer.produce(job, lease, export_type, request, control)

    # -- beside the pipeline --------------------------------------------------------------------

    async def _heartbeat(self, lease: Lease, control: AttemptControl) -> None:
        """Keep the lease, record progress, watch the deadline and the order to stop."""
        renewed_at = time.monotonic()
        recorded = control.snapshot()
        stop_at: float | None = None
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = time.monotonic()
            if control.seconds_left() == 0:
                control.stop(DeadlineExceeded(control.deadline_seconds))
            if stop_at is None and self._shutdown is not None and self._shutdown.is_set():
                stop_at = now + self._settings.shutdown_grace_seconds
            if stop_at is not None and now >= stop_at:
                control.stop(RunStopped("The worker was told to stop."))
            progress = control.snapshot()
            idle = now - renewed_at
            moved = progress != recorded and idle >= self._settings.progress_seconds
            if not moved and idle < self._settings.heartbeat_seconds:
                continue
            try:
                async with asyncio.timeout(_RENEW_TIMEOUT_SECONDS):
                    held = await self._repository.renew(
                        lease, progress, lease_seconds=self._settings.lease_seconds
                    )
            except (SQLAlchemyError, OSError, TimeoutError) as exc:
                log.warning("export.heartbeat_failed", error=type(exc).__name__)
                # By the time the lease could have been given to another, this attempt is over.
                held = time.monotonic() - renewed_at < self._settings.lease_seconds * 0.8
                if held:
                    continue
            if not held:
                control.stop(LeaseLost("The lease was lost."))
                return
            renewed_at, recorded = now, progress

    # -- the end of an attempt ------------------------------------------------------------------

    async def _complete(self, lease: Lease, completion: Completion) -> Outcome:
        stored, manifest = completion.stored, completion.manifest
        expires_at = self._clock.now() + timedelta(days=self._settings.result_ttl_days)

        async def commit() -> bool:
            return await self._repository.complete(
                lease,
                storage=self._storage.name,
                object_key=stored.key,
                object_bytes=stored.bytes,
                object_etag=stored.etag,
                manifest=manifest.model_dump(mode="json"),
                sha256=manifest.sha256,
                rows=manifest.rows,
                expires_at=expires_at,
            )

        outcome = await self._settle(lease, commit, Outcome.COMPLETED, object_key=stored.key)
        if outcome is Outcome.LEASE_LOST:
            # Nobody refers to this object and nobody ever will.
            await asyncio.to_thread(self._discard, stored.key)
        return outcome

    async def _retry(self, job: ExportJob, lease: Lease, code: str, message: str) -> Outcome:
        if lease.attempt >= job.max_attempts:
            return await self._fail(lease, code, message)
        backoff = self._settings.retry_backoff_seconds
        delay = backoff[min(lease.attempt, len(backoff)) - 1]
        log.warning("export.attempt_failed", error=code, retry_in_seconds=delay)
        return await self._settle(
            lease,
            lambda: self._repository.retry(lease, delay_seconds=delay, code=code, message=message),
            Outcome.RETRIED,
        )

    async def _fail(self, lease: Lease, code: str, message: str) -> Outcome:
        log.error("export.failed", error=code)
        return await self._settle(
            lease, lambda: self._repository.fail(lease, code=code, message=message), Outcome.FAILED
        )

    async def _settle(
        self,
        lease: Lease,
        write: Callable[[], Awaitable[bool]],
        outcome: Outcome,
        *,
        object_key: str | None = None,
    ) -> Outcome:
        """Make one fenced write, and find out what became of it when the answer was lost.

        A connection that breaks inside COMMIT leaves the client unable to tell. The row can: its
        lease token is ours (nothing happened, write again), or it is not (it happened, or the
        job is another's). Gives up when the lease would be over; the sweeper ends the attempt.
        """
        give_up_at = time.monotonic() + self._settings.lease_seconds
        while time.monotonic() < give_up_at:
            try:
                if await write():
                    return outcome
                return await self._what_became(lease, outcome, object_key)
            except (SQLAlchemyError, OSError) as exc:
                log.warning("export.write_failed", error=type(exc).__name__, intended=outcome.value)
                await asyncio.sleep(_SETTLE_PAUSE_SECONDS)
        log.error("export.unsettled", intended=outcome.value)
        return Outcome.UNSETTLED

    async def _what_became(self, lease: Lease, outcome: Outcome, object_key: str | None) -> Outcome:
        job = await self._repository.find(lease.export_id)
        if job is not None and object_key is not None:
            same = job.object_key == object_key
            if same and job.status is ExportStatus.COMPLETED:
                return Outcome.COMPLETED
        log.warning("export.lease_lost", intended=outcome.value)
        return Outcome.LEASE_LOST

    def _discard(self, key: str) -> None:
        try:
            self._storage.delete(manifest_key(key))
            self._storage.delete(key)
        except RunError as exc:
            # The orphan sweep finds it by its key.
            log.warning("export.orphan_left", error=exc.code)
