"""Quotas: how many exports a person may request in 24 hours, counted in the database.

What counts is work, not success. A job counts from the moment a worker, or a stream, begins it,
however it ends: whole, cancelled, past its deadline, or refused because of what was asked for.
Given back is what our side broke, and what was cancelled before anybody had begun it; so many a
day, as requesting and cancelling is work too. Beyond that they count like the others.

The count is of the jobs themselves, so it cannot disagree with them: nobody has to give anything
back, and it cannot be given twice. The window slides, so there is no midnight at which everybody's
exports come at once, and nobody gets ten of them around it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import and_, extract, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from waybill.catalog import Catalog
from waybill.catalog.model import Quota
from waybill.errors import (
    KeyNotUnique,
    QuotaExceeded,
    SourceRejected,
    StorageFull,
    StorageRejected,
)
from waybill.jobs.attempts import Cause, cause_of
from waybill.jobs.job import ExportStatus
from waybill.jobs.rows import seconds
from waybill.jobs.tables import export_jobs as jobs
from waybill.principal import Principal

WINDOW_SECONDS: Final = 86_400

# A deadline is not among them: the work was done, and the next attempt would take as long.
_OUR_CAUSES: Final = [Cause.TRANSIENT.value, Cause.WORKER_LOST.value, Cause.INTERNAL.value]
_OUR_CODES: Final = [
    error.code for error in (SourceRejected, KeyNotUnique, StorageRejected, StorageFull)
]
"""Permanent, and an operator's to mend: the rest of them is what a caller's request asked for."""


def may_pass(error: BaseException) -> bool:
    """Whether ``error`` is of our side and passes by itself. What the request brought about, or
    would bring about each time, is none, nor is that whoever asked has gone."""
    return not isinstance(error, asyncio.CancelledError) and cause_of(error).value in _OUR_CAUSES


@dataclass(frozen=True, slots=True)
class QuotaBucket:
    """What one quota counts: a person's jobs of one type, or of all types without their own."""

    policy: str
    """Its name in ``RateLimit-Policy``."""
    limit: int
    only_type: str | None = None
    except_types: tuple[str, ...] = ()
    refunds: int = 0
    """How many jobs of the window are given back at most."""


@dataclass(frozen=True, slots=True)
class QuotaState:
    """A bucket as it stands after a request. ``reset_seconds`` is when it next gains one."""

    policy: str
    limit: int
    remaining: int
    reset_seconds: int
    window_seconds: int = WINDOW_SECONDS


class QuotaPolicy:
    """Which quota a request falls under.

    Args:
        catalog: types may have a quota of their own.
        per_day: the general quota.
        roles: quotas of roles; the most generous of all that apply counts.
        refunds_per_day: how many exports are given back in a window at most.
    """

    def __init__(
        self,
        catalog: Catalog,
        per_day: Quota,
        roles: Mapping[str, Quota],
        *,
        refunds_per_day: int,
    ) -> None:
        self._catalog = catalog
        self._per_day = per_day
        self._roles = roles
        self._refunds = refunds_per_day

    def bucket(self, principal: Principal, export_type: str) -> QuotaBucket | None:
        """Return the bucket; ``None`` when the principal may request without limit."""
        own = self._catalog.get_type(export_type).quota
        quotas = [self._per_day if own is None else own]
        quotas += [self._roles[role] for role in principal.roles if role in self._roles]
        numbers = [quota for quota in quotas if quota != "unlimited"]
        if len(numbers) < len(quotas):
            return None
        if own is not None:
            return QuotaBucket(
                f"daily-{export_type}",
                max(numbers),
                only_type=export_type,
                refunds=self._refunds,
            )
        others = tuple(each.name for each in self._catalog.values() if each.quota is not None)
        return QuotaBucket("daily", max(numbers), except_types=others, refunds=self._refunds)


async def spend(
    connection: AsyncConnection, principal: Principal, bucket: QuotaBucket
) -> QuotaState:
    """Return the bucket as it is once the job that is about to be created is in it.

    The caller holds the principal's lock, and creates the job in the same transaction.

    Raises:
        QuotaExceeded: it is empty; says when it next has room.
    """
    used, oldest, blocking = await _usage(connection, principal, bucket)
    if used >= bucket.limit:
        raise QuotaExceeded(
            bucket.policy,
            limit=bucket.limit,
            window_seconds=WINDOW_SECONDS,
            retry_after_seconds=blocking,
        )
    return QuotaState(bucket.policy, bucket.limit, bucket.limit - used - 1, oldest)


async def peek(
    connection: AsyncConnection, principal: Principal, bucket: QuotaBucket
) -> QuotaState:
    """Return the bucket as it is, spending nothing."""
    used, oldest, _ = await _usage(connection, principal, bucket)
    return QuotaState(bucket.policy, bucket.limit, max(0, bucket.limit - used), oldest)


async def _usage(
    connection: AsyncConnection, principal: Principal, bucket: QuotaBucket
) -> tuple[int, int, int]:
    """Return how many are used, and the seconds until the oldest, and until the one that stands
    in the way of the next, leave the window."""
    window = seconds(WINDOW_SECONDS)
    among = [
        jobs.c.requested_by == principal.subject,
        jobs.c.tenant.is_not_distinct_from(principal.tenant),
        jobs.c.created_at > func.now() - window,
    ]
    if bucket.only_type is not None:
        among.append(jobs.c.export_type == bucket.only_type)
    elif bucket.except_types:
        among.append(jobs.c.export_type.not_in(bucket.except_types))
    # NULL where a cause is unknown: that is not ours.
    is_refundable = func.coalesce(
        or_(
            and_(
                jobs.c.status == ExportStatus.FAILED.value,
                or_(jobs.c.error_cause.in_(_OUR_CAUSES), jobs.c.error_code.in_(_OUR_CODES)),
            ),
            and_(jobs.c.status == ExportStatus.CANCELLED.value, jobs.c.started_at.is_(None)),
        ),
        False,
    )
    # The newest are given back: so whatever counts now stops counting when it is a day old, and
    # not before, which is what makes the moment that a refusal names true.
    rank = func.row_number().over(partition_by=is_refundable, order_by=jobs.c.created_at.desc())
    ranked = select(
        jobs.c.created_at, is_refundable.label("is_refundable"), rank.label("rank")
    ).where(*among)
    each = ranked.subquery()
    counted = (
        select(each.c.created_at)
        .where(or_(~each.c.is_refundable, each.c.rank > bucket.refunds))
        .cte("counted")
    )
    blocking = (
        select(counted.c.created_at)
        .order_by(counted.c.created_at.desc())
        .offset(bucket.limit - 1)
        .limit(1)
        .scalar_subquery()
    )
    now = func.now()
    row = (
        await connection.execute(
            select(
                func.count(),
                extract("epoch", func.min(counted.c.created_at) + window - now),
                extract("epoch", blocking + window - now),
            ).select_from(counted)
        )
    ).one()
    return int(row[0]), _seconds(row[1]), _seconds(row[2])


def _seconds(value: float | None) -> int:
    return WINDOW_SECONDS if value is None else max(1, math.ceil(value))
