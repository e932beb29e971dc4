"""Quotas: how many exports a person may request in 24 hours, counted in the database.

The count is of the jobs themselves, so it cannot disagree with them: a job that failed, or was
cancelled before a worker took it, is simply not counted any more. That is the refund; nobody has
to give it, and it cannot be given twice. The window slides, so there is no midnight at which
everybody's exports come at once, and nobody gets ten of them around it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import and_, extract, func, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from waybill.catalog import Catalog
from waybill.catalog.model import Quota
from waybill.errors import QuotaExceeded
from waybill.jobs.job import ExportStatus
from waybill.jobs.rows import seconds
from waybill.jobs.tables import export_jobs as jobs
from waybill.principal import Principal

WINDOW_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class QuotaBucket:
    """What one quota counts: a person's jobs of one type, or of all types without their own."""

    policy: str
    """Its name in ``RateLimit-Policy``."""
    limit: int
    only_type: str | None = None
    except_types: tuple[str, ...] = ()


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
    """

    def __init__(self, catalog: Catalog, per_day: Quota, roles: Mapping[str, Quota]) -> None:
        self._catalog = catalog
        self._per_day = per_day
        self._roles = roles

    def bucket(self, principal: Principal, export_type: str) -> QuotaBucket | None:
        """Return the bucket; ``None`` when the principal may request without limit."""
        own = self._catalog.get_type(export_type).quota
        quotas = [self._per_day if own is None else own]
        quotas += [self._roles[role] for role in principal.roles if role in self._roles]
        numbers = [quota for quota in quotas if quota != "unlimited"]
        if len(numbers) < len(quotas):
            return None
        if own is not None:
            return QuotaBucket(f"daily-{export_type}", max(numbers), only_type=export_type)
        others = tuple(each.name for each in self._catalog.values() if each.quota is not None)
        return QuotaBucket("daily", max(numbers), except_types=others)


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
    counted = [
        jobs.c.requested_by == principal.subject,
        jobs.c.tenant.is_not_distinct_from(principal.tenant),
        jobs.c.created_at > func.now() - window,
        not_(
            or_(
                jobs.c.status == ExportStatus.FAILED.value,
                and_(
                    jobs.c.status == ExportStatus.CANCELLED.value,
                    jobs.c.started_at.is_(None),
                ),
            )
        ),
    ]
    if bucket.only_type is not None:
        counted.append(jobs.c.export_type == bucket.only_type)
    elif bucket.except_types:
        counted.append(jobs.c.export_type.not_in(bucket.except_types))
    blocking = (
        select(jobs.c.created_at)
        .where(*counted)
        .order_by(jobs.c.created_at.desc())
        .offset(bucket.limit - 1)
        .limit(1)
        .scalar_subquery()
    )
    now = func.now()
    row = (
        await connection.execute(
            select(
                func.count(),
                extract("epoch", func.min(jobs.c.created_at) + window - now),
                extract("epoch", blocking + window - now),
            ).where(*counted)
        )
    ).one()
    return int(row[0]), _seconds(row[1]), _seconds(row[2])


def _seconds(value: float | None) -> int:
    return WINDOW_SECONDS if value is None else max(1, math.ceil(value))
