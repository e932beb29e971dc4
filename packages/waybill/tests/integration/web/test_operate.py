"""The page of those who run the service: whose jobs are on it, and what it costs to look."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event

from waybill.bootstrap.everything import Services
from waybill.requests.overview import Bucket
from waybill.web.operate import bars_of

from .conftest import ADMIN, USER, Browser
from .test_pages import Parsed

SignIn = Callable[..., Awaitable[Browser]]
AddJob = Callable[..., Awaitable[Any]]
Execute = Callable[..., list[tuple[Any, ...]]]

FAIL = """
UPDATE export_jobs SET status = 'failed', next_attempt_at = NULL, finished_at = now(),
  error_code = 'deadline_exceeded', error_message = 'x', error_cause = 'permanent' WHERE id = %s
"""
MANY = """
INSERT INTO export_jobs (id, export_type, format, requested_by, tenant, status, max_attempts,
  attempt, created_at, started_at, finished_at, next_attempt_at, error_code, error_message,
  error_cause)
SELECT gen_random_uuid(), 'users', 'csv', 'p' || n, 't' || n %% 40, 'failed', 3, 3,
  now() - n * interval '1 second', now() - n * interval '1 second',
  now() - n * interval '1 second', NULL, 'worker_lost', '<script>alert(1)</script>', 'transient'
FROM generate_series(1, %s) AS n
"""


@pytest.fixture
def count_statements(services: Services) -> Callable[[], int]:
    seen: list[str] = []
    event.listen(
        services.engine.sync_engine,
        "before_cursor_execute",
        lambda *arguments: seen.append(arguments[2]),
    )

    def count() -> int:
        found = len(seen)
        seen.clear()
        return found

    return count


async def test_only_administrators_see_it_and_each_their_own_tenant(
    sign_in: SignIn, add_job: AddJob, execute: Execute
) -> None:
    ours, theirs = await add_job(tenant="acme"), await add_job(tenant="globex", owner="eve")
    for job in (ours, theirs):
        execute(FAIL, job.id)
    ann = await sign_in("ann", scopes=USER, tenant="acme")
    for path in ("/operate", "/operate/audit"):
        assert (await ann.get(path)).status_code == 403
    assert (await ann.post("/operate/replay", {"export": str(ours.id)})).status_code == 403
    boss = await sign_in("boss", scopes=[*USER, "exports:admin"], tenant="acme")
    page = (await boss.get("/operate")).text
    assert str(ours.id) in page
    assert str(theirs.id) not in page
    assert "globex" not in page
    refused = await boss.post("/operate/replay", {"export": str(theirs.id)})
    assert refused.status_code == 404
    everything = (await (await sign_in("ops", scopes=ADMIN)).get("/operate")).text
    assert str(theirs.id) in everything
    assert "globex" in everything


async def test_dead_letters_are_replayed_one_by_one_and_by_cause(
    sign_in: SignIn, add_job: AddJob, execute: Execute
) -> None:
    jobs = [await add_job() for _ in range(3)]
    for job in jobs:
        execute(FAIL, job.id)
    browser = await sign_in("ops", scopes=ADMIN)
    one = await browser.post("/operate/replay", {"export": str(jobs[0].id)})
    assert one.headers["location"] == f"/exports/{jobs[0].id}"
    assert (await browser.post("/operate/replay", {"code": "worker_lost"})).status_code == 303
    assert execute("SELECT count(*) FROM export_jobs WHERE status = 'failed'") == [(2,)]
    assert (await browser.post("/operate/replay", {"code": "deadline_exceeded"})).status_code == 303
    assert execute("SELECT count(*) FROM export_jobs WHERE status = 'failed'") == [(0,)]
    assert execute("SELECT count(*) FROM audit_events WHERE action = 'replayed'") == [(3,)]
    forged = await browser.post("/operate/replay", {"code": ""}, **{"sec-fetch-site": "cross-site"})
    assert forged.status_code == 403


GIVEN_UP = """
INSERT INTO notifications (id, event_id, event, export_id, channel, target, payload, status,
  attempts, settled_at, last_error_code)
VALUES (gen_random_uuid(), gen_random_uuid()::text, 'export.failed', %s, 'webhook', %s, '{}',
  'dead', 8, now(), 'endpoint_rejected')
"""


async def test_notifications_that_were_given_up_are_sent_again_one_by_one_and_all(
    sign_in: SignIn, add_job: AddJob, execute: Execute
) -> None:
    ours, theirs = await add_job(tenant="acme"), await add_job(tenant="globex")
    for job in (ours, theirs):
        for target in ("crm", "audit"):
            execute(GIVEN_UP, job.id, target)
    dead = "SELECT export_id, target FROM notifications WHERE status = 'dead' ORDER BY target"
    boss = await sign_in("boss", scopes=[*USER, "exports:admin"], tenant="acme")
    page = (await boss.get("/operate")).text
    assert page.count('name="target"') == 2
    Parsed(page).require_harmless()
    path = "/operate/notifications/replay"
    # Another tenant's is not theirs, whoever names it.
    for form in (
        {"export": str(theirs.id), "channel": "webhook", "target": "crm"},
        {"export": "nonsense"},
    ):
        assert (await boss.post(path, form)).status_code == 303
    assert len(execute(dead)) == 4
    await boss.post(path, {"export": str(ours.id), "channel": "webhook", "target": "crm"})
    assert (ours.id, "crm") not in execute(dead)
    assert len(execute(dead)) == 3
    await boss.post(path)
    assert execute(dead) == [(theirs.id, "audit"), (theirs.id, "crm")]
    ann = await sign_in("ann", scopes=USER, tenant="globex")
    assert (await ann.post(path)).status_code == 403
    assert execute("SELECT count(*) FROM audit_events WHERE action = 'resent'") == [(2,)]


async def test_ten_thousand_dead_letters_cost_as_many_statements_as_none(
    sign_in: SignIn, execute: Execute, count_statements: Callable[[], int]
) -> None:
    browser = await sign_in("ops", scopes=ADMIN)
    for path in ("/operate", "/exports", "/new", "/operate/audit"):
        await browser.get(path)
        count_statements()
        before = await browser.get(path)
        assert before.status_code == 200
        few = count_statements()
        execute(MANY, 10_000)
        after = await browser.get(path)
        assert (after.status_code, count_statements()) == (200, few)
        assert 0 < few < 25
        assert len(after.text) < 120_000
        Parsed(after.text).require_harmless()
        execute("DELETE FROM export_jobs")
    execute(MANY, 60)
    page = (await browser.get("/operate?window=hour")).text
    assert page.count('action="/operate/replay"') == 26
    assert 'rel="next"' in page


async def test_windows_filters_and_nonsense(sign_in: SignIn, add_job: AddJob) -> None:
    browser = await sign_in("ops", scopes=ADMIN)
    await add_job(b"id\n1\n")
    for query in ("window=hour", "window=week", "code=x&failed_before=2026-01-01T00:00:00Z"):
        page = await browser.get(f"/operate?{query}")
        assert page.status_code == 200
        Parsed(page.text).require_harmless()
    assert (await browser.get("/operate?window=century")).status_code == 404
    for query in ("action=signed_in", "outcome=refused", "actor=%3Cb%3E", "export=1", "action='"):
        assert (await browser.get(f"/operate/audit?{query}")).status_code == 200
    assert "signed_in" in (await browser.get("/operate/audit?action=signed_in")).text


def test_bars_fill_the_chart_and_stand_on_each_other() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    bars = bars_of([Bucket(moment, 3, 1, 9, 1.0), Bucket(moment, 0, 0, 0, None)])
    assert (bars[0].done_height, bars[0].failed_height) == (120, 40)
    assert bars[0].failed_y == 0
    assert bars[0].done_y == bars[0].failed_y + bars[0].failed_height
    assert (bars[1].done_height, bars[1].failed_height) == (0, 0)
