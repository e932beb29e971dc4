"""Mends whatever was lost between the row and the queue, and clears what is over.

Every method is idempotent and safe to run in several processes at once.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from waybill.audit.audit import AuditLog
from waybill.config import Settings
from waybill.errors import QueueUnavailable, WorkerLost
from waybill.jobs.attempts import AttemptFailure, RetryPolicy
from waybill.jobs.job import ExportStatus
from waybill.jobs.leases import LeaseRepository
from waybill.jobs.queue import ExportQueue
from waybill.jobs.repository import ExportRepository
from waybill.jobs.turns import Turns
from waybill.log import get_logger
from waybill.metrics.definitions import LEASES_LOST
from waybill.metrics.recording import record
from waybill.requests.admission import Admission
from waybill.requests.dry_runs import DryRunBudget
from waybill.results.adoption import ResultAdoption, StorageUndecided
from waybill.sessions.portal_links import PortalLinks
from waybill.sessions.sessions import Sessions
from waybill.upkeep.cleanup import ResultCleanup
from waybill.upkeep.fallback import FallbackMover
from waybill.upkeep.orphans import OrphanSweep

log = get_logger(__name__)

_BATCH = 500
_UNDECIDED = timedelta(minutes=10)
"""How long a last attempt waits for storage to say whether its file is whole."""
_LOST = AttemptFailure.of(WorkerLost("The worker stopped renewing its lease."))


class Sweeper:
    """What the scheduler runs."""

    def __init__(
        self,
        *,
        repository: ExportRepository,
        leases: LeaseRepository,
        turns: Turns,
        queue: ExportQueue,
        cleanup: ResultCleanup,
        orphans: OrphanSweep,
        mover: FallbackMover,
        admission: Admission,
        dry_runs: DryRunBudget,
        portal_links: PortalLinks,
        sessions: Sessions,
        adoption: ResultAdoption,
        audit: AuditLog,
        settings: Settings,
    ) -> None:
        self._repository = repository
        self._leases = leases
        self._turns = turns
        self._queue = queue
        self._cleanup = cleanup
        self._orphans = orphans
        self._mover = mover
        self._admission = admission
        self._dry_runs = dry_runs
        self._portal_links = portal_links
        self._sessions = sessions
        self._adoption = adoption
        self._audit = audit
        self._retries = RetryPolicy(settings.max_attempts, settings.retry_backoff_seconds)
        self._settings = settings

    async def sweep(self) -> None:
        """Free the jobs of lost workers, then announce every due job."""
        await self._release_lost_workers()
        await self._turns.correct_reasons()
        await self._publish_due()

    async def clean(self) -> None:
        """Take files past their time out of reach, and forget what is long over. The database
        alone: a file expires in time though storage hangs."""
        await self._cleanup.expire()
        await self._cleanup.forget_values()
        await self._cleanup.purge()
        await self._admission.forget_keys()
        await self._audit.forget(timedelta(days=self._settings.audit_retention_days), limit=_BATCH)
        await self._turns.tidy()
        await self._dry_runs.forget()
        await self._portal_links.forget()
        await self._sessions.forget()

    async def sweep_storage(self) -> None:
        """``tidy_storage``, and go on looking for objects and uploads that belong to no job."""
        await self.tidy_storage()
        await self._orphans.step()

    async def tidy_storage(self) -> None:
        """Delete what is out of reach, and move back what object storage could not take."""
        await self._cleanup.remove_leftovers()
        await self._mover.step()

    async def search_storage(self, *, within_seconds: float) -> None:
        """Look for objects and uploads that belong to no job, from the first to the last: for a
        process that may end before a next step."""
        await self._orphans.search(within_seconds=within_seconds)

    async def _release_lost_workers(self) -> None:
        spared = await self._adopt_finished()
        released = await self._leases.release_expired(_LOST, self._retries, sparing=spared)
        for job in released:
            record(LEASES_LOST)
            log.warning(
                "export.worker_lost",
                export_id=str(job.id),
                attempt=job.attempt,
                dead_letter=job.status is ExportStatus.FAILED,
            )

    async def _adopt_finished(self) -> list[UUID]:
        """Complete the jobs whose file is whole though the row does not say so.

        Returns the tokens of leases to leave for now: the attempt was the last and storage does
        not answer, so that ending it could throw away a whole file.
        """
        spared = []
        for each in await self._leases.find_expired():
            try:
                await self._adoption.adopt(each.job, each.lease, each.checkpoint_key)
            except StorageUndecided:
                is_spent = each.job.attempt >= each.job.max_attempts
                if is_spent and each.over_for < _UNDECIDED:
                    spared.append(each.lease.token)
        return spared

    async def _publish_due(self) -> None:
        due = list(await self._repository.unannounced(limit=_BATCH))
        try:
            # A message that nobody answered is lost only when the broker holds none any more;
            # otherwise the workers are busy, and more messages would only pile up.
            if not due and await self._queue.depth() == 0:
                due += await self._unanswered()
            for export_id in due:
                await self._queue.publish(export_id)
                await self._repository.mark_published([export_id])
        except QueueUnavailable as exc:
            log.warning("sweeper.broker_unavailable", waiting=len(due), error=str(exc))
            return
        if due:
            log.info("sweeper.published", count=len(due))

    async def _unanswered(self) -> list[UUID]:
        """Return due jobs whose message is gone, if a worker could take any of them now."""
        are_limited = self._turns.limits.are_set
        waiting = await self._turns.next_due() if are_limited else None
        if are_limited and waiting is None:
            return []  # all of them wait for others to end
        due = list(
            await self._repository.unanswered(
                older_than_seconds=self._settings.republish_after_seconds, limit=_BATCH
            )
        )
        # Room that nobody announced: a stopped worker's, a cancelled job's.
        return due or ([] if waiting is None else [waiting])
