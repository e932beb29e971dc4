"""What a claim says of those that are due besides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from waybill.bootstrap.everything import Services
from waybill.jobs.job import ExportJob, Lease
from waybill.jobs.leases import LeaseRepository
from waybill.jobs.turns import RunningLimits, Turns

Add = Callable[..., Awaitable[ExportJob]]


async def claim(services: Services, limits: RunningLimits, *, is_looking: bool = True) -> Lease:
    leases = LeaseRepository(services.engine, turns=Turns(services.engine, limits))
    taken = await leases.claim(uuid4(), lease_seconds=60, worker="w/1/f", is_looking=is_looking)
    assert taken is not None
    return taken[1]


async def test_claim_tells_whether_another_could_be_claimed_and_leaves_it(
    services: Services, add: Add
) -> None:
    for name in ("csv", "json", "ndjson"):
        await add(format=name)

    leases = [await claim(services, RunningLimits(), is_looking=each) for each in (True, False)]

    assert [lease.is_more_due for lease in leases] == [True, False]
    assert not (await claim(services, RunningLimits())).is_more_due


@pytest.mark.parametrize("reason", ["limit", "not yet due"])
async def test_job_that_could_not_be_claimed_now_is_none(
    services: Services, add: Add, execute: Callable[..., object], reason: str
) -> None:
    await add()
    waiting = await add(format="json")
    if reason == "not yet due":
        execute(
            "UPDATE export_jobs SET next_attempt_at = now() + interval '1 hour' WHERE id = %s",
            waiting.id,
        )

    lease = await claim(services, RunningLimits(per_person=1 if reason == "limit" else None))

    assert not lease.is_more_due
