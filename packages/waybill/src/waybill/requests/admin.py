"""What administrators can do with others' exports. Whose, is decided in ``access``."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from waybill.audit.audit import AuditAction, AuditEvent, AuditFilter, AuditLog
from waybill.errors import (
    ExportGone,
    ExportNotFound,
    ExportNotReady,
    NotADeadLetter,
    ValuesForgotten,
)
from waybill.jobs.dead_letters import DeadLetter, DeadLetterFilter, DeadLetters
from waybill.jobs.job import ExportJob
from waybill.jobs.job_filter import JobFilter
from waybill.jobs.reach import Reach
from waybill.jobs.repository import ExportRepository
from waybill.jobs.rows import JobListener
from waybill.notify.delivery import DeliveryState, NotificationFilter
from waybill.notify.states import NotificationStates
from waybill.principal import Principal
from waybill.requests.access import Access, Deed


class ExportAdministration:
    """Lists, cancels, revokes and replays, within what the principal administers.

    Args:
        engine: waybill's own database.
        access: decides.
        repository: the jobs.
        dead_letters: those that failed.
        notifications: what became of them.
        audit: told of every change, and of reading the trail.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        access: Access,
        repository: ExportRepository,
        dead_letters: DeadLetters,
        notifications: NotificationStates,
        audit: AuditLog,
    ) -> None:
        self._engine = engine
        self._access = access
        self._repository = repository
        self._dead_letters = dead_letters
        self._notifications = notifications
        self._audit = audit

    async def list(
        self, principal: Principal, wanted: JobFilter, *, limit: int
    ) -> Sequence[ExportJob]:
        """Return jobs, the newest first.

        Raises:
            PermissionDenied
        """
        return await self._repository.list_within(self._reach(principal), wanted, limit=limit)

    async def cancel(self, principal: Principal, export_id: UUID) -> ExportJob:
        """Cancel anybody's unfinished job; one that is over stays as it is.

        Raises:
            PermissionDenied, ExportNotFound
        """
        await self._get(principal, export_id)
        changed = await self._repository.cancel(
            export_id,
            audit=[self._audit.listener(principal, AuditAction.CANCELLED, code="by_admin")],
        )
        return changed or await self._look(principal, export_id)

    async def revoke(self, principal: Principal, export_id: UUID) -> ExportJob:
        """Put anybody's file out of reach for good. Links that are out die with the object.

        Raises:
            PermissionDenied, ExportNotFound
            ExportNotReady: there is no file yet; cancel the job instead.
            ExportGone: the file is gone already.
        """
        await self._get(principal, export_id)
        changed = await self._repository.mark_deleted(
            export_id, audit=[self._audit.listener(principal, AuditAction.REVOKED)]
        )
        if changed is not None:
            return changed
        job = await self._look(principal, export_id)
        if job.status.had_file:
            raise ExportGone(job.status.value)
        raise ExportNotReady(job.status.value)

    # -- dead letters -----------------------------------------------------------------------------

    async def list_dead_letters(
        self, principal: Principal, wanted: DeadLetterFilter, *, limit: int
    ) -> Sequence[ExportJob]:
        """Return failed jobs, the newest failure first.

        Raises:
            PermissionDenied
        """
        return await self._dead_letters.list(wanted, within=self._reach(principal), limit=limit)

    async def get_dead_letter(self, principal: Principal, export_id: UUID) -> DeadLetter:
        """Return one with its attempts.

        Raises:
            PermissionDenied, ExportNotFound, NotADeadLetter
        """
        await self._look(principal, export_id)
        return await self._dead_letters.get(export_id, within=self._reach(principal))

    async def replay(self, principal: Principal, export_id: UUID) -> ExportJob:
        """Queue a failed job again.

        Raises:
            PermissionDenied, ExportNotFound, NotADeadLetter, ValuesForgotten
        """
        return await self._dead_letters.replay(
            export_id, within=self._reach(principal), audit=[self._replayed(principal)]
        )

    async def replay_many(
        self, principal: Principal, wanted: DeadLetterFilter, *, limit: int
    ) -> Sequence[ExportJob]:
        """Queue again all failed jobs that match; returns those that were."""
        replayed = []
        for job in await self.list_dead_letters(principal, wanted, limit=limit):
            try:
                replayed.append(await self.replay(principal, job.id))
            except (ExportNotFound, NotADeadLetter, ValuesForgotten):
                continue  # somebody else was faster, or it is too late
        return replayed

    # -- notifications ----------------------------------------------------------------------------

    async def list_notifications(
        self, principal: Principal, wanted: NotificationFilter, *, limit: int
    ) -> Sequence[DeliveryState]:
        """Return what became of the notifications of exports, the newest first.

        Raises:
            PermissionDenied
        """
        return await self._notifications.list(wanted, within=self._reach(principal), limit=limit)

    async def replay_notifications(
        self, principal: Principal, wanted: NotificationFilter
    ) -> Sequence[DeliveryState]:
        """Send those that were given up again; returns those that are due again.

        Raises:
            PermissionDenied
        """
        return await self._notifications.replay(
            wanted,
            within=self._reach(principal),
            audit=[self._audit.listener(principal, AuditAction.RESENT)],
        )

    # -- the trail --------------------------------------------------------------------------------

    async def list_events(
        self, principal: Principal, wanted: AuditFilter, *, limit: int
    ) -> Sequence[AuditEvent]:
        """Return audit events, the newest first. Reading the trail is itself recorded.

        Raises:
            PermissionDenied
        """
        found = await self._audit.list(wanted, within=self._reach(principal), limit=limit)
        await self._audit.record(principal, AuditAction.AUDITED)
        return found

    def _replayed(self, principal: Principal) -> JobListener:
        return self._audit.listener(principal, AuditAction.REPLAYED)

    async def _get(self, principal: Principal, export_id: UUID) -> ExportJob:
        job = await self._repository.find(export_id)
        return self._access.admit(principal, Deed.ADMINISTER, job, export_id)

    async def _look(self, principal: Principal, export_id: UUID) -> ExportJob:
        job = await self._get(principal, export_id)
        await self._audit.record_look(principal, job)
        return job

    def _reach(self, principal: Principal) -> Reach:
        return self._access.reach(principal, Deed.ADMINISTER)
