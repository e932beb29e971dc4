"""Small jobs side by side in one process: who is taken along, and that each is on its own."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from waybill.bootstrap.everything import Services
from waybill.config import Settings
from waybill.errors import SourceRejected
from waybill.jobs.attempts import AttemptOutcome
from waybill.jobs.job import ExportJob, ExportStatus
from waybill.run import company
from waybill.run.identity import WorkerIdentity
from waybill.run.runner import Outcome
from waybill.run.shutdown import ShutdownFlag

from ...logged import logged
from .conftest import SpoiledLeases

Add = Callable[..., Awaitable[ExportJob]]

SECONDS = 30


class Pipelines:
    """The real pipeline, each run of which does first what a test has for its format."""

    def __init__(self, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
        self._real = services.runner._producer.produce
        self._lock = threading.Lock()
        self.inside: set[Any] = set()
        self.most_inside = 0
        self.order: list[str] = []
        self.before: dict[str, Callable[[Any], Any]] = {}
        self.rows: dict[str, tuple[int, bool]] = {}
        monkeypatch.setattr(services.runner._producer, "produce", self._produce)

    def _produce(self, job: ExportJob, lease: Any, kind: Any, request: Any, control: Any) -> Any:
        with self._lock:
            self.order.append(job.format)
            self.inside.add(job.id)
            self.most_inside = max(self.most_inside, len(self.inside))
        try:
            rows, is_exact = self.rows.get(job.format, (10, True))
            control.expect(rows, is_exact=is_exact)
            if (work := self.before.get(job.format)) is not None:
                work(control)
            return self._real(job, lease, kind, request, control)
        finally:
            with self._lock:
                self.inside.discard(job.id)


@pytest.fixture
def pipelines(services: Services, monkeypatch: pytest.MonkeyPatch) -> Pipelines:
    object.__setattr__(services.settings, "small_jobs_together", 3)
    return Pipelines(services, monkeypatch)


async def state(services: Services, job: ExportJob) -> ExportJob:
    found = await services.repository.find(job.id)
    assert found is not None
    return found


async def status(services: Services, job: ExportJob) -> str:
    return (await state(services, job)).status.value


async def until(services: Services, job: ExportJob, wanted: ExportStatus) -> None:
    async with asyncio.timeout(SECONDS):
        while (await state(services, job)).status is not wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def until_stopped(control: Any) -> None:
    stop = threading.Event()
    while not stop.wait(0.02):
        control.check()


def meeting(*names: str, pipelines: Pipelines) -> None:
    """Have the first of each wait until all are there; one that stays away fails them."""
    barrier = threading.Barrier(len(names), timeout=SECONDS)
    left = set(names)

    def meet(name: str) -> None:
        if name in left:
            left.discard(name)
            barrier.wait()

    for name in names:
        pipelines.before[name] = lambda _control, name=name: meet(name)


# -- who is taken along ---------------------------------------------------------------------------


async def test_one_message_runs_as_many_small_jobs_at_a_time_as_may_be_and_all_of_them(
    services: Services, add: Add, pipelines: Pipelines
) -> None:
    jobs = [await add(format=name) for name in ("csv", "json", "ndjson") * 2]
    meeting("csv", "json", "ndjson", pipelines=pipelines)

    assert await services.runner.run(jobs[0].id) is Outcome.COMPLETED

    assert pipelines.most_inside == 3
    assert [await status(services, job) for job in jobs] == ["completed"] * 6
    assert {(await state(services, job)).attempt for job in jobs} == {1}
    # Their own messages find nothing, and do nothing.
    assert {await services.runner.run(job.id) for job in jobs} == {Outcome.SKIPPED}


async def test_lonely_job_pays_for_no_claim_that_finds_nothing(
    services: Services, leases: SpoiledLeases, add: Add, pipelines: Pipelines
) -> None:
    job = await add()

    assert await services.runner.run(job.id) is Outcome.COMPLETED

    assert leases.calls.count("claim") == 1


@pytest.mark.parametrize(
    "reason", ["estimate", "large", "heavy", "second attempt", "only attempt", "off"]
)
async def test_job_that_is_not_known_to_be_small_and_harmless_gets_no_company(
    services: Services, add: Add, execute: Any, pipelines: Pipelines, reason: str
) -> None:
    name = "parquet" if reason == "heavy" else "csv"
    job = await add(format=name, max_attempts=1 if reason == "only attempt" else 3)
    another = await add(format="json")
    if reason == "estimate":
        pipelines.rows["csv"] = (10, False)
    if reason == "large":
        pipelines.rows["csv"] = (10_001, True)
    if reason == "second attempt":
        execute("UPDATE export_jobs SET attempt = 1 WHERE id = %s", job.id)
    if reason == "off":
        object.__setattr__(services.settings, "small_jobs_together", 1)
    # What it is told of itself later, by the real pipeline, would be company's reason.
    pipelines._real = _rejecting

    await services.runner.run(job.id)

    assert await status(services, job) == "failed"
    assert await status(services, another) == "queued"


def _rejecting(*_: object) -> Any:
    raise SourceRejected("enough")


async def test_large_job_that_was_taken_along_gets_no_further_company(
    services: Services, add: Add, pipelines: Pipelines
) -> None:
    jobs = [await add(format=name) for name in ("csv", "json", "ndjson")]
    pipelines.rows["json"] = (10_001, True)
    pipelines._real = _rejecting
    meeting("csv", "json", pipelines=pipelines)
    meet, first_is_over = pipelines.before["json"], threading.Event()
    pipelines.before["json"] = lambda control: (meet(control), first_is_over.wait(SECONDS))

    running = asyncio.create_task(services.runner.run(jobs[0].id))
    await until(services, jobs[0], ExportStatus.FAILED)
    first_is_over.set()
    await running

    assert [await status(services, job) for job in jobs] == ["failed", "failed", "queued"]


async def test_message_takes_so_many_along_and_for_so_long(
    services: Services, add: Add, pipelines: Pipelines, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [await add(requested_by=f"p{number}") for number in range(7)]
    monkeypatch.setattr(company, "TAKEN_PER_PLACE", 1)

    await services.runner.run(jobs[0].id)
    seen = [await status(services, job) for job in jobs]
    assert (seen.count("completed"), seen.count("queued")) == (4, 3)

    monkeypatch.setattr(company, "TAKING_SECONDS", 0.0)
    await services.runner.run(jobs[0].id)
    assert [await status(services, job) for job in jobs].count("queued") == 2


async def test_limits_hold_among_those_side_by_side(
    settings: Settings, catalog: Any, add: Add
) -> None:
    limits = {"max_running_per_person": 1, "small_jobs_together": 3}
    async with Services(settings.model_copy(update=limits), catalog=catalog) as house:
        first, same, other = [
            await add(format=name, requested_by=person)
            for name, person in (("csv", "ann"), ("json", "ann"), ("ndjson", "bob"))
        ]
        at_once: list[set[str]] = []
        inside: set[str] = set()
        real = house.runner._producer.produce
        barrier = threading.Barrier(2, timeout=SECONDS)

        def produce(job: ExportJob, lease: Any, kind: Any, request: Any, control: Any) -> Any:
            inside.add(job.format)
            at_once.append(set(inside))
            control.expect(10, is_exact=True)
            if job.format != "json":
                barrier.wait()
            try:
                return real(job, lease, kind, request, control)
            finally:
                inside.discard(job.format)

        house.runner._producer.produce = produce  # type: ignore[method-assign]
        await house.runner.run(first.id)
        assert await status(house, first) == await status(house, other) == "completed"
        assert not any({"csv", "json"} <= each for each in at_once)
        # It may have come when Ann's first was over; else its message, sent again, runs it.
        if await status(house, same) == "queued":
            assert await house.runner.run(same.id) is Outcome.COMPLETED


# -- one that may have killed its process ---------------------------------------------------------


async def test_job_that_was_tried_before_waits_until_it_is_alone(
    services: Services, add: Add, execute: Any, pipelines: Pipelines
) -> None:
    first, tried = await add(), await add(format="json")
    execute("UPDATE export_jobs SET attempt = 1 WHERE id = %s", tried.id)
    may_go = threading.Event()
    pipelines.before["csv"] = lambda _control: may_go.wait(SECONDS)

    running = asyncio.create_task(services.runner.run(first.id))
    await until(services, tried, ExportStatus.RUNNING)
    await asyncio.sleep(0.3)  # longer than it takes to look
    assert pipelines.order == ["csv"]
    may_go.set()

    assert await running is Outcome.COMPLETED
    assert await status(services, tried) == "completed"
    assert pipelines.most_inside == 1


async def test_job_that_waits_too_long_to_be_alone_is_given_back_and_not_taken_again(
    services: Services,
    leases: SpoiledLeases,
    add: Add,
    execute: Any,
    pipelines: Pipelines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(company, "PATIENCE_SECONDS", 0.0)
    first, tried, third = await add(), await add(format="json"), await add(format="ndjson")
    execute("UPDATE export_jobs SET attempt = 1 WHERE id = %s", tried.id)
    may_go = threading.Event()
    pipelines.before["csv"] = lambda _control: may_go.wait(SECONDS)

    running = asyncio.create_task(services.runner.run(first.id))
    async with asyncio.timeout(SECONDS):
        while "give_back" not in leases.calls:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await until(services, tried, ExportStatus.QUEUED)
    may_go.set()

    assert await running is Outcome.COMPLETED
    again = await state(services, tried)
    assert (again.status, again.attempt) == (ExportStatus.QUEUED, 1)
    assert await status(services, third) == "queued"
    assert leases.calls.count("claim") == 2


# -- each on its own ------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["fails", "is a defect", "is cancelled", "loses its lease"])
async def test_end_of_one_leaves_the_others_alone(
    services: Services, add: Add, execute: Any, pipelines: Pipelines, end: str
) -> None:
    object.__setattr__(services.settings, "heartbeat_seconds", 0.3)
    first, other = await add(), await add(format="json")
    gone = threading.Event()

    def spoil(control: Any) -> None:
        try:
            if end == "fails":
                raise SourceRejected("No such table.")
            if end == "is a defect":
                raise ValueError("x")
            until_stopped(control)
        finally:
            gone.set()

    pipelines.before["json"] = spoil
    pipelines.before["csv"] = lambda _control: gone.wait(SECONDS)
    running = asyncio.create_task(services.runner.run(first.id))
    if end == "is cancelled":
        await until(services, other, ExportStatus.RUNNING)
        await services.repository.cancel(other.id)
    if end == "loses its lease":
        await until(services, other, ExportStatus.RUNNING)
        execute("UPDATE export_jobs SET lease_token = gen_random_uuid() WHERE id = %s", other.id)

    assert await running is Outcome.COMPLETED

    assert gone.is_set()
    assert await status(services, first) == "completed"
    assert (
        await status(services, other)
        == {
            "fails": "failed",
            "is a defect": "queued",
            "is cancelled": "cancelled",
            "loses its lease": "running",
        }[end]
    )


async def test_one_that_hangs_is_abandoned_and_the_others_complete(
    services: Services, add: Add, pipelines: Pipelines, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, hanging = await add(), await add(format="json")
    monkeypatch.setattr("waybill.run.heartbeat.UNWIND_SECONDS", 0.3)
    monkeypatch.setattr(
        services.runner, "_deadline_seconds", lambda job: 0.3 if job.id == hanging.id else 60
    )
    never = threading.Event()
    pipelines.before["json"] = lambda _control: never.wait(SECONDS)
    try:
        assert await services.runner.run(first.id) is Outcome.COMPLETED
        assert (await state(services, hanging)).error_code == "deadline_exceeded"
    finally:
        never.set()


@pytest.mark.parametrize("whose", ["csv", "json"])
async def test_defect_at_the_end_of_one_is_told_of_that_one_only(
    services: Services,
    add: Add,
    pipelines: Pipelines,
    monkeypatch: pytest.MonkeyPatch,
    whose: str,
) -> None:
    lines = logged(monkeypatch, company)
    jobs = {name: await add(format=name) for name in ("csv", "json")}
    meeting("csv", "json", pipelines=pipelines)

    async def on_end(export_id: Any, _outcome: Outcome) -> None:
        if export_id == jobs[whose].id:
            raise RuntimeError("of one")

    services.runner._on_end = on_end
    running = services.runner.run(jobs["csv"].id)
    if whose == "csv":
        with pytest.raises(RuntimeError, match="of one"):
            await running
    else:
        assert await running is Outcome.COMPLETED

    assert {await status(services, job) for job in jobs.values()} == {"completed"}
    told = [(each["event"], each["export_id"]) for each in lines.entries]
    others = ("export.unexpected_error", str(jobs["json"].id))
    assert told == ([others] if whose == "json" else [])


async def test_each_lease_is_renewed(
    services: Services, leases: SpoiledLeases, add: Add, pipelines: Pipelines
) -> None:
    object.__setattr__(services.settings, "heartbeat_seconds", 0.3)
    jobs = [await add(), await add(format="json")]
    beats = threading.Event()
    pipelines.before = dict.fromkeys(("csv", "json"), lambda _control: beats.wait(SECONDS))
    renewed: set[Any] = set()
    real = leases.renew

    async def renew(lease: Any, *args: Any, **values: Any) -> bool:
        held = await real(lease, *args, **values)
        renewed.add(lease.export_id)
        if len(renewed) == 2:
            beats.set()
        return held

    leases.renew = renew  # type: ignore[method-assign]
    assert await services.runner.run(jobs[0].id) is Outcome.COMPLETED
    assert renewed == {job.id for job in jobs}


async def test_order_to_stop_gives_all_back_and_takes_nobody_else(
    services: Services, add: Add, pipelines: Pipelines
) -> None:
    flag = ShutdownFlag()
    services.runner._shutdown = flag
    jobs = [await add(format=name) for name in ("csv", "json", "ndjson", "parquet")]
    pipelines.before = dict.fromkeys(("csv", "json", "ndjson"), until_stopped)
    running = asyncio.create_task(services.runner.run(jobs[0].id))
    for job in jobs[:3]:
        await until(services, job, ExportStatus.RUNNING)
    flag.stop_now()

    assert await running is Outcome.GIVEN_BACK

    after = [await state(services, job) for job in jobs]
    assert {(job.status, job.attempt) for job in after} == {(ExportStatus.QUEUED, 0)}
    attempts = [await services.repository.attempts_of(job.id) for job in jobs]
    assert [[each.outcome for each in some] for some in attempts] == [
        *[[AttemptOutcome.GIVEN_BACK]] * 3, [],
    ]  # fmt: skip


async def test_all_jobs_of_a_killed_process_are_given_back_at_once(
    services: Services, add: Add
) -> None:
    dead = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await dead.wait()
    holder = str(WorkerIdentity("here", dead.pid, services.runner._family))
    jobs = [await add(), await add(format="json")]
    for job in jobs:
        assert await services.leases.claim(job.id, lease_seconds=60, worker=holder) is not None

    await services.runner.release_dead_siblings()

    after = [await state(services, job) for job in jobs]
    assert {(job.status.value, job.error_cause) for job in after} == {("queued", "worker_lost")}


async def test_claim_of_company_that_fails_is_no_harm_and_one_whose_answer_is_lost_is_found(
    services: Services,
    leases: SpoiledLeases,
    add: Add,
    pipelines: Pipelines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("waybill.run.runner._CLAIM_PAUSE_SECONDS", 0.01)
    first, other = await add(), await add(format="json")
    may_go = threading.Event()
    pipelines.before["csv"] = lambda _control: (leases.lose_answer.add("claim"), may_go.wait(30))
    pipelines.before["json"] = lambda _control: may_go.set()
    assert await services.runner.run(first.id) is Outcome.COMPLETED
    assert (await state(services, other)).attempt == 1
    assert await status(services, other) == "completed"

    # And one that is never answered: the message ends all the same, and the job is another's.
    third, fourth = await add(requested_by="bob"), await add(format="json", requested_by="bob")
    object.__setattr__(services.settings, "lease_seconds", 0.0)
    real = leases.claim
    given = [True]

    async def claim(*args: Any, **values: Any) -> Any:
        if not given:
            raise OSError("away")
        given.clear()
        return await real(*args, **values | {"lease_seconds": 60})

    leases.claim = claim  # type: ignore[method-assign]
    monkeypatch.setattr("waybill.run.runner.trusted_until", lambda at, _seconds: at + 60)
    pipelines.before.clear()
    assert await services.runner.run(third.id) is not Outcome.SKIPPED
    assert await status(services, fourth) == "queued"


async def test_message_that_is_broken_off_leaves_threads_behind_and_nothing_else(
    services: Services, add: Add, pipelines: Pipelines
) -> None:
    jobs = [await add(), await add(format="json")]
    end = threading.Event()
    pipelines.before = dict.fromkeys(("csv", "json"), lambda _control: end.wait(SECONDS))
    before = asyncio.all_tasks()
    running = asyncio.create_task(services.runner.run(jobs[0].id))
    for job in jobs:
        await until(services, job, ExportStatus.RUNNING)
    running.cancel()
    try:
        with pytest.raises(asyncio.CancelledError):
            await running
        left = asyncio.all_tasks() - before
        assert {each.get_coro().__qualname__ for each in left} == {"to_thread"}  # type: ignore[union-attr]
    finally:
        end.set()
