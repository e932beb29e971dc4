"""A type that spares its source: the same bytes, later; and what waits says why."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog, ExportType, TableSource
from waybill.catalog.check import check_catalog
from waybill.catalog.politeness import Hours, Politeness
from waybill.errors import OutsideHours
from waybill.jobs.attempts import Cause
from waybill.jobs.job import ExportJob, ExportStatus
from waybill.principal import READ, REQUEST, Principal
from waybill.requests.request import ExportRequest
from waybill.run.runner import Outcome

from ...conftest import MovableClock

Add = Callable[..., Awaitable[ExportJob]]
Execute = Callable[..., list[tuple[Any, ...]]]

USERS = TableSource("public", "users")
HEALTH = "SELECT NOT is_busy FROM public.weather"


@pytest.fixture
def catalog(execute: Execute) -> Catalog:
    execute("CREATE TABLE weather AS SELECT false AS is_busy")
    polite = {
        "users": Politeness(),
        "slow": Politeness(rows_per_second=50_000, mb_per_second=50),
        "too_slow": Politeness(rows_per_second=1),
        "nightly": Politeness(hours=Hours("22:00-06:00")),
        "careful": Politeness(health_query=HEALTH),
        "broken": Politeness(health_query="SELECT 1 FROM public.nothing"),
        "modest": Politeness(max_active_sessions=1_000, max_lag_seconds=10),
    }
    return Catalog(ExportType(name, USERS, key=("id",), polite=p) for name, p in polite.items())


async def _state(services: Services, job: ExportJob) -> ExportJob:
    found = await services.repository.find(job.id)
    assert found is not None
    return found


async def test_throttled_export_is_the_same_bytes(services: Services, add: Add) -> None:
    digests = []
    for name in ("users", "slow"):
        job = await add(export_type=name)
        assert await services.runner.run(job.id) is Outcome.COMPLETED
        done = await _state(services, job)
        assert done.rows_done == 2_000
        digests.append(done.sha256)
    assert digests[0] == digests[1]


async def test_export_that_cannot_end_in_time_at_its_rate_fails_at_once_and_says_so(
    services: Services, add: Add
) -> None:
    job = await add(export_type="too_slow")
    assert await services.runner.run(job.id) is Outcome.FAILED
    (attempt,) = await services.repository.attempts_of(job.id)
    assert attempt.cause is Cause.DEADLINE
    assert attempt.message is not None
    assert "2000 rows take 2000 s" in attempt.message
    assert "deadline_seconds is 60" in attempt.message


async def test_job_outside_its_hours_waits_with_a_reason_and_runs_in_them(
    services: Services, add: Add, clock: MovableClock, execute: Execute
) -> None:
    _move_to(clock, hour=12)
    job = await add(export_type="nightly")
    assert await services.runner.run(job.id) is Outcome.GIVEN_BACK
    waiting = await _state(services, job)
    assert (waiting.status, waiting.attempt) == (ExportStatus.QUEUED, 0)
    assert waiting.started_at is None  # whoever cancels it now gets their quota back
    assert waiting.error_code == "outside_hours"
    assert waiting.error_message is not None
    assert "begins by itself" in waiting.error_message
    due_in = execute("SELECT extract(epoch FROM next_attempt_at - now()) FROM export_jobs")[0][0]
    assert 9.9 * 3_600 < due_in <= 10 * 3_600
    assert await services.runner.run(job.id) is Outcome.SKIPPED

    _move_to(clock, hour=23)
    execute("UPDATE export_jobs SET next_attempt_at = now()")
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    done = await _state(services, job)
    assert (done.attempt, done.error_code) == (1, None)


async def test_stream_outside_its_hours_is_refused_and_costs_nothing(
    services: Services, clock: MovableClock, execute: Execute
) -> None:
    _move_to(clock, hour=21)
    person = Principal("ann", scopes=frozenset({REQUEST, READ}))
    with pytest.raises(OutsideHours) as caught:
        await services.streams.open(person, ExportRequest("nightly", "csv"))
    assert 0 < caught.value.retry_after_seconds <= 3_600
    assert execute("SELECT count(*) FROM export_jobs") == [(0,)]


async def test_job_waits_while_the_source_is_under_pressure(
    services: Services, add: Add, execute: Execute
) -> None:
    job = await add(export_type="careful")
    execute("UPDATE weather SET is_busy = true")
    assert await services.runner.run(job.id) is Outcome.GIVEN_BACK
    waiting = await _state(services, job)
    assert (waiting.status, waiting.attempt) == (ExportStatus.QUEUED, 0)
    assert waiting.error_code == "source_busy"
    execute("UPDATE weather SET is_busy = false")
    execute("UPDATE export_jobs SET next_attempt_at = now()")
    assert await services.runner.run(job.id) is Outcome.COMPLETED


async def test_health_query_that_is_wrong_fails_the_job(services: Services, add: Add) -> None:
    job = await add(export_type="broken")
    assert await services.runner.run(job.id) is Outcome.FAILED
    assert (await _state(services, job)).error_code == "source_rejected"


async def test_sessions_and_lag_are_looked_at(services: Services, add: Add) -> None:
    job = await add(export_type="modest")
    assert await services.runner.run(job.id) is Outcome.COMPLETED


def test_check_tells_what_cannot_be_kept(catalog: Catalog, database: str, execute: Execute) -> None:
    execute("ANALYZE users")
    found = {(each.export_type, each.code) for each in check_catalog(catalog, database)}
    assert found == {("too_slow", "rate_too_slow"), ("broken", "health_query_refused")}


def test_check_tells_that_the_role_cannot_see_pressure(
    catalog: Catalog, database: str, execute: Execute
) -> None:
    role = f"reader_{secrets.token_hex(4)}"
    execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret-of-the-role'")
    execute(f"GRANT SELECT ON users, weather TO {role}")
    try:
        dsn = re.sub(r"//[^@]*@", f"//{role}:secret-of-the-role@", database)
        found = {(each.export_type, each.code) for each in check_catalog(catalog, dsn)}
    finally:
        execute(f"DROP OWNED BY {role}")
        execute(f"DROP ROLE {role}")
    assert ("modest", "pressure_invisible") in found


def _move_to(clock: MovableClock, *, hour: int) -> None:
    now = clock.now()
    clock.advance(seconds=(now.replace(hour=hour, minute=0, second=1) - now).total_seconds())
