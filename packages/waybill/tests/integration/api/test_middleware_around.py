"""A mount inside somebody's middleware, as stock applications have it: what reads whole answers,
what passes them on, what compresses."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response

import waybill
from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog
from waybill.catalog.toml import parse_catalog
from waybill.client import AsyncExportClient
from waybill.principal import READ, REQUEST, Principal

DATA = b"id,name\r\n" * 20_000

Execute = Callable[..., list[tuple[Any, ...]]]


class Passing(BaseHTTPMiddleware):
    """As what times requests, or adds a header."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)


class Reading(BaseHTTPMiddleware):
    """As what logs answers."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        answer: Any = await call_next(request)
        body = b"".join([piece async for piece in answer.body_iterator])
        return Response(body, answer.status_code, dict(answer.headers))


AROUND = {
    "passing": [Middleware(Passing), Middleware(Passing)],
    "reading": [Middleware(Reading)],
    # Of all types, as before Starlette 0.46.
    "compressing": [Middleware(GZipMiddleware, exclude_content_types=())],
}


@pytest.fixture
def catalog() -> Catalog:
    return parse_catalog(
        """
        [exports.users]
        table = "users"
        key = "id"

        [exports.breaks]
        query = "SELECT g AS id, 1 / (g - 50000) AS share FROM generate_series(1, 60000) g"

        [exports.slow]
        query = '''
        SELECT g AS id, repeat('x', 100000) AS filler, pg_sleep(0.02)::text AS nap
        FROM generate_series(1, 2000) AS g
        '''
        """
    )


@pytest.fixture
def around(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def app(services: Services, around: str) -> AsyncIterator[Any]:
    host = FastAPI(middleware=AROUND[around])
    principal = Principal("local-developer", scopes=frozenset({REQUEST, READ}))
    host.include_router(
        waybill.router(services.settings, principal=lambda: principal, catalog=services.catalog),
        prefix="/data",
    )
    host.state.services = services
    async with host.router.lifespan_context(host):
        yield host


@pytest.mark.parametrize("around", AROUND, indirect=True)
async def test_export_is_watched_to_its_end_whatever_is_around(
    server: httpx.AsyncClient,
    services: Services,
    add_job: Any,
    around: str,
) -> None:
    job = await add_job()
    seen = []
    # As long as a service that lets nothing through is waited for: 30 s.
    patience = 1.0 if around == "reading" else 30.0
    url = str(server.base_url.join("/data"))
    async with (
        asyncio.timeout(30),
        AsyncExportClient(url, "test-token", timeout_seconds=patience) as client,
    ):
        async for each in client.watch(job.id):
            seen.append(each.status.value)
            if len(seen) == 1:
                await services.repository.cancel(job.id)
    assert seen == ["queued", "cancelled"]


@pytest.mark.parametrize("around", ["compressing"], indirect=True)
async def test_events_and_files_are_not_compressed_and_keep_what_resuming_needs(
    server: httpx.AsyncClient, services: Services, add_job: Any
) -> None:
    asked = {"Accept-Encoding": "gzip"}
    done = await add_job(DATA)
    path = f"/data/api/exports/{done.id}/download?via=stream"
    for method in ("HEAD", "GET"):
        answer = await server.request(method, path, headers=asked)
        assert answer.headers["content-length"] == str(len(DATA)), method
        assert answer.headers["content-encoding"] == "identity"
    assert answer.content == DATA
    waiting = await add_job()
    await services.repository.cancel(waiting.id)
    events = await server.get(f"/data/api/exports/{waiting.id}/events", headers=asked)
    assert events.headers["content-encoding"] == "identity"
    assert "event: finished" in events.text
    # What has no length is nobody's loss: compressed as it comes, and whole.
    stream = await server.get("/data/api/users/export/stream", headers=asked)
    assert stream.headers["content-encoding"] == "gzip"
    assert sum(1 for _ in csv.reader(io.StringIO(stream.text))) == 2_001


@pytest.mark.parametrize("around", AROUND, indirect=True)
async def test_stream_that_breaks_never_looks_whole(
    server: httpx.AsyncClient, around: str, execute: Execute
) -> None:
    path, asked = "/data/api/breaks/export/stream", {"Accept-Encoding": "gzip"}
    if around == "reading":
        assert (await server.get(path, headers=asked)).status_code == 500
    else:
        with pytest.raises(httpx.RemoteProtocolError):
            await server.get(path, headers=asked)
    assert execute("SELECT status, error_code FROM export_jobs") == [("failed", "source_rejected")]


@pytest.mark.parametrize("around", AROUND, indirect=True)
async def test_client_that_goes_away_ends_the_query(
    server: httpx.AsyncClient, around: str, execute: Execute
) -> None:
    reading = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'waybill stream%'"
        " AND datname = current_database()"
    )
    asking = asyncio.create_task(server.get("/data/api/slow/export/stream"))
    async with asyncio.timeout(20):
        while execute(reading) != [(1,)]:  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.05)
        asking.cancel()
        while execute(reading) != [(0,)]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
