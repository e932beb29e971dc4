"""The audit trail: who did, or was refused, what and when. Append-only.

An event says who acted, on which export, and how it ended; it has no room for the rows of an
export, for filter values, tokens or links. What changes data or hands it out is recorded in the
same transaction, or before the first byte leaves, so that nothing goes unrecorded. A refusal hands
out nothing: should it not be recordable, it is refused all the same and the log says so.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from waybill.audit.audit_tables import audit_events as events
from waybill.jobs.job import ExportJob
from waybill.jobs.rows import JobListener
from waybill.log import get_logger
from waybill.principal import Principal

log = get_logger(__name__)

# What a client sends reaches the trail only cut to this.
_MAX_CHARACTERS = 255

_client: ContextVar[str | None] = ContextVar("waybill_audit_client", default=None)


class AuditAction(StrEnum):
    """What somebody did, or tried to do."""

    REQUESTED = "requested"
    PREVIEWED = "previewed"
    STREAMED = "streamed"
    READ = "read"
    LISTED = "listed"
    DOWNLOADED = "downloaded"
    CANCELLED = "cancelled"
    DELETED = "deleted"
    REVOKED = "revoked"
    REPLAYED = "replayed"
    AUDITED = "audited"
    """Read the trail itself."""


class AuditOutcome(StrEnum):
    ALLOWED = "allowed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One line of the trail. ``actor`` is ``None`` when nobody was authenticated."""

    id: int
    at: datetime
    actor: str | None
    tenant: str | None
    action: str
    outcome: AuditOutcome
    code: str | None
    export_id: UUID | None
    export_type: str | None
    client: str | None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which events; a field left ``None`` does not narrow. ``before_id`` pages."""

    actor: str | None = None
    tenant: str | None = None
    action: AuditAction | None = None
    outcome: AuditOutcome | None = None
    code: str | None = None
    export_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    before_id: int | None = None


def bind_client(host: str | None) -> None:
    """Name the network address that this request came from, for the events it leads to."""
    try:
        _client.set(str(ipaddress.ip_address(host or "")))
    except ValueError:
        _client.set(None)


class AuditLog:
    """Writes and reads the trail.

    Args:
        engine: waybill's own database.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def record(
        self,
        actor: Principal | None,
        action: AuditAction,
        *,
        export_id: UUID | None = None,
        export_type: str | None = None,
        outcome: AuditOutcome = AuditOutcome.ALLOWED,
        code: str | None = None,
        connection: AsyncConnection | None = None,
    ) -> None:
        """Append an event.

        Args:
            actor: who acted; ``None`` when nobody was authenticated.
            action: what it was about.
            export_id: the job, as asked for: it need not exist.
            export_type: the type, as asked for.
            outcome: whether it was allowed.
            code: a refusal's error code, or how it was done; never free text.
            connection: the transaction of the change that is recorded; one of its own if ``None``.
        """
        statement = insert(events).values(
            actor=None if actor is None else _cut(actor.subject),
            tenant=None if actor is None else _cut(actor.tenant),
            action=action.value,
            outcome=outcome.value,
            code=_cut(code),
            export_id=export_id,
            export_type=_cut(export_type),
            client=_client.get(),
        )
        if connection is not None:
            await connection.execute(statement)
            return
        async with self._engine.begin() as own:
            await own.execute(statement)

    async def record_refusal(
        self,
        actor: Principal | None,
        action: AuditAction,
        code: str,
        *,
        export_id: UUID | None = None,
        export_type: str | None = None,
    ) -> None:
        """Append a refusal; one that cannot be written is logged, and stays a refusal."""
        log.warning(
            "access.refused",
            actor=None if actor is None else actor.subject,
            action=action.value,
            code=code,
            export_id=None if export_id is None else str(export_id),
        )
        try:
            await self.record(
                actor,
                action,
                export_id=export_id,
                export_type=export_type,
                outcome=AuditOutcome.REFUSED,
                code=code,
            )
        except (SQLAlchemyError, OSError) as exc:
            log.error("audit.not_recorded", action=action.value, error=type(exc).__name__)  # noqa: TRY400

    def witness(
        self, actor: Principal, action: AuditAction, *, code: str | None = None
    ) -> JobListener:
        """Return a listener that records a change of a job in the change's own transaction."""

        async def listener(connection: AsyncConnection, job: ExportJob) -> None:
            await self.record(
                actor,
                action,
                export_id=job.id,
                export_type=job.export_type,
                code=code,
                connection=connection,
            )

        return listener

    async def list(self, wanted: AuditFilter, *, limit: int) -> Sequence[AuditEvent]:
        """Return events, the newest first."""
        statement = select(events).order_by(events.c.id.desc()).limit(limit)
        equal = {
            events.c.actor: wanted.actor,
            events.c.tenant: wanted.tenant,
            events.c.action: wanted.action and wanted.action.value,
            events.c.outcome: wanted.outcome and wanted.outcome.value,
            events.c.code: wanted.code,
            events.c.export_id: wanted.export_id,
        }
        for column, value in equal.items():
            if value is not None:
                statement = statement.where(column == value)
        if wanted.since is not None:
            statement = statement.where(events.c.at >= wanted.since)
        if wanted.until is not None:
            statement = statement.where(events.c.at < wanted.until)
        if wanted.before_id is not None:
            statement = statement.where(events.c.id < wanted.before_id)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement)).mappings().all()
        return [AuditEvent(**{**row, "outcome": AuditOutcome(row["outcome"])}) for row in rows]


def _cut(value: str | None) -> str | None:
    # PostgreSQL's text holds no NUL.
    return None if value is None else value.replace("\x00", "")[:_MAX_CHARACTERS]
