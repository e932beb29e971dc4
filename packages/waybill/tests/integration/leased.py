"""Jobs under a lease on a real database, and results as a worker would commit them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import text

from waybill.jobs.completing import Result
from waybill.jobs.job import ExportJob, Lease
from waybill.jobs.leases import LeaseRepository
from waybill.results.object_keys import object_key

LEASE_SECONDS = 60.0
_YEAR = timedelta(days=365)


async def claimed(leases: LeaseRepository, job: ExportJob, seconds: float = LEASE_SECONDS) -> Lease:
    """Claim this very job, which is due, whosever turn it is."""
    others = "WHERE status = 'queued' AND id <> :id"
    async with leases._engine.begin() as connection:
        await connection.execute(
            text(f"UPDATE export_jobs SET next_attempt_at = next_attempt_at + :year {others}"),
            {"id": job.id, "year": _YEAR},
        )
    taken = await leases.claim(job.id, lease_seconds=seconds, worker=f"test/1/{uuid4().hex}")
    async with leases._engine.begin() as connection:
        await connection.execute(
            text(f"UPDATE export_jobs SET next_attempt_at = next_attempt_at - :year {others}"),
            {"id": job.id, "year": _YEAR},
        )
    assert taken is not None
    assert taken[0].id == job.id
    return taken[1]


def result_of(lease: Lease, *, prefix: str = "exports", **values: Any) -> Result:
    """A result as a worker would commit it."""
    defaults: dict[str, Any] = {
        "storage": "s3",
        "object_key": object_key(prefix, None, lease),
        "object_bytes": 12,
        "object_etag": "e" * 32,
        "manifest": {"rows": 3},
        "sha256": "0" * 64,
        "rows": 3,
        "expires_at": datetime.now(UTC) + timedelta(days=7),
    }
    return Result(**(defaults | values))
