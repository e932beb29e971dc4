"""Whose turn it is: the claim of the fairest due job, within limits of what runs at a time.

Tenants take turns, and within a tenant its persons do, however many jobs each of them has queued
(round robin: J. Nagle, "On packet switches with infinite storage", RFC 970, 1985; by the time of
the last service, as start-time fair queueing orders its flows: P. Goyal, H. Vin, H. Cheng,
SIGCOMM 1996). Whoever has fewest jobs running comes first, so that long jobs do not take all
workers. A person's own jobs run in the order of their requests.

A tenant or person that comes to the queue counts as last served an hour ago: ahead of those who
are being served, and yet nobody who waits can be overtaken by newcomers for longer than that.

The choice is made in the database (migrations 0012, 0014 and 0023), in one statement, under one
lock: limits hold across all workers, and a worker that is stopped in the middle keeps nobody
waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    Integer,
    Interval,
    Result,
    Select,
    Text,
    bindparam,
    func,
    null,
    select,
    update,
)
from sqlalchemy import Uuid as UuidType
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from waybill.catalog import Catalog
from waybill.jobs.explanations import SOURCE_FULL, explain
from waybill.jobs.job import ExportJob, ExportStatus
from waybill.jobs.rows import COMMITS_ALONE, JOB_COLUMNS, alone, job_of, seconds
from waybill.jobs.tables import export_jobs as jobs
from waybill.own_database import SCHEMA

_REMEMBERED: Final = timedelta(hours=1)
"""As long as the migration's listing counts newcomers back: what is older orders nothing."""
_TIDIED: Final = 1_000
_MORE: Final = "is_more_due"

_CLAIM_TRIES: Final = 10
_LOCKED_PAUSE_SECONDS: Final = 0.1

_QUEUED: Final = ExportStatus.QUEUED.value
_RUNNING: Final = ExportStatus.RUNNING.value

_LIMITS = (
    bindparam("per_tenant", type_=Integer),
    bindparam("per_person", type_=Integer),
    bindparam("per_type", type_=JSONB),
    bindparam("per_source", type_=JSONB),
)
_WHY = (bindparam("waiting_code", type_=Text), bindparam("waiting_message", type_=Text))
_CLAIM_OF = (
    bindparam("notified", type_=UuidType),
    bindparam("token", type_=UuidType),
    bindparam("holder", type_=Text),
    bindparam("lease", type_=Interval),
)


@dataclass(frozen=True, slots=True)
class RunningLimits:
    """How many jobs may run at a time: of one tenant, of one person, of a type, of the types that
    are read from one source. ``None``: any number."""

    per_tenant: int | None = None
    per_person: int | None = None
    per_type: Mapping[str, int] = field(default_factory=dict)
    per_source: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    """By the names of a source's types. Streams count with these, as they read it too."""

    @classmethod
    def of(
        cls, catalog: Catalog, *, per_tenant: int | None, per_person: int | None
    ) -> RunningLimits:
        """Return the limits of the settings with those of the catalog's types and sources."""
        per_type = {
            each.name: each.max_running for each in catalog.values() if each.max_running is not None
        }
        per_source = {
            types: source.together.max_running
            for name, source in catalog.sources.items()
            if source.together.max_running is not None and (types := catalog.shared_by(name))
        }
        return cls(per_tenant, per_person, per_type, per_source)

    @property
    def are_set(self) -> bool:
        """Whether a due job may have to wait although a worker is free."""
        return bool(self.per_type or self.per_source) or (self.per_tenant, self.per_person) != (
            None,
            None,
        )

    def parameters(self) -> dict[str, Any]:
        """Return what the database's functions take."""
        return {
            "per_tenant": self.per_tenant,
            "per_person": self.per_person,
            "per_type": dict(self.per_type),
            "per_source": [
                {"types": list(types), "most": most} for types, most in self.per_source.items()
            ],
        }


class Turns:
    """The queue, as it is served.

    Args:
        engine: waybill's own database.
        limits: how many jobs may run at a time.
        schema: what the functions lie in; named here, as nothing outlives a statement by itself.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        limits: RunningLimits | None = None,
        *,
        schema: str = SCHEMA,
    ) -> None:
        self._framed = engine
        self._engine = alone(engine).execution_options(**{COMMITS_ALONE: True})
        self.limits = limits or RunningLimits()
        functions = getattr(func, schema)
        claimed = functions.claim_fairest_export(*_CLAIM_OF, *_LIMITS, *_WHY).table_valued(
            *(Column(column.name, column.type) for column in JOB_COLUMNS), name="claimed"
        )
        self._claim = select(*claimed.c)
        # Called when the claim has been, whose change it sees, as it may change something itself.
        self._claim_and_look = select(
            *claimed.c, functions.fairest_export(*_LIMITS).is_not(None).label(_MORE)
        )
        self._next = select(functions.fairest_export(*_LIMITS))
        self._tidy = select(functions.tidy_export_turns(_REMEMBERED, _TIDIED))

    async def claim(
        self,
        notified: UUID,
        *,
        token: UUID,
        holder: str,
        lease_seconds: float,
        is_looking: bool = False,
    ) -> tuple[ExportJob, bool] | None:
        """Give a lease on the job whose turn it is, and commit.

        A claim passes over rows that somebody is changing at this moment, such as the API noting
        that it has sent the very message. Where they are all there is, it is tried again for a
        second: no message might come for them any more.

        Args:
            notified: the job that the message names. It is put on the list if it is not there,
                and is claimed only when it is its turn. If as many as may read its source do, it is
                told so.
            token: the lease's.
            holder: who claims, for the history.
            lease_seconds: how long the lease lives unless it is renewed.
            is_looking: whether to look for another job that could be claimed now.

        Returns:
            The job, and whether another was found. ``None`` when no job is due, or all that are
            must wait for others to end, or stay locked.
        """
        values = {
            "notified": notified,
            "token": token,
            "holder": holder,
            "lease": seconds(lease_seconds),
            **self.limits.parameters(),
            "waiting_code": SOURCE_FULL,
            "waiting_message": explain(SOURCE_FULL),
        }
        for _ in range(_CLAIM_TRIES):
            row = await self._try(values, self._claim_and_look if is_looking else self._claim)
            if row is None:
                return None
            if row["id"] is not None:
                columns = dict(row)
                is_more_due = columns.pop(_MORE, False)
                return job_of(columns), is_more_due
            await asyncio.sleep(_LOCKED_PAUSE_SECONDS)
        return None

    async def _try(self, values: Mapping[str, Any], claim: Select[Any]) -> RowMapping | None:
        """Claim once. A row without an id says that a job is due, and locked."""
        # One statement, one transaction, both over before the answer is sent: nothing that happens
        # to this process keeps the lock that claims take turns by.
        async with self._autocommit() as connection:
            answer: Result[Any] = await connection.execute(claim, values)
            return answer.mappings().one_or_none()

    async def next_due(self) -> UUID | None:
        """Return the job that a claim would give now."""
        async with self._autocommit() as connection:
            found: UUID | None = await connection.scalar(self._next, self.limits.parameters())
            return found

    async def correct_reasons(self) -> None:
        """Take the reason off those that wait for a place at their source where there is one by
        now, as many as there are: they wait for a worker. Whoever counts what more workers would
        help with leaves out what bears the reason."""
        limited = sorted({each for types in self.limits.per_source for each in types})
        reasons: list[tuple[ColumnElement[bool], int | None]] = [
            (jobs.c.export_type.not_in(limited), None)
        ]
        async with self._framed.begin() as connection:
            for types, most in self.limits.per_source.items():
                among = jobs.c.export_type.in_(types)
                running = await connection.scalar(
                    select(func.count()).where(jobs.c.status == _RUNNING, among)
                )
                if (room := most - (running or 0)) > 0:
                    reasons.append((among, room))
            for of_types, limit in reasons:
                wrong = (
                    select(jobs.c.id)
                    .where(jobs.c.status == _QUEUED, jobs.c.error_code == SOURCE_FULL, of_types)
                    .order_by(jobs.c.next_attempt_at)
                    .limit(limit)
                    .with_for_update(skip_locked=True)
                )
                await connection.execute(
                    update(jobs)
                    .where(jobs.c.id.in_(wrong.scalar_subquery()))
                    .values(error_code=null(), error_message=null(), updated_at=func.now())
                )

    async def tidy(self) -> None:
        """Forget who is long served and does not wait, and take off the list whose jobs were
        cancelled. Those who are missing on it come back with their messages."""
        async with self._autocommit() as connection:
            await connection.execute(self._tidy)

    def _autocommit(self) -> AsyncConnection:
        return self._engine.connect()
