"""One attempt on real services: how it ends, and what a lost answer or a stall does to it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
import redis

from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog
from waybill.config import Settings
from waybill.errors import SourceRejected, SourceUnavailable
from waybill.jobs.attempts import AttemptOutcome, Cause
from waybill.jobs.job import ExportJob, ExportStatus
from waybill.jobs.queue_name import read_queue_name
from waybill.jobs.turns import Turns
from waybill.run.identity import WorkerIdentity
from waybill.run.runner import Outcome
from waybill.run.shutdown import ShutdownFlag

from .conftest import SpoiledLeases

Add = Callable[..., Awaitable[ExportJob]]


async def state(services: Services, job: ExportJob) -> ExportJob:
    found = await services.repository.find(job.id)
    assert found is not None
    return found


async def until_running(services: Services, job: ExportJob) -> None:
    async with asyncio.timeout(30):
        while (await state(services, job)).status is not ExportStatus.RUNNING:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def outcomes(services: Services, job: ExportJob) -> list[AttemptOutcome | None]:
    return [attempt.outcome for attempt in await services.repository.attempts_of(job.id)]


def keys(services: Services) -> list[str]:
    return list(services.storages["s3"].list_keys(services.settings.s3_prefix))


@pytest.fixture
def produce(services: Services, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replace the pipeline of the runner by a function of the test's own."""

    def install(work: Callable[..., Any]) -> None:
        monkeypatch.setattr(services.runner._producer, "produce", work)

    return install


def failing(error: Exception) -> Callable[..., Any]:
    def produce(*_: object) -> Any:
        raise error

    return produce


def until_stopped(
    _job: object, _lease: object, _type: object, _request: object, control: Any
) -> Any:
    while True:
        control.check()
        time.sleep(0.02)  # a wait of the pipeline: for a server that is silent


# -- how attempts end -----------------------------------------------------------------------------


async def test_due_job_completes_and_a_second_message_has_no_effect(
    services: Services, add: Add
) -> None:
    job = await add()
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    done = await state(services, job)
    assert (done.status, done.rows_done) == (ExportStatus.COMPLETED, 2_000)
    assert await services.runner.run(job.id) is Outcome.SKIPPED
    assert await state(services, job) == done
    assert len(keys(services)) == 2  # the object and its manifest


async def test_passing_failure_is_tried_three_times_and_not_a_fourth(
    services: Services, add: Add, produce: Any, execute: Any
) -> None:
    produce(failing(SourceUnavailable("No connection to db:5432.")))
    job = await add()
    seen = []
    for _ in range(4):
        execute("UPDATE export_jobs SET next_attempt_at = now() WHERE status = 'queued'")
        seen.append(await services.runner.run(job.id))
    assert seen == [Outcome.RETRIED, Outcome.RETRIED, Outcome.FAILED, Outcome.SKIPPED]
    dead = await state(services, job)
    assert (dead.status, dead.error_code, dead.error_cause) == (
        ExportStatus.FAILED,
        "source_unavailable",
        "transient",
    )
    assert len(await outcomes(services, job)) == 3


async def test_permanent_failure_is_not_tried_again(
    services: Services, add: Add, produce: Any
) -> None:
    produce(failing(SourceRejected("No such table.")))
    job = await add()
    assert await services.runner.run(job.id) is Outcome.FAILED
    assert (await state(services, job)).error_cause == "permanent"


async def test_export_type_that_was_removed_fails_at_once_with_its_cause(
    services: Services, add: Add
) -> None:
    job = await add(export_type="removed")
    assert await services.runner.run(job.id) is Outcome.FAILED
    assert (await state(services, job)).error_code == "unknown_export_type"


async def test_defect_is_tried_again_and_its_text_is_kept_out(
    services: Services, add: Add, produce: Any
) -> None:
    produce(failing(ValueError("ann@example.com")))
    job = await add()
    assert await services.runner.run(job.id) is Outcome.RETRIED
    (attempt,) = await services.repository.attempts_of(job.id)
    assert attempt.cause is Cause.INTERNAL
    assert "ann" not in f"{attempt.message}{(await state(services, job)).error_message}"


async def test_attempt_past_its_deadline_fails_gracefully(
    services: Services, add: Add, produce: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.runner, "_deadline_seconds", lambda _job: 0.5)
    produce(until_stopped)
    job = await add()
    assert await services.runner.run(job.id) is Outcome.FAILED
    dead = await state(services, job)
    assert (dead.error_code, dead.error_cause) == ("deadline_exceeded", "deadline")


async def test_pipeline_that_hangs_past_its_deadline_does_not_hold_the_job(
    services: Services, add: Add, produce: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = threading.Event()
    monkeypatch.setattr("waybill.run.heartbeat.UNWIND_SECONDS", 0.5)
    monkeypatch.setattr(services.runner, "_deadline_seconds", lambda _job: 0.3)
    produce(lambda *_: hanging.wait(60))
    job = await add()
    try:
        assert await services.runner.run(job.id) is Outcome.FAILED
        assert (await state(services, job)).error_code == "deadline_exceeded"
    finally:
        hanging.set()


async def test_cancelled_job_stops_within_a_heartbeat_and_leaves_no_object(
    services: Services, add: Add, produce: Any
) -> None:
    produce(until_stopped)
    job = await add()
    object.__setattr__(services.settings, "heartbeat_seconds", 0.3)
    running = asyncio.create_task(services.runner.run(job.id))
    await until_running(services, job)
    await services.repository.cancel(job.id)
    assert await running is Outcome.LEASE_LOST
    assert await outcomes(services, job) == [AttemptOutcome.CANCELLED]
    assert keys(services) == []


# -- the order to stop ----------------------------------------------------------------------------


@pytest.mark.parametrize("is_urgent", [True, False])
async def test_order_to_stop_gives_the_job_back_unspent(
    services: Services, add: Add, produce: Any, is_urgent: bool
) -> None:
    flag = ShutdownFlag()
    services.runner._shutdown = flag
    # The urgent order does not wait for the grace, which no test would live to see.
    object.__setattr__(services.settings, "shutdown_grace_seconds", 3600 if is_urgent else 0.2)
    produce(until_stopped)
    job = await add()
    running = asyncio.create_task(services.runner.run(job.id))
    await until_running(services, job)
    if is_urgent:
        flag.stop_now()
    else:
        flag.set()
    assert await running is Outcome.GIVEN_BACK
    waiting = await state(services, job)
    assert (waiting.status, waiting.attempt) == (ExportStatus.QUEUED, 0)


# -- lost answers ---------------------------------------------------------------------------------

ENDS = [
    ("complete", None, Outcome.COMPLETED, ExportStatus.COMPLETED),
    ("retry", SourceUnavailable("x"), Outcome.RETRIED, ExportStatus.QUEUED),
    ("fail", SourceRejected("x"), Outcome.FAILED, ExportStatus.FAILED),
]


@pytest.mark.parametrize(("write", "error", "outcome", "status"), ENDS, ids=str)
@pytest.mark.parametrize("lost", ["answer", "request"])
async def test_end_whose_answer_or_request_is_lost_takes_effect_once_and_is_told_truly(
    services: Services,
    leases: SpoiledLeases,
    add: Add,
    produce: Any,
    write: str,
    error: Exception | None,
    outcome: Outcome,
    status: ExportStatus,
    lost: str,
) -> None:
    if error is not None:
        produce(failing(error))
    (leases.lose_answer if lost == "answer" else leases.lose_request).add(write)
    job = await add()
    assert await services.runner.run(job.id) is outcome
    assert leases.calls.count(write) == 2
    after = await state(services, job)
    assert (after.status, after.attempt) == (status, 1)
    assert len(await outcomes(services, job)) == 1
    # A completed job has its one object; nothing else has any.
    assert len(keys(services)) == (2 if status is ExportStatus.COMPLETED else 0)


async def test_give_back_whose_answer_is_lost_does_not_give_back_twice(
    services: Services, leases: SpoiledLeases, add: Add, produce: Any
) -> None:
    flag = ShutdownFlag()
    flag.stop_now()
    services.runner._shutdown = flag
    produce(until_stopped)
    leases.lose_answer.add("give_back")
    job = await add()
    assert await services.runner.run(job.id) is Outcome.GIVEN_BACK
    waiting = await state(services, job)
    assert (waiting.status, waiting.attempt) == (ExportStatus.QUEUED, 0)
    assert await outcomes(services, job) == [AttemptOutcome.GIVEN_BACK]


async def test_answer_lost_on_the_way_back_and_the_look_too_is_still_found(
    services: Services, leases: SpoiledLeases, add: Add
) -> None:
    leases.lose_answer |= {"complete", "find_attempt"}
    job = await add()
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    assert (await state(services, job)).status is ExportStatus.COMPLETED


async def test_claim_whose_answer_is_lost_is_found_and_the_attempt_is_not_wasted(
    services: Services, leases: SpoiledLeases, add: Add
) -> None:
    leases.lose_answer.add("claim")
    job = await add()
    another = await add(format="json")
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    assert (await state(services, job)).attempt == 1
    assert len(await outcomes(services, job)) == 1
    # And nobody else's was taken beside it.
    assert (await state(services, another)).status is ExportStatus.QUEUED


async def test_message_runs_the_job_whose_turn_it_is_and_each_message_one(
    services: Services, add: Add
) -> None:
    jobs = [await add(), await add(format="json"), await add(tenant="acme")]
    for _ in jobs:
        # Always the same message, as if the others had come first.
        assert await services.runner.run(jobs[1].id) is Outcome.COMPLETED
    assert await services.runner.run(jobs[1].id) is Outcome.SKIPPED
    assert {(await state(services, job)).attempt for job in jobs} == {1}


async def test_job_that_waited_for_a_limit_is_announced_when_another_ends(
    settings: Settings, catalog: Catalog, add: Add
) -> None:
    limited = settings.model_copy(update={"max_running_per_person": 1})
    # The sweeper repeats no message while the broker holds some: other tests' must not lie there.
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as broker:
        broker.delete(read_queue_name(settings.database_dsn))
    async with Services(limited, catalog=catalog) as house:
        first, second = await add(), await add(format="json")
        taken = await house.leases.claim(first.id, lease_seconds=60, worker="elsewhere/1/f")
        assert taken is not None
        # The message of the second is answered and gone; the sweeper does not send it again.
        assert await house.runner.run(second.id) is Outcome.SKIPPED
        await house.repository.mark_published([second.id])
        object.__setattr__(house.settings, "republish_after_seconds", 0)
        depth = await house.queue.depth()
        await house.sweeper.sweep()
        assert await house.queue.depth() == depth
        # Another worker's job ends unannounced (it is cancelled): the sweeper sees to it.
        await house.repository.cancel(first.id)
        await house.sweeper.sweep()
        assert await house.queue.depth() == depth + 1
        # Our own job ends: it announces the next itself.
        third = await add(format="ndjson")
        assert await house.runner.run(third.id) is Outcome.COMPLETED
        assert (await state(house, second)).status is ExportStatus.COMPLETED
        assert await house.queue.depth() == depth + 2


async def test_completion_against_a_cancel_is_told_truly_and_its_object_deleted(
    services: Services, leases: SpoiledLeases, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = leases.complete

    async def cancelled_just_before(*args: Any) -> bool:
        await services.repository.cancel(job.id)
        return await real(*args)

    monkeypatch.setattr(leases, "complete", cancelled_just_before)
    job = await add()
    assert await services.runner.run(job.id) is Outcome.LEASE_LOST
    assert (await state(services, job)).status is ExportStatus.CANCELLED
    assert keys(services) == []


# -- a database that stalls -----------------------------------------------------------------------


async def test_lease_that_cannot_be_renewed_stops_the_pipeline_before_it_runs_out(
    services: Services, leases: SpoiledLeases, add: Add, produce: Any
) -> None:
    stopped_at: list[float] = []

    def note(*args: Any) -> Any:
        try:
            return until_stopped(*args)
        finally:
            stopped_at.append(time.monotonic())

    object.__setattr__(services.settings, "lease_seconds", 3.0)
    object.__setattr__(services.settings, "heartbeat_seconds", 0.5)
    produce(note)
    leases.stall.add("renew")
    job = await add()
    began = time.monotonic()
    assert await services.runner.run(job.id) is Outcome.LEASE_LOST
    # By itself, although every beat hung: this is a bound of the protocol, not of performance.
    assert stopped_at[0] - began < 3.0
    assert await outcomes(services, job) == [None]  # for the sweeper to end


async def test_one_lost_heartbeat_does_not_lose_the_lease(
    services: Services, leases: SpoiledLeases, add: Add, produce: Any
) -> None:
    object.__setattr__(services.settings, "heartbeat_seconds", 0.3)

    def run_through_two_beats(*args: Any) -> Any:
        while leases.calls.count("renew") < 2:
            args[-1].check()
            time.sleep(0.02)
        raise SourceRejected("enough")

    produce(run_through_two_beats)
    leases.lose_request.add("renew")
    job = await add()
    assert await services.runner.run(job.id) is Outcome.FAILED


# -- dead siblings --------------------------------------------------------------------------------


def _finished_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("whose", ["ours", "other family", "alive", "nobody's"])
async def test_only_the_attempt_of_a_dead_sibling_is_ended_before_its_lease(
    services: Services, add: Add, whose: str
) -> None:
    family = services.runner._family
    holder = {
        "ours": str(WorkerIdentity("here", _finished_process(), family)),
        "other family": str(WorkerIdentity("here", _finished_process(), "other")),
        "alive": str(WorkerIdentity("here", os.getppid(), family)),
        "nobody's": "who?",
    }[whose]
    job = await add()
    assert await services.leases.claim(job.id, lease_seconds=60, worker=holder) is not None
    assert await services.runner.run(job.id) is Outcome.SKIPPED
    after = await state(services, job)
    if whose == "ours":
        assert (after.status, after.error_cause) == (ExportStatus.QUEUED, "worker_lost")
        assert after.next_attempt_at is not None
    else:
        assert after.status is ExportStatus.RUNNING


async def test_job_passed_over_by_both_messages_is_run_by_the_second(
    services: Services, add: Add, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The API notes that it has sent the first message, which a worker already has: that worker
    # takes the second job, and the second message, which names that one, finds the first locked.
    first, second = await add(), await add(format="json")
    tries = asyncio.Queue[bool]()
    real = Turns._try

    async def counted(turns: Turns, *given: Any) -> Any:
        row = await real(turns, *given)
        tries.put_nowait(row is not None and row["id"] is None)
        return row

    monkeypatch.setattr(Turns, "_try", counted)
    async with await psycopg.AsyncConnection.connect(database) as other:
        await other.execute("SELECT FROM export_jobs WHERE id = %s FOR UPDATE", (first.id,))
        assert await services.runner.run(first.id) is Outcome.COMPLETED
        found = await services.repository.find(second.id)
        assert found is not None
        assert found.status is ExportStatus.COMPLETED
        assert not await tries.get()
        running = asyncio.create_task(services.runner.run(second.id))
        assert await asyncio.wait_for(tries.get(), 30)  # passed over
        await other.rollback()
        assert await running is Outcome.COMPLETED
    assert await services.runner.run(first.id) is Outcome.SKIPPED
