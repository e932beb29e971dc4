"""Server-sent events on real sockets, fed by PostgreSQL's NOTIFY."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from waybill.bootstrap.everything import Services
from waybill.config import Settings
from waybill.jobs.attempts import AttemptFailure
from waybill.jobs.changes import ExportChanges
from waybill.jobs.job import ExportJob, ExportStatus, Progress
from waybill.principal import READ, Principal

Execute = Callable[..., list[tuple[Any, ...]]]


class Events:
    """What arrives on one stream, one event or comment at a time."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()

    async def next(self) -> dict[str, str]:
        event: dict[str, str] = {}
        async with asyncio.timeout(10):
            async for line in self._lines:
                if not line:
                    return event
                name, _, value = line.partition(":")
                event[name or "comment"] = value.strip()
        raise EOFError

    async def rest(self) -> AsyncIterator[dict[str, str]]:
        """What arrives until the server ends the stream."""
        with contextlib.suppress(EOFError):
            while True:
                yield await self.next()

    async def next_state(self) -> tuple[str, dict[str, Any]]:
        while True:
            event = await self.next()
            if "data" in event:
                return event["event"], json.loads(event["data"])


@pytest.fixture
async def watch(server: httpx.AsyncClient) -> AsyncIterator[Callable[..., Any]]:
    """Open a stream of a job's events; closed at the end."""
    async with AsyncExitStack() as stack:

        async def start(job: ExportJob, **headers: str) -> Events:
            response = await stack.enter_async_context(
                server.stream("GET", f"/api/exports/{job.id}/events", headers=headers)
            )
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            assert response.headers["cache-control"] == "no-store, no-transform"
            return Events(response)

        yield start


async def test_stream_tells_each_change_and_ends(
    watch: Any, services: Services, add_job: Any
) -> None:
    job = await add_job()
    events = await watch(job)
    assert 1000 <= int((await events.next())["retry"]) <= 3000
    assert (await events.next_state())[1]["status"] == "queued"
    claimed = await services.leases.claim(job.id, lease_seconds=60, worker="test")
    assert claimed is not None
    assert (await events.next_state())[1]["status"] == "running"
    await services.leases.renew(claimed[1], Progress(500, 9_000, 1_000), lease_seconds=60)
    name, state = await events.next_state()
    assert name == "progress"
    assert state["progress"]["percent"] == 50.0
    assert state["progress"]["rows_expected_is"] == "estimate"
    assert state["progress"]["eta_seconds"] is not None
    await services.leases.fail(
        claimed[1], AttemptFailure.of(ValueError("secret")), progress=Progress(500, 9_000, 1_000)
    )
    name, state = await events.next_state()
    assert (name, state["status"]) == ("finished", "failed")
    assert state["error"]["code"] == "internal_error"
    with pytest.raises(EOFError):
        await events.next()


async def test_renewed_lease_without_progress_rings_no_bell(
    services: Services, add_job: Any, settings: Settings
) -> None:
    job = await add_job()
    claimed = await services.leases.claim(job.id, lease_seconds=60, worker="test")
    assert claimed is not None
    async with await psycopg.AsyncConnection.connect(
        settings.database_dsn, autocommit=True
    ) as connection:
        await connection.execute("LISTEN waybill_export_jobs")
        await services.leases.renew(claimed[1], Progress(), lease_seconds=60)
        await services.leases.renew(claimed[1], Progress(rows=7), lease_seconds=60)
        heard = [n.payload async for n in connection.notifies(timeout=5, stop_after=1)]
        heard += [n.payload async for n in connection.notifies(timeout=0.2)]
    assert heard == [str(job.id)]


async def test_client_that_comes_back_is_not_told_what_it_knows(
    watch: Any, services: Services, add_job: Any, server: httpx.AsyncClient
) -> None:
    job = await add_job()
    first = await watch(job)
    await first.next()
    known = (await first.next())["id"]
    again = await watch(job, **{"Last-Event-ID": known})
    await again.next()
    await services.repository.cancel(job.id)
    event = await again.next()
    assert event["event"] == "finished"
    # Over, and known to be over: the answer that stops an EventSource.
    path = f"/api/exports/{job.id}/events"
    response = await server.get(path, headers={"Last-Event-ID": event["id"]})
    assert response.status_code == 204
    # An id of nonsense is no reason to fail.
    late = await watch(job, **{"Last-Event-ID": "nonsense"})
    assert (await late.next_state())[0] == "finished"


async def test_silent_stream_has_heartbeats(
    settings: Settings, services: Services, watch: Any, add_job: Any
) -> None:
    services.settings = settings.model_copy(update={"event_heartbeat_seconds": 0.05})
    events = await watch(await add_job())
    await events.next()
    await events.next()
    assert "comment" in await events.next()
    assert "comment" in await events.next()


async def test_stream_ends_after_its_time_and_goes_on_where_it_was(
    settings: Settings, services: Services, watch: Any, add_job: Any
) -> None:
    services.settings = settings.model_copy(update={"event_stream_seconds": 0.2})
    job = await add_job()
    events = await watch(job)
    await events.next()
    known = (await events.next())["id"]
    with pytest.raises(EOFError):
        await events.next_state()
    again = await watch(job, **{"Last-Event-ID": known})
    assert "retry" in await again.next()


async def test_lost_listener_comes_back_and_catches_up(
    watch: Any, services: Services, add_job: Any, execute: Execute
) -> None:
    job, other = await add_job(), await add_job()
    events, others = await watch(job), await watch(other)
    await events.next_state()
    await others.next_state()
    await services.repository.cancel(other.id)
    await others.next_state()  # so the listener is there
    # Killed, and changed before it can be back: nobody hears the notification.
    execute(
        "WITH killed AS (SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'waybill-changes')"
        " UPDATE export_jobs SET status = 'cancelled' FROM (SELECT count(*) FROM killed) AS k"
        " WHERE id = %s",
        job.id,
    )
    assert (await events.next_state())[1]["status"] == "cancelled"


async def test_missed_bell_is_noticed_by_the_resync(
    services: Services, settings: Settings, add_job: Any, execute: Execute
) -> None:
    """As behind a transaction pooler, where LISTEN hears nothing."""
    job = await add_job()
    execute("ALTER TABLE export_jobs DISABLE TRIGGER export_jobs_ring_on_update")
    async with (
        ExportChanges(
            settings.database_dsn,
            services.repository.find_many,
            max_watchers=1,
            resync_seconds=0.1,
        ) as changes,
        changes.watch(job.id) as watcher,
    ):
        await services.repository.cancel(job.id)
        async with asyncio.timeout(10):
            while True:
                seen = await watcher.next(5)
                if seen is not None and seen.status is ExportStatus.CANCELLED:
                    break


async def test_many_watchers_cost_one_read_per_change(
    services: Services, settings: Settings, add_job: Any
) -> None:
    job = await add_job()
    async with (
        ExportChanges(
            settings.database_dsn,
            services.repository.find_many,
            max_watchers=500,
            resync_seconds=60,
        ) as changes,
        AsyncExitStack() as stack,
    ):
        watchers = [await stack.enter_async_context(changes.watch(job.id)) for _ in range(500)]
        assert await watchers[0].next(10) is not None  # told once on connecting
        before = changes.reads
        await services.repository.cancel(job.id)
        async with asyncio.timeout(10):
            for watcher in watchers:
                while True:
                    seen = await watcher.next(10)
                    if seen is not None and seen.status is ExportStatus.CANCELLED:
                        break
        assert changes.reads - before <= 2


async def test_slow_watcher_finds_the_latest_state_only(
    services: Services, add_job: Any, settings: Settings
) -> None:
    job = await add_job()
    async with (
        ExportChanges(
            settings.database_dsn, services.repository.find_many, max_watchers=2
        ) as changes,
        changes.watch(job.id) as slow,
        changes.watch(job.id) as quick,
    ):
        claimed = await services.leases.claim(job.id, lease_seconds=60, worker="test")
        assert claimed is not None
        for rows in range(1, 21):
            await services.leases.renew(claimed[1], Progress(rows), lease_seconds=60)
        async with asyncio.timeout(10):
            while (seen := await quick.next(5)) is None or seen.rows_done < 20:
                pass
        latest = await slow.next(5)
        assert latest is not None
        assert latest.rows_done == 20


async def test_watchers_beyond_the_limit_are_told_to_poll(
    settings: Settings, services: Services, watch: Any, add_job: Any, server: httpx.AsyncClient
) -> None:
    services.changes._max_watchers = 1
    job = await add_job()
    await watch(job)
    response = await server.get(f"/api/exports/{job.id}/events")
    assert response.status_code == 503
    assert response.json()["code"] == "too_many_watchers"
    assert int(response.headers["retry-after"]) > 0


async def test_going_down_ends_the_streams(watch: Any, services: Services, add_job: Any) -> None:
    events = await watch(await add_job())
    await events.next_state()
    services.changes.release()
    with pytest.raises(EOFError):
        await events.next()


async def test_stream_of_a_job_whose_row_is_deleted_ends_and_is_not_found_again(
    watch: Any, server: httpx.AsyncClient, services: Services, add_job: Any, execute: Execute
) -> None:
    job, other = await add_job(), await add_job()
    events, others = await watch(job), await watch(other)
    for each in (events, others):
        await each.next_state()
    execute("DELETE FROM export_jobs WHERE id = %s", job.id)
    services.changes._resync()
    async with asyncio.timeout(10):
        assert [each async for each in events.rest() if "data" in each] == []
    assert (await server.get(f"/api/exports/{job.id}/events")).status_code == 404
    # Nobody else's ends with it.
    await services.repository.cancel(other.id)
    assert (await others.next_state())[1]["status"] == "cancelled"


async def test_watcher_that_leaves_is_forgotten(
    server: httpx.AsyncClient, services: Services, add_job: Any
) -> None:
    job = await add_job()
    async with server.stream("GET", f"/api/exports/{job.id}/events") as response:
        await Events(response).next_state()
        assert job.id in services.changes._watchers
    async with asyncio.timeout(10):
        while services.changes._watchers:  # noqa: ASYNC110 - the server's own moment
            await asyncio.sleep(0.01)


async def test_stream_of_another_persons_export_is_refused_like_one_of_nothing(
    api: httpx.AsyncClient, act_as: Any, add_job: Any
) -> None:
    job = await add_job()
    act_as(Principal("mallory", scopes=frozenset({READ})))
    theirs = await api.get(f"/api/exports/{job.id}/events")
    nobodys = await api.get(f"/api/exports/{uuid4()}/events")
    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.content == nobodys.content


async def test_polling_tells_progress_and_when_to_ask_again(
    api: httpx.AsyncClient, services: Services, add_job: Any
) -> None:
    job = await add_job()
    path = f"/api/exports/{job.id}"
    response = await api.get(path)
    assert response.headers["x-progress"] == "queued"
    assert response.headers["retry-after"] == "1"
    claimed = await services.leases.claim(job.id, lease_seconds=60, worker="test")
    assert claimed is not None
    await services.leases.renew(claimed[1], Progress(500, 9, 1_000), lease_seconds=60)
    response = await api.get(path)
    assert response.headers["x-progress"].startswith("running, 50 %, 500 of about 1000 rows")
    assert len(response.headers["x-progress"]) <= 100
    assert 1 <= int(response.headers["retry-after"]) <= 10
    await services.repository.cancel(job.id)
    response = await api.get(path)
    assert "retry-after" not in response.headers
