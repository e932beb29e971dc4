"""The page of those who run the service: whose jobs are on it, and what it costs to look."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from waybill.bootstrap.everything import Services
from waybill.jobs.reach import EVERYTHING, Reach
from waybill.requests.overview import HISTORY_SECONDS, Bucket, OperationsView, at_once
from waybill.web.operate import bars_of
from waybill.web.texts import Texts

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
    # By an impatient finger, too.
    for again in (one, await browser.post("/operate/replay", {"export": str(jobs[0].id)})):
        assert again.headers["location"] == f"/exports/{jobs[0].id}"
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


async def test_dead_letters_are_grouped_by_what_happened(
    sign_in: SignIn, add_job: AddJob, execute: Execute
) -> None:
    jobs = [await add_job(tenant="acme") for _ in range(4)]
    for job in jobs:
        execute(FAIL, job.id)
    execute("UPDATE export_jobs SET error_code = 'worker_lost' WHERE id = %s", jobs[0].id)
    theirs = await add_job(tenant="globex")
    execute(FAIL, theirs.id)
    boss = await sign_in("boss", scopes=[*USER, "exports:admin"], tenant="acme")
    page = (await boss.get("/operate")).text
    Parsed(page).require_harmless()
    groups = page.split('<div class="cause">')[1:]
    assert [each.count('name="export"') for each in groups] == [3, 1]
    for group, code, words in zip(
        groups, ("deadline_exceeded", "worker_lost"), ("3 exports", "1 export<"), strict=True
    ):
        assert code in group
        assert words in group
        assert group.count(Texts("en").explain(code)) == 1
    # One of a kind is replayed by its own button.
    assert 'name="code" value="deadline_exceeded"' in page
    assert 'name="code" value="worker_lost"' not in page
    # A cause of which there is none, or none any more, and one that is nobody's.
    for code in ("standby_conflict", "%3Cscript%3E"):
        page = (await boss.get(f"/operate?code={code}")).text
        Parsed(page).require_harmless()
        assert "0 exports" in page
        assert 'name="code"' not in page


async def test_ten_thousand_dead_letters_cost_as_many_statements_as_none(
    services: Services,
    sign_in: SignIn,
    add_job: AddJob,
    execute: Execute,
    count_statements: Callable[[], int],
) -> None:
    """Of every page, and of the first look as of a later one."""
    browser = await sign_in("ops", scopes=ADMIN)
    job = await add_job(b"id\n1\n", owner="ops")
    paths = ["/operate", "/exports", "/new", "/new/users", f"/exports/{job.id}", "/operate/audit"]

    async def cost(path: str) -> int:
        services.operations.forget()
        count_statements()
        page = await browser.get(path)
        assert page.status_code == 200
        assert len(page.text) < 120_000
        Parsed(page.text).require_harmless()
        return count_statements()

    for path in paths:
        await cost(path)  # what is looked up once
    few = {path: await cost(path) for path in paths}
    execute(MANY, 10_000)
    assert {path: await cost(path) for path in paths} == few
    assert all(0 < each < 25 for each in few.values()), few
    # What happened is said once, however often it did; each of them is a click away.
    explanation = Texts("en").explain("worker_lost")
    page = (await browser.get("/operate?window=hour")).text
    assert page.count(explanation) == 1
    assert page.count('name="export"') == 3
    assert page.count('name="code"') == 1
    assert "10,000 exports" in page
    assert 'href="/operate?window=hour&amp;code=worker_lost#dead"' in page
    page = (await browser.get("/operate?window=hour&code=worker_lost")).text
    assert page.count(explanation) == 1
    assert page.count('name="export"') == 25
    assert "1,000 exports are queued again. More at a time are too many" in page
    following = page.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
    older = (await browser.get(following)).text
    assert older.count('name="export"') == 25
    assert re.findall(r'name="export" value="(.*?)"', page)[0] not in older
    # All at once, a thousand at a time: what a button does is bounded too.
    assert (await browser.post("/operate/replay", {"code": "worker_lost"})).status_code == 303
    assert execute("SELECT count(*) FROM export_jobs WHERE status = 'failed'") == [(9_000,)]


ENDED = """
INSERT INTO export_jobs (id, export_type, format, requested_by, tenant, status, max_attempts,
  created_at, started_at, finished_at, next_attempt_at, rows_done, object_bytes, object_key, sha256,
  manifest, expires_at, error_code, error_message, error_cause)
SELECT gen_random_uuid(), 'users', 'csv', 'ann', tenant, status, 3, at, at - took * interval '1 s',
  at, NULL, 10, CASE status WHEN 'failed' THEN NULL WHEN 'cancelled' THEN NULL ELSE 100 END,
  CASE status WHEN 'completed' THEN 'none' END,
  CASE status WHEN 'failed' THEN NULL WHEN 'cancelled' THEN NULL ELSE repeat('0', 64) END,
  CASE status WHEN 'failed' THEN NULL WHEN 'cancelled' THEN NULL ELSE '{"columns": []}'::jsonb END,
  now() + interval '2 hours', CASE status WHEN 'failed' THEN 'worker_lost' END,
  CASE status WHEN 'failed' THEN 'x' END, CASE status WHEN 'failed' THEN 'transient' END
FROM (VALUES ('completed', 'acme', 4), ('completed', 'globex', 4), ('expired', 'acme', 4),
  ('deleted', 'acme', 4), ('failed', 'acme', 10), ('cancelled', 'acme', 99),
  ('failed', 'globex', NULL)) AS j (status, tenant, took),
  (SELECT now() - %s::interval AS at) AS m
"""


async def test_history_counts_what_ended_and_is_kept_for_seconds(
    services: Services, sign_in: SignIn, add_job: AddJob, execute: Execute
) -> None:
    execute(ENDED, "1 minute")
    execute(ENDED, "3 days")
    now = [100.0]
    view = OperationsView(services.engine, lease_seconds=60, monotonic=lambda: now[0])
    acme = Reach((("tenant", "acme"),))
    for within, window, completed, failed, seconds, files in (
        (EVERYTHING, "day", 4, 2, 26 / 5, 4),
        (EVERYTHING, "week", 8, 4, 26 / 5, 4),
        (acme, "hour", 3, 1, 22 / 4, 2),
    ):
        history = (await view.look(within, window)).history
        assert sum(each.completed for each in history.buckets) == completed
        assert sum(each.failed for each in history.buckets) == failed
        assert sum(each.rows for each in history.buckets) == completed * 10
        assert {each.seconds for each in history.buckets} == {None, seconds}
        assert history.causes == [("worker_lost", failed)]
        assert (history.files, history.file_bytes, history.expiring) == (files, files * 100, files)
    execute("DELETE FROM export_jobs")
    kept = (await view.look(acme, "hour")).history
    assert kept == history
    now[0] += HISTORY_SECONDS
    assert (await view.look(acme, "hour")).history.files == 0
    assert (await view.look(EVERYTHING, "week")).history.files == 0
    # Nor is kept what was being read while something changed.
    execute(ENDED, "1 minute")
    now[0] += HISTORY_SECONDS
    change = [view.forget]
    event.listen(
        services.engine.sync_engine, "before_cursor_execute", lambda *_: change and change.pop()()
    )
    assert (await view.look(acme, "hour")).history.files == 1
    assert change == []
    execute("DELETE FROM export_jobs")
    assert (await view.look(acme, "hour")).history.files == 0
    # Who replays sees at once what has become of it.
    boss = await sign_in("ops", scopes=ADMIN)
    await add_job()
    execute(FAIL, (await add_job()).id)
    assert "deadline_exceeded" in (await boss.get("/operate")).text
    await boss.post("/operate/replay", {"code": "deadline_exceeded"})
    assert "deadline_exceeded" not in (await boss.get("/operate")).text


async def test_worker_whose_attempt_failed_is_heard_of_while_the_job_waits_again(
    services: Services, add_job: AddJob, execute: Execute
) -> None:
    job = await add_job(tenant="acme")
    for name, ago in (("lately", "1 minute"), ("long-ago", "11 minutes")):
        execute(
            "INSERT INTO export_attempts (lease_token, export_id, attempt, worker, started_at,"
            " ended_at, outcome) VALUES (gen_random_uuid(), %s, 1, %s, now() - interval '1 hour',"
            " now() - %s::interval, 'retried')",
            job.id, name, ago,
        )  # fmt: skip
    view = OperationsView(services.engine, lease_seconds=60)
    for within, names in ((EVERYTHING, ["lately"]), (Reach((("tenant", "globex"),)), [])):
        assert [each.name for each in (await view.look(within, "hour")).workers] == names


async def test_history_is_read_from_indexes_alone(
    services: Services, execute: Execute, database: str
) -> None:
    """However wide the rows of jobs are: a statement that wants more than its index holds would
    visit each of them."""
    execute(ENDED, "1 minute")
    seen: list[tuple[str, Any]] = []
    event.listen(
        services.engine.sync_engine,
        "before_cursor_execute",
        lambda *arguments: seen.append((arguments[2], arguments[3])),
    )
    acme = Reach((("tenant", "acme"),))
    for within in (EVERYTHING, acme):
        await OperationsView(services.engine, lease_seconds=60).look(within, "week")
    with psycopg.connect(
        database, options="-c enable_seqscan=off -c enable_bitmapscan=off"
    ) as connection:
        connection.execute("SET search_path = waybill")
        plans = [
            (index, "\n".join(each for (each,) in connection.execute(b"EXPLAIN " + text, values)))
            for text, values in ((text.encode(), values) for text, values in seen)
            for index, mark in (
                ("files", b"object_bytes"),
                ("delivered", b"generate_series"),
                ("dead_letters", b"generate_series"),
                ("unfinished", b"queued"),
                ("dead_letters", b"queued"),
            )
            if mark in text
        ]
    assert len(plans) == 2 * 5
    for index, plan in plans:
        assert f"Index Only Scan using ix_export_jobs_{index} " in plan, plan


async def test_figures_of_the_queue_are_those_of_its_jobs(
    services: Services, add_job: AddJob, execute: Execute
) -> None:
    jobs = [await add_job(tenant=tenant) for tenant in ("acme", "acme", "acme", "globex")]
    execute(
        "UPDATE export_jobs SET next_attempt_at = now() + interval '1 hour' WHERE id = %s",
        jobs[0].id,
    )
    execute(
        "UPDATE export_jobs SET next_attempt_at = now() - interval '1 hour' WHERE id = %s",
        jobs[1].id,
    )
    execute(
        "UPDATE export_jobs SET status = 'running', attempt = 1, next_attempt_at = NULL,"
        " started_at = now() - interval '2 hours', lease_token = gen_random_uuid(),"
        " lease_expires_at = now() - interval '1 minute' WHERE id = %s",
        jobs[2].id,
    )
    execute(FAIL, jobs[3].id)
    figures = await services.monitor.figures(EVERYTHING)
    assert (figures.queued, figures.due, figures.running) == (2, 1, 1)
    assert (figures.dead_letters, figures.without_heartbeat) == (1, 1)
    # At least: how long the test itself takes is nobody's promise.
    assert figures.longest_silence_seconds >= 60
    assert 3_600 <= figures.oldest_due_seconds < 7_200 <= figures.oldest_snapshot_seconds
    nobody = await services.monitor.figures(Reach((("tenant", "nobody"),)))
    assert set(dataclasses.astuple(nobody)) == {0}
    execute(
        "UPDATE export_jobs SET next_attempt_at = now() + interval '1 hour' WHERE status = 'queued'"
    )
    assert (await services.monitor.figures(EVERYTHING)).oldest_due_seconds == 0


async def test_windows_filters_and_nonsense(sign_in: SignIn, add_job: AddJob) -> None:
    browser = await sign_in("ops", scopes=ADMIN)
    await add_job(b"id\n1\n")
    for query in ("window=hour", "window=week", "code=x&failed_before=2026-01-01T00:00:00Z"):
        page = await browser.get(f"/operate?{query}")
        assert page.status_code == 200
        Parsed(page.text).require_harmless()
    assert "\u202e" not in Parsed((await browser.get("/operate?code=%E2%80%AEx")).text).text
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


async def test_what_is_asked_at_once_has_all_ended_when_one_of_it_fails() -> None:
    refused, ended = asyncio.Event(), []

    async def refuse() -> None:
        refused.set()
        raise LookupError("no such table")

    async def go_on() -> str:
        await refused.wait()
        await asyncio.sleep(0)
        ended.append("other")
        return "other"

    with pytest.raises(LookupError, match="no such table"):
        await at_once(refuse(), go_on())
    assert ended == ["other"]
    assert await at_once(go_on(), go_on()) == ("other", "other")
