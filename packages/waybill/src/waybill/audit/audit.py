"""The audit trail: who did, or was refused, what and when. Append-only.

An event says who acted, on which export, and how it ended; it has no room for the rows of an
export, for filter values, tokens or links. What changes data or hands it out is recorded in the
same transaction, or before the first byte leaves, so that nothing goes unrecorded. A refusal hands
out nothing: should it not be recordable, it is refused all the same and the log says so.

An event also says whose the export is, so that it has two readers: those who administer the actor
and those who administer the owner. The first do not read the owner, since then a refusal would tell
them that what they may not see exists.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Uuid as UuidType
from sqlalchemy import and_, bindparam, delete, func, insert, or_, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from waybill.audit.audit_tables import audit_events as events
from waybill.audit.sink import AuditFeed, AuditSink, after_commit
from waybill.jobs.job import ExportJob
from waybill.jobs.reach import Reach
from waybill.jobs.rows import JobListener
from waybill.jobs.tables import export_jobs as jobs
from waybill.log import get_logger
from waybill.principal import Principal

log = get_logger(__name__)

# What a client sends reaches the trail only cut to this.
_MAX_CHARACTERS = 255

# The owner is looked up here, so that no caller can forget it, nor say it wrongly.
_owned = select(jobs.c.tenant, jobs.c.requested_by).where(
    jobs.c.id == bindparam("about", type_=UuidType)
)
_APPEND: Final = insert(events).values(
    export_tenant=_owned.with_only_columns(jobs.c.tenant).scalar_subquery(),
    export_owner=_owned.with_only_columns(jobs.c.requested_by).scalar_subquery(),
)
_APPEND_AND_READ: Final = _APPEND.returning(*events.c)

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
    RESENT = "resent"
    """Had notifications sent again that were given up."""
    ENABLED = "enabled"
    """Enabled a webhook endpoint again; the code is its name."""
    AUDITED = "audited"
    """Read the trail itself."""
    LINKED = "linked"
    """Made a link that signs somebody in."""
    SIGNED_IN = "signed_in"
    SIGNED_OUT = "signed_out"


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
    export_tenant: str | None = None
    """The tenant of the export, for readers within whose reach it is."""
    export_owner: str | None = None
    """Who requested the export; likewise."""
    count: int = 1
    """How many refusals of strangers the event sums up."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which events; a field left ``None`` does not narrow. ``tenant`` is the actor's or the
    export's. ``before_id`` pages."""

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
        engine: waybill's own database; an ``AnnouncingEngine`` where there is a sink.
        sink: an application's own, told of each event after its commit.
    """

    def __init__(self, engine: AsyncEngine, sink: AuditSink | None = None) -> None:
        self._engine = engine
        self._feed = None if sink is None else AuditFeed(sink)

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
        values = {
            "actor": None if actor is None else _cut(actor.subject),
            "tenant": None if actor is None else _cut(actor.tenant),
            "action": action.value,
            "outcome": outcome.value,
            "code": _cut(code),
            "export_id": export_id,
            "about": export_id,
            "export_type": _cut(export_type),
            "client": _client.get(),
        }
        if connection is not None:
            await self._append(connection, values)
            return
        async with self._engine.begin() as own:
            await self._append(own, values)

    async def _append(self, connection: AsyncConnection, values: Mapping[str, Any]) -> None:
        if self._feed is None:
            await connection.execute(_APPEND, values)
            return
        row = (await connection.execute(_APPEND_AND_READ, values)).mappings().one()
        after_commit(connection, partial(self._feed.tell, _event_of(row)))

    async def record_look(self, actor: Principal, job: ExportJob) -> None:
        """Append that ``actor`` looked at ``job``, if that is another tenant's: within a tenant a
        look is no event."""
        if job.tenant != actor.tenant:
            await self.record(
                actor, AuditAction.READ, export_id=job.id, export_type=job.export_type
            )

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

    async def record_strangers(
        self,
        action: AuditAction,
        code: str,
        *,
        client: str | None,
        count: int,
        export_id: UUID | None = None,
        export_type: str | None = None,
    ) -> None:
        """Append ``count`` refusals of nobody as one event; what cannot be written is logged."""
        values = {
            "action": action.value,
            "outcome": AuditOutcome.REFUSED.value,
            "code": _cut(code),
            "export_id": export_id,
            "about": export_id,
            "export_type": _cut(export_type),
            "client": client,
            "count": count,
        }
        try:
            async with self._engine.begin() as own:
                await self._append(own, values)
        except (SQLAlchemyError, OSError) as exc:
            log.error("audit.not_recorded", action=action.value, error=type(exc).__name__)  # noqa: TRY400

    async def close(self) -> None:
        """Let the sink be told what it was not yet told."""
        if self._feed is not None:
            await self._feed.close()

    async def forget(self, older_than: timedelta, *, limit: int) -> int:
        """Delete the oldest events past their time. Returns how many.

        The table refuses every other deletion, and this one too for events younger than 30 days.
        """
        old = (
            select(events.c.id)
            .where(events.c.at < func.now() - older_than)
            .order_by(events.c.id)
            .limit(limit)
        )
        async with self._engine.begin() as connection:
            await connection.execute(text("SET LOCAL waybill.forgets_audit_events = 'on'"))
            result = await connection.execute(delete(events).where(events.c.id.in_(old)))
        return result.rowcount

    def listener(
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

    async def list(self, wanted: AuditFilter, *, within: Reach, limit: int) -> Sequence[AuditEvent]:
        """Return the events of which actor or export is within reach, the newest first."""
        is_actor = within.condition({"tenant": events.c.tenant, "requested_by": events.c.actor})
        # Without an owner there is no such export, which is not the same as one of no tenant.
        is_export = and_(
            events.c.export_owner.is_not(None),
            within.condition(
                {"tenant": events.c.export_tenant, "requested_by": events.c.export_owner}
            ),
        )
        statement = (
            select(events).where(or_(is_actor, is_export)).order_by(events.c.id.desc()).limit(limit)
        )
        if wanted.tenant is not None:
            statement = statement.where(
                or_(
                    events.c.tenant == wanted.tenant,
                    and_(is_export, events.c.export_tenant == wanted.tenant),
                )
            )
        equal = {
            events.c.actor: wanted.actor,
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
        return [_event(row, within) for row in rows]


def _event_of(row: Mapping[Any, Any]) -> AuditEvent:
    return AuditEvent(**{**row, "outcome": AuditOutcome(row["outcome"])})


def _event(row: Mapping[Any, Any], within: Reach) -> AuditEvent:
    event = _event_of(row)
    whose = {"tenant": event.export_tenant, "requested_by": event.export_owner}
    if within.includes_values(whose):
        return event
    return replace(event, export_tenant=None, export_owner=None)


def _cut(value: str | None) -> str | None:
    # PostgreSQL's text holds no NUL.
    return None if value is None else value.replace("\x00", "")[:_MAX_CHARACTERS]
