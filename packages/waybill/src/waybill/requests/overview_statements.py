"""The statements of ``overview``, each one query of the index that answers it.

They are built once for each reach, and kept: to build them anew took as long as most of them run.
"""

from __future__ import annotations

import functools
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    DateTime,
    Select,
    Text,
    bindparam,
    case,
    cast,
    column,
    false,
    func,
    literal,
    null,
    select,
    true,
)

from waybill.jobs.job import ExportStatus
from waybill.jobs.reach import Reach
from waybill.jobs.rows import seconds
from waybill.jobs.tables import export_attempts as attempts
from waybill.jobs.tables import export_jobs as jobs
from waybill.notify.tables import notifications

MOST_SHOWN: Final = 25
WORKERS_SEEN_SECONDS: Final = 600
_DELIVERED: Final = (
    ExportStatus.COMPLETED.value,
    ExportStatus.EXPIRED.value,
    ExportStatus.DELETED.value,
)
_FAILED: Final = ExportStatus.FAILED.value
_INSTANT: Final = DateTime(timezone=True)
_kept = functools.lru_cache(maxsize=256)
"""One for each reach (and window): as many as tenants have administrators who look."""


@_kept
def running(within: Reach, lease_seconds: float) -> Select[Any]:
    """Ask for jobs under a lease, those first whose workers have been silent for longest."""
    silence = func.extract("epoch", func.now() - (jobs.c.lease_expires_at - seconds(lease_seconds)))
    return (
        select(
            jobs.c.id,
            jobs.c.export_type,
            jobs.c.requested_by,
            jobs.c.tenant,
            attempts.c.worker,
            jobs.c.attempt,
            jobs.c.rows_done,
            jobs.c.rows_expected,
            jobs.c.started_at,
            func.greatest(silence, 0).label("heartbeat_seconds"),
        )
        .join(attempts, attempts.c.lease_token == jobs.c.lease_token, isouter=True)
        .where(jobs.c.status == ExportStatus.RUNNING.value, within.condition())
        .order_by(jobs.c.lease_expires_at)
        .limit(MOST_SHOWN)
    )


@_kept
def workers(within: Reach, lease_seconds: float) -> Select[Any]:
    """Ask who ran something lately."""
    # An attempt that is under way is heard of by its lease, not by when it began.
    heard = case(
        (
            attempts.c.ended_at.is_(None),
            func.coalesce(jobs.c.lease_expires_at - seconds(lease_seconds), attempts.c.started_at),
        ),
        else_=attempts.c.ended_at,
    )
    seen = func.extract("epoch", func.now() - func.max(heard))
    return (
        select(
            attempts.c.worker.label("name"),
            func.count().filter(attempts.c.ended_at.is_(None)).label("running"),
            func.greatest(seen, 0).label("seen_seconds"),
        )
        .join(jobs, jobs.c.id == attempts.c.export_id)
        .where(
            within.condition(),
            attempts.c.ended_at.is_(None)
            | (attempts.c.ended_at > func.now() - seconds(WORKERS_SEEN_SECONDS)),
        )
        .group_by(attempts.c.worker)
        .order_by(attempts.c.worker)
        .limit(4 * MOST_SHOWN)
    )


@_kept
def dead_notifications(within: Reach) -> Select[Any]:
    """Ask for the notifications that were given up last, and how many there are."""
    return (
        select(
            notifications.c.export_id,
            notifications.c.event,
            notifications.c.channel,
            notifications.c.target,
            notifications.c.attempts,
            notifications.c.last_error_code.label("code"),
            notifications.c.settled_at,
            func.count().over().label("count"),
        )
        .join(jobs, jobs.c.id == notifications.c.export_id)
        .where(notifications.c.status == "dead", within.condition())
        .order_by(notifications.c.settled_at.desc())
        .limit(MOST_SHOWN)
    )


@_kept
def dead_letters(within: Reach) -> Select[Any]:
    """Ask why all that is in the dead-letter list failed, how often and when."""
    count, finished_at = func.count(), jobs.c.finished_at
    return (
        select(
            jobs.c.error_code.label("code"),
            count.label("letters"),
            func.min(finished_at).label("first_at"),
            func.max(finished_at).label("last_at"),
        )
        .where(jobs.c.status == _FAILED, within.condition())
        .group_by(jobs.c.error_code)
        # Equal ones by name, so that they do not change places.
        .order_by(count.desc(), jobs.c.error_code)
        .limit(MOST_SHOWN)
    )


@_kept
def files(within: Reach) -> Select[Any]:
    """Ask how many files are kept, of what size, and when they expire."""
    kept = (jobs.c.status == ExportStatus.COMPLETED.value, within.condition())
    expires_at = jobs.c.expires_at
    # The first and those of a day lie at the beginning of the index: not asked of every row.
    return select(
        func.count(),
        func.coalesce(func.sum(jobs.c.object_bytes), 0),
        select(func.min(expires_at)).where(*kept).scalar_subquery(),
        select(func.count())
        .select_from(jobs)
        .where(*kept, expires_at < func.now() + timedelta(days=1))
        .scalar_subquery(),
    ).where(*kept)


@_kept
def tenants(within: Reach, window: timedelta) -> Select[Any]:
    """Ask whose jobs wait and run, and whose failed within the window."""
    status = jobs.c.status
    queued, is_running = ExportStatus.QUEUED.value, ExportStatus.RUNNING.value
    nobody = literal(0)
    unfinished = (
        select(
            jobs.c.tenant,
            func.count().filter(status == queued).label("queued"),
            func.count().filter(status == is_running).label("running"),
            nobody.label("failed"),
        )
        .where(within.condition(), status.in_([queued, is_running]))
        .group_by(jobs.c.tenant)
    )
    failed = (
        select(jobs.c.tenant, nobody, nobody, func.count())
        .where(
            within.condition(),
            jobs.c.status == _FAILED,
            jobs.c.finished_at > func.now() - window,
        )
        .group_by(jobs.c.tenant)
    )
    # Each by an index of its own: one condition for all three would visit most rows.
    every = unfinished.union_all(failed).subquery()
    total = func.sum(every.c.queued + every.c.running + every.c.failed)
    return (
        select(
            every.c.tenant,
            *(
                cast(func.sum(each), BigInteger).label(each.name)
                for each in (every.c.queued, every.c.running, every.c.failed)
            ),
        )
        .group_by(every.c.tenant)
        .order_by(total.desc(), cast(every.c.tenant, Text))
        .limit(MOST_SHOWN)
    )


@_kept
def ended(within: Reach, step: timedelta) -> Select[Any]:
    """Ask for what ended in each step from ``first`` to ``last``: one row of what was delivered,
    and one for each reason of what failed."""
    steps = (
        func.generate_series(
            bindparam("first", type_=_INSTANT), bindparam("last", type_=_INSTANT), step
        )
        .table_valued(column("begins_at", _INSTANT))
        .render_derived()
    )
    begins_at = steps.c.begins_at
    # A range of an index for each step and outcome: to ask of every row which step and which
    # figure it belongs to costs more than twice as much.
    count, rows, timed, ran = (
        func.count().label("ended"),
        func.sum(jobs.c.rows_done).label("rows"),
        func.count(jobs.c.started_at).label("timed"),
        # A float of each row: ``extract`` would be NUMERIC, ten times as slow.
        func.sum(func.date_part("epoch", jobs.c.finished_at - jobs.c.started_at)).label("seconds"),
    )
    then = (jobs.c.finished_at >= begins_at, jobs.c.finished_at < begins_at + step)
    delivered = select(
        false().label("is_failure"), cast(null(), Text).label("reason"), count, rows, timed, ran
    ).where(jobs.c.status.in_(_DELIVERED), *then, within.condition())
    # The rows of what failed are nobody's, and not in its index.
    failed = (
        select(true(), jobs.c.error_code, count, literal(0, BigInteger), timed, ran)
        .where(jobs.c.status == _FAILED, *then, within.condition())
        .group_by(jobs.c.error_code)
    )
    each = delivered.union_all(failed).lateral()
    return select(begins_at, *each.c).select_from(steps.join(each, true()))
