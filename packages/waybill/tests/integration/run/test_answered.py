"""Messages of jobs that were taken along: answered for nothing, and no message too many."""

from __future__ import annotations

import os
from typing import Any
from uuid import UUID, uuid4

import pytest

from waybill.bootstrap.everything import Services
from waybill.errors import SourceRejected
from waybill.run.answered import AnsweredMessages
from waybill.run.runner import Outcome

from .conftest import SpoiledLeases
from .test_company import Add, Pipelines, pipelines, status

__all__ = ["pipelines"]


def test_id_is_found_once_and_no_other_in_its_place() -> None:
    answered, job = AnsweredMessages(), uuid4()
    neighbour = UUID(int=job.int ^ (1 << 100))  # of the same place
    answered.add(job)

    assert not answered.take(neighbour)
    assert answered.take(job)
    assert not answered.take(job)


def test_forked_processes_tell_each_other() -> None:
    answered, job = AnsweredMessages(), uuid4()
    child = os.fork()
    if child == 0:
        answered.add(job)
        os._exit(0)
    os.waitpid(child, 0)

    assert answered.take(job)


async def test_message_of_a_job_that_was_taken_along_asks_nothing_and_the_next_one_does(
    services: Services, leases: SpoiledLeases, add: Add, pipelines: Pipelines
) -> None:
    jobs = [await add(format=name) for name in ("csv", "json", "ndjson")]
    assert await services.runner.run(jobs[0].id) is Outcome.COMPLETED
    assert {await status(services, job) for job in jobs} == {"completed"}
    leases.calls.clear()

    assert {await services.runner.run(job.id) for job in jobs[1:]} == {Outcome.SKIPPED}
    assert leases.calls == []

    # Its own job was this message's own work; and what is published again has a reason.
    late = await add()
    assert await services.runner.run(jobs[0].id) is Outcome.COMPLETED
    assert await status(services, late) == "completed"
    later = await add()
    assert await services.runner.run(jobs[1].id) is Outcome.COMPLETED
    assert await status(services, later) == "completed"


@pytest.mark.parametrize("is_own_here", [True, False])
async def test_as_many_messages_are_left_as_jobs_may_need(
    services: Services,
    leases: SpoiledLeases,
    add: Add,
    pipelines: Pipelines,
    monkeypatch: pytest.MonkeyPatch,
    is_own_here: bool,
) -> None:
    """The first that is claimed need not be the one that the message names."""
    first, second = await add(), await add(format="json")
    notified = second.id if is_own_here else uuid4()
    real, claims = leases.claim, [first.id, second.id]

    async def claim(_notified: UUID, **given: Any) -> Any:
        return await real(claims.pop(0) if claims else _notified, **given)

    monkeypatch.setattr(leases, "claim", claim)

    assert await services.runner.run(notified) is Outcome.COMPLETED
    assert {await status(services, job) for job in (first, second)} == {"completed"}
    leases.calls.clear()

    over, own = (first, second) if is_own_here else (second, first)
    assert await services.runner.run(over.id) is Outcome.SKIPPED
    assert leases.calls == []
    assert await services.runner.run(own.id) is Outcome.SKIPPED
    assert leases.calls == ["claim"]


async def test_message_of_a_job_that_did_not_complete_along_is_left_to_a_claim(
    services: Services, leases: SpoiledLeases, add: Add, pipelines: Pipelines
) -> None:
    first, other = await add(), await add(format="json")

    def fail(_control: Any) -> None:
        raise SourceRejected("No such table.")

    pipelines.before["json"] = fail
    assert await services.runner.run(first.id) is Outcome.COMPLETED
    assert await status(services, other) == "failed"
    leases.calls.clear()

    assert await services.runner.run(other.id) is Outcome.SKIPPED
    assert leases.calls == ["claim"]
