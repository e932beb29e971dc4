"""Dead letters: listed with their cause, shown with their history, replayed; and the monitor."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import fields
from uuid import UUID, uuid4

import pytest

from waybill.bootstrap.everything import Services
from waybill.config import Settings
from waybill.errors import ExportNotFound, NotADeadLetter
from waybill.jobs.attempts import AttemptFailure, Cause
from waybill.jobs.dead_letters import DeadLetterFilter, DeadLetters
from waybill.jobs.job import ExportJob, ExportStatus, Progress
from waybill.jobs.reach import EVERYTHING
from waybill.upkeep.monitor import GAUGES, ExportMonitor, MonitorBounds, MonitorFigures, exposition

from ..leased import claimed

Add = Callable[..., Awaitable[ExportJob]]
Execute = Callable[..., list[tuple[object, ...]]]

REJECTED = AttemptFailure("source_rejected", Cause.PERMANENT, "There is no table users.")
REPLAYS = "SELECT actor, tenant, code, export_id FROM audit_events WHERE action = 'replayed'"
LATE = AttemptFailure("deadline_exceeded", Cause.DEADLINE, "Not within 60 s.")


@pytest.fixture
def letters(services: Services) -> DeadLetters:
    return services.dead_letters


@pytest.fixture
def fail(services: Services, add: Add) -> Callable[..., Awaitable[ExportJob]]:
    """Make a dead letter."""

    async def fail(failure: AttemptFailure = REJECTED, **values: object) -> ExportJob:
        job = await add(**values)
        lease = await claimed(services.leases, job)
        assert await services.leases.fail(lease, failure, progress=Progress(rows=7))
        found = await services.repository.find(job.id)
        assert found is not None
        return found

    return fail


async def test_list_shows_failures_alone_newest_first_and_narrows(
    letters: DeadLetters, add: Add, fail: Add
) -> None:
    await add()
    first = await fail()
    second = await fail(LATE, export_type="orders")
    assert [job.id for job in await letters.list(within=EVERYTHING)] == [second.id, first.id]
    for wanted, expected in (
        (DeadLetterFilter(cause=Cause.DEADLINE), [second.id]),
        (DeadLetterFilter(code="source_rejected"), [first.id]),
        (DeadLetterFilter(export_type="orders"), [second.id]),
        (DeadLetterFilter(failed_before=second.finished_at), [first.id]),
        (DeadLetterFilter(failed_after=first.finished_at), [second.id]),
        (DeadLetterFilter(cause=Cause.WORKER_LOST), []),
    ):
        assert [job.id for job in await letters.list(wanted, within=EVERYTHING)] == expected
        assert await letters.count(wanted, within=EVERYTHING) == len(expected)


async def test_letter_shows_cause_for_operators_and_sentence_for_people(
    letters: DeadLetters, fail: Add
) -> None:
    letter = await letters.get((await fail()).id, within=EVERYTHING)
    assert "no table" not in (letter.job.error_message or "")
    (attempt,) = letter.attempts
    assert (attempt.message, attempt.cause, attempt.rows_done) == (
        REJECTED.message,
        Cause.PERMANENT,
        7,
    )


async def test_replay_gives_a_full_set_of_attempts_and_keeps_the_history(
    letters: DeadLetters, services: Services, fail: Add
) -> None:
    job = await fail()
    replayed = await letters.replay(job.id, within=EVERYTHING)
    assert (replayed.status, replayed.attempt, replayed.max_attempts) == (ExportStatus.QUEUED, 1, 4)
    assert replayed.error_code is None
    assert (
        replayed.published_at is None
    )  # as it was when the row was written; the notification came after
    lease = await claimed(services.leases, replayed)
    assert lease.attempt == 2
    assert [a.attempt for a in await services.repository.attempts_of(job.id)] == [1, 2]


async def test_replay_rings_for_the_job(
    letters: DeadLetters, services: Services, fail: Add
) -> None:
    before = await services.queue.depth()
    job = await letters.replay((await fail()).id, within=EVERYTHING)
    assert await services.queue.depth() == before + 1
    announced = await services.repository.find(job.id)
    assert announced is not None
    assert announced.published_at is not None


async def test_five_replays_at_once_queue_the_job_once(letters: DeadLetters, fail: Add) -> None:
    job = await fail()
    results = await asyncio.gather(
        *(letters.replay(job.id, within=EVERYTHING) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(result, ExportJob) for result in results) == 1
    assert sum(isinstance(result, NotADeadLetter) for result in results) == 4


async def test_replay_of_what_did_not_fail_is_refused(letters: DeadLetters, add: Add) -> None:
    job = await add()
    with pytest.raises(NotADeadLetter, match="queued"):
        await letters.replay(job.id, within=EVERYTHING)
    with pytest.raises(ExportNotFound):
        await letters.replay(uuid4(), within=EVERYTHING)


async def test_replay_of_many_takes_those_that_match(
    letters: DeadLetters, services: Services, fail: Add
) -> None:
    late = [await fail(LATE) for _ in range(3)]
    other = await fail()
    replayed = await letters.replay_many(DeadLetterFilter(cause=Cause.DEADLINE), within=EVERYTHING)
    assert {job.id for job in replayed} == {job.id for job in late}
    assert [job.id for job in await letters.list(within=EVERYTHING)] == [other.id]


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture
def waybill(settings: Settings) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("WAYBILL_")}
        environment = {
            **inherited,
            "LOGNAME": "operator",
            "PYTHONPATH": os.pathsep.join(sys.path),
            "WAYBILL_DATABASE_URL": settings.database_url.get_secret_value(),
            "WAYBILL_REDIS_URL": settings.redis_url.get_secret_value(),
        }
        return subprocess.run(
            [sys.executable, "-m", "waybill", "dead-letters", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


async def test_command_lists_shows_and_replays(
    waybill: Callable[..., subprocess.CompletedProcess[str]],
    services: Services,
    fail: Add,
    execute: Execute,
) -> None:
    assert waybill("list").stdout.strip() == "There are no dead letters."
    job = await fail()
    listed = waybill("list")
    assert str(job.id) in listed.stdout
    assert "source_rejected" in listed.stdout
    shown = waybill("show", str(job.id))
    assert REJECTED.message in shown.stdout
    document = json.loads(waybill("show", str(job.id), "--json").stdout)
    assert (document["cause"], len(document["attempts"])) == ("permanent", 1)
    assert json.loads(waybill("list", "--json").stdout)["total"] == 1
    replayed = waybill("replay", str(job.id))
    assert (replayed.returncode, replayed.stdout.strip()) == (0, str(job.id))
    again = await services.repository.find(job.id)
    assert again is not None
    assert again.status is ExportStatus.QUEUED
    assert execute(REPLAYS) == [("command:operator", None, "by_command", job.id)]


async def test_command_replays_all_that_match(
    waybill: Callable[..., subprocess.CompletedProcess[str]],
    letters: DeadLetters,
    fail: Add,
    execute: Execute,
) -> None:
    late = await fail(LATE)
    other = await fail()
    code, kind = "deadline_exceeded", late.export_type
    listed = waybill("list", "--cause", "deadline", "--code", code, "--type", kind, "--limit", "1",
                     "--json")  # fmt: skip
    assert [each["id"] for each in json.loads(listed.stdout)["items"]] == [str(late.id)]
    done = waybill("replay", "--all", "--cause", "deadline", "--code", code, "--type", kind,
                   "--json")  # fmt: skip
    assert json.loads(done.stdout) == {"replayed": [str(late.id)]}
    assert [job.id for job in await letters.list(within=EVERYTHING)] == [other.id]
    assert execute(REPLAYS) == [("command:operator", None, "by_command", late.id)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["replay"], "--all"),
        (["replay", "--all", str(UUID(int=1))], "not both"),
        (["replay", str(UUID(int=1)), "--cause", "deadline"], "--all"),
        (["replay", str(UUID(int=1))], "no such export"),
        (["show", str(UUID(int=1))], "no such export"),
    ],
)
def test_command_says_what_is_wrong_and_ends_with_its_status(
    waybill: Callable[..., subprocess.CompletedProcess[str]], arguments: list[str], message: str
) -> None:
    done = waybill(*arguments)
    assert done.returncode == (64 if "--" in message or message == "not both" else 1)
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_command_without_a_database_names_the_setting(
    monkeypatch: pytest.MonkeyPatch,
    waybill: Callable[..., subprocess.CompletedProcess[str]],
    settings: Settings,
) -> None:
    dsn = settings.database_url.get_secret_value()
    settings.__dict__["database_url"] = type(settings.database_url)(dsn + "-no-such-database")
    done = waybill("list")
    assert done.returncode == 78
    assert "WAYBILL_DATABASE_URL" in done.stderr


# -- the monitor ----------------------------------------------------------------------------------


@pytest.fixture
def monitor(services: Services) -> ExportMonitor:
    bounds = MonitorBounds(queued_seconds=300, running_seconds=60)
    return ExportMonitor(services.engine, bounds)


async def test_quiet_service_has_zeros_and_no_alert(monitor: ExportMonitor) -> None:
    figures = await monitor.figures(EVERYTHING)
    assert (figures.queued, figures.running, figures.dead_letters) == (0, 0, 0)
    assert (figures.oldest_due_seconds, figures.longest_silence_seconds) == (0.0, 0.0)
    assert await monitor.watch() == ()


async def test_figures_count_what_there_is(
    monitor: ExportMonitor, services: Services, add: Add, fail: Add
) -> None:
    await add()
    await fail()
    await claimed(services.leases, await add())
    waiting = await add()
    lease = await claimed(services.leases, waiting)
    await services.leases.retry(lease, LATE, delay_seconds=60, progress=Progress())
    figures = await monitor.figures(EVERYTHING)
    assert (figures.queued, figures.due, figures.running) == (2, 1, 1)
    assert (figures.dead_letters, figures.without_heartbeat) == (1, 0)
    assert await monitor.watch() == ()


async def test_queue_that_nobody_serves_is_an_alert(
    monitor: ExportMonitor, add: Add, execute: Execute
) -> None:
    await add()
    execute("UPDATE export_jobs SET next_attempt_at = now() - interval '301 s'")
    assert await monitor.watch() == ("queued_too_long",)


async def test_lease_that_nobody_frees_is_an_alert(
    monitor: ExportMonitor, services: Services, add: Add, execute: Execute
) -> None:
    await claimed(services.leases, await add())
    execute("UPDATE export_jobs SET lease_expires_at = now() - interval '61 s'")
    assert (await monitor.figures(EVERYTHING)).without_heartbeat == 1
    assert await monitor.watch() == ("running_without_heartbeat",)


async def test_exposition_has_one_typed_gauge_per_figure(monitor: ExportMonitor, fail: Add) -> None:
    await fail()
    lines = exposition(await monitor.figures(EVERYTHING)).splitlines()
    assert "waybill_exports_dead_letters 1" in lines
    assert {field.name for field in fields(MonitorFigures)} == set(GAUGES)
    for name, gauge in GAUGES.items():
        assert f"# HELP waybill_exports_{name} {gauge.help}" in lines
    values = [line for line in lines if not line.startswith("#")]
    assert len(lines) == 3 * len(values)
    assert all(float(line.split(" ")[1]) >= 0 for line in values)
