"""Letting a request in: idempotency, coalescing and quota decided, and the job made, at once.

All of it is one transaction. A person's requests take turns by an advisory lock that is theirs
alone and ends with the transaction, so what is counted and looked up here is true until the commit:
of fifty requests at once exactly as many jobs come into being as the quota has left. Other people
never wait for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Text,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from waybill import tracing
from waybill.audit.audit import AuditAction, AuditLog
from waybill.errors import IdempotencyKeyInUse
from waybill.jobs.job import ExportJob, ExportStatus, Lease
from waybill.jobs.rows import JOB_COLUMNS, job_of, seconds
from waybill.jobs.tables import export_attempts as attempts
from waybill.jobs.tables import export_jobs as jobs
from waybill.notify.outbox import NotificationOutbox
from waybill.principal import Principal
from waybill.requests.idempotency import check_room, find_answer, forget_keys, keep_answer
from waybill.requests.quota import QuotaBucket, QuotaState, peek, spend
from waybill.requests.request import ExportRequest

_FORGET_BATCH: Final = 1_000

# Built once, as every request needs them.
_person_s_turn: ColumnElement[str] = cast(
    func.pg_advisory_xact_lock(bindparam("person", type_=BigInteger)), Text
)
_TURN: Final = select(_person_s_turn)
# The key is not waited for: the draft's answer to a repetition that comes too early is 409. CASE
# makes sure that it is tried first, and the person's turn awaited only then.
_TURN_WITH_KEY: Final = select(
    case((func.pg_try_advisory_xact_lock(bindparam("key", type_=BigInteger)), _person_s_turn))
)
_UNFINISHED: Final = (
    select(*JOB_COLUMNS)
    .where(
        jobs.c.requested_by == bindparam("person"),
        jobs.c.tenant.is_not_distinct_from(bindparam("of_tenant")),
        jobs.c.fingerprint == bindparam("equal_to"),
        jobs.c.status.in_([ExportStatus.QUEUED.value, ExportStatus.RUNNING.value]),
    )
    .order_by(jobs.c.created_at)
    .limit(1)
)
_ADD: Final = insert(jobs).returning(*JOB_COLUMNS)


@dataclass(frozen=True, slots=True)
class Admitted:
    """How a request was answered.

    ``is_new``: this request made the job; otherwise an identical unfinished one of the same person
    is given. ``is_repeated``: the answer is one given before, for the same idempotency key, and
    ``job`` is what it was at ``answered_at``.
    """

    job: ExportJob
    is_new: bool
    is_repeated: bool = False
    answered_at: datetime | None = None
    quota: QuotaState | None = None


class Admission:
    """Turns checked requests into jobs.

    Args:
        engine: waybill's own database.
        audit: told of every job, in the transaction that makes it.
        max_attempts: how often a job is tried.
        key_retention: how long an idempotency key is remembered.
        outbox: where to remember whom to write to, in the same transaction.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        audit: AuditLog,
        max_attempts: int,
        key_retention: timedelta,
        max_keys: int,
        outbox: NotificationOutbox,
    ) -> None:
        self._outbox = outbox
        self._engine = engine
        self._audit = audit
        self._max_attempts = max_attempts
        self._key_retention = key_retention
        self._max_keys = max_keys

    async def admit(
        self,
        principal: Principal,
        request: ExportRequest,
        *,
        bucket: QuotaBucket | None,
        key: str | None = None,
        folder: Callable[[], str | None] = lambda: None,
    ) -> Admitted:
        """Answer a canonical request, and commit.

        Args:
            principal: who asks.
            request: what ``ExportRequest.canonical`` returned.
            bucket: the quota it spends; ``None`` for no limit.
            key: the idempotency key.
            folder: gives where a new job's file is to lie below the prefix, or raises.

        Raises:
            IdempotencyKeyInUse, IdempotencyKeyReused, TooManyIdempotencyKeys, QuotaExceeded,
            and what ``folder`` raises
        """
        fingerprint = request.fingerprint()
        async with self._engine.begin() as connection:
            await _take_turn(connection, principal, key)
            if key is not None:
                answer = await find_answer(
                    connection, principal, key, fingerprint, self._key_retention
                )
                if answer is not None:
                    return Admitted(
                        answer.job, answer.is_new, is_repeated=True, answered_at=answer.answered_at
                    )
                await check_room(connection, principal, self._key_retention, most=self._max_keys)
            job = await _find_unfinished(connection, principal, fingerprint)
            is_new = job is None
            quota = None
            if bucket is not None:
                quota = await (spend if is_new else peek)(connection, principal, bucket)
            if job is None:
                job = await self._add(connection, principal, request, fingerprint, folder())
            await self._audit.record(
                principal,
                AuditAction.REQUESTED,
                export_id=job.id,
                export_type=job.export_type,
                code=None if is_new else "coalesced",
                connection=connection,
            )
            if key is not None:
                await keep_answer(connection, principal, key, fingerprint, job, is_new=is_new)
        return Admitted(job, is_new, quota=quota)

    async def admit_stream(
        self,
        principal: Principal,
        request: ExportRequest,
        *,
        export_id: UUID,
        bucket: QuotaBucket | None,
        lease_seconds: float,
        holder: str,
        place: Callable[[AsyncConnection], Awaitable[None]] | None = None,
    ) -> tuple[ExportJob, Lease, QuotaState | None]:
        """Make a job that its caller runs at once and once, and commit.

        It bears no fingerprint: nothing is coalesced with it, as there will be no file. Whoever
        cannot send a first byte takes it back by ``withdraw_stream``.

        Args:
            place: makes sure that the job may read its source beside the others.

        Raises:
            QuotaExceeded, SourceFull
        """
        lease = Lease(export_id, 1, uuid4())
        statement = (
            insert(jobs)
            .values(
                id=export_id,
                export_type=request.export_type,
                format=request.format,
                options=request.options_json(),
                requested_by=principal.subject,
                tenant=principal.tenant,
                status=ExportStatus.RUNNING.value,
                is_stream=True,
                attempt=lease.attempt,
                max_attempts=lease.attempt,
                lease_token=lease.token,
                lease_expires_at=func.now() + seconds(lease_seconds),
                started_at=func.now(),
                next_attempt_at=None,
            )
            .returning(*JOB_COLUMNS)
        )
        async with self._engine.begin() as connection:
            await _take_turn(connection, principal, None)
            quota = None if bucket is None else await spend(connection, principal, bucket)
            job = job_of((await connection.execute(statement)).mappings().one())
            await connection.execute(
                insert(attempts).values(
                    lease_token=lease.token,
                    export_id=export_id,
                    attempt=lease.attempt,
                    worker=holder,
                )
            )
            if place is not None:
                await place(connection)
        return job, lease, quota

    async def record_stream(self, principal: Principal, job: ExportJob) -> None:
        """Note that the first byte of a stream is about to be sent, and commit."""
        await self._audit.record(
            principal, AuditAction.STREAMED, export_id=job.id, export_type=job.export_type
        )

    async def withdraw_stream(self, export_id: UUID) -> None:
        """Take the job of a stream back of which no byte was sent, and with it its place and what
        it had spent, and commit. One that was ended by somebody else stays as it ended."""
        async with self._engine.begin() as connection:
            await connection.execute(
                delete(jobs).where(
                    jobs.c.id == export_id,
                    jobs.c.is_stream,
                    jobs.c.status == ExportStatus.RUNNING.value,
                )
            )

    async def quota(self, principal: Principal, bucket: QuotaBucket | None) -> QuotaState | None:
        """Return how a quota stands; ``None`` where there is none."""
        if bucket is None:
            return None
        async with self._engine.connect() as connection:
            return await peek(connection, principal, bucket)

    async def forget_keys(self) -> int:
        """Delete idempotency keys past their time. Returns how many."""
        async with self._engine.begin() as connection:
            return await forget_keys(connection, self._key_retention, limit=_FORGET_BATCH)

    async def _add(
        self,
        connection: AsyncConnection,
        principal: Principal,
        request: ExportRequest,
        fingerprint: str,
        folder: str | None,
    ) -> ExportJob:
        values = {
            "id": uuid4(),
            "export_type": request.export_type,
            "format": request.format,
            "options": request.options_json(),
            "requested_by": principal.subject,
            "tenant": principal.tenant,
            "max_attempts": self._max_attempts,
            "fingerprint": fingerprint,
        }
        if folder is not None:
            values["object_folder"] = folder
        if (traceparent := tracing.current()) is not None:
            values["traceparent"] = traceparent
        job = job_of((await connection.execute(_ADD, values)).mappings().one())
        # Now, since a small export may be over before another transaction could say it.
        await self._outbox.subscribe(connection, job.id, principal.email)
        return job


async def _take_turn(connection: AsyncConnection, principal: Principal, key: str | None) -> None:
    statement, locks = _TURN, {"person": lock_number("person", principal)}
    if key is not None:
        statement, locks["key"] = _TURN_WITH_KEY, lock_number("key", principal, key)
    if await connection.scalar(statement, locks) is None:
        raise IdempotencyKeyInUse


def lock_number(what: str, principal: Principal, key: str = "") -> int:
    """Return the advisory lock's number: 64 bits of a digest. Two people whose numbers fall
    together would take turns, nothing worse."""
    text = "\0".join([what, principal.tenant or "", principal.subject, key])
    digest = hashlib.blake2b(text.encode(), digest_size=8, person=b"waybill.admit").digest()
    return int.from_bytes(digest, signed=True)


async def _find_unfinished(
    connection: AsyncConnection, principal: Principal, fingerprint: str
) -> ExportJob | None:
    # No unique index says that there is at most one: a replayed dead letter may stand beside the
    # new request that its owner made in the meantime. The lock sees to it that requests make one.
    values = {
        "person": principal.subject,
        "of_tenant": principal.tenant,
        "equal_to": fingerprint,
    }
    row = (await connection.execute(_UNFINISHED, values)).mappings().one_or_none()
    return None if row is None else job_of(row)
