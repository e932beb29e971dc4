"""The real application in this process, on the session's real servers."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
import structlog
import uvicorn

from waybill.api.app import create_app
from waybill.api.auth import current_principal
from waybill.api.serve import server_config
from waybill.bootstrap.everything import Services
from waybill.jobs.completing import Result
from waybill.jobs.job import ExportJob
from waybill.principal import Principal

from ..leased import claimed

AddJob = Callable[..., Awaitable[ExportJob]]


@pytest.fixture(scope="session", autouse=True)
def plain_tracebacks() -> None:
    """structlog's own default shows the variables of every frame, which takes seconds."""
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ]
    )


@pytest.fixture
def app(services: Services) -> Any:
    return create_app(services)


@pytest.fixture
async def api(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the development token."""
    async with httpx.AsyncClient(
        # raise_app_exceptions off: a client sees the 500 that a server would send.
        transport=httpx.ASGITransport(app=app, raise_app_exceptions=False),
        base_url="http://waybill.test",
        headers={"Authorization": "Bearer test-token"},
    ) as client:
        yield client


@pytest.fixture
def act_as(app: Any) -> Callable[[Principal], None]:
    """Let every request be somebody's."""

    def act(principal: Principal) -> None:
        app.dependency_overrides[current_principal] = lambda: principal

    return act


@pytest.fixture
async def server(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the same application as ``waybill api`` serves it, on a real socket."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(server_config(app, app.state.services.settings, lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
        headers={"Authorization": "Bearer test-token"},
        timeout=20,
    ) as client:
        yield client
    app.state.services.changes.release()
    server.should_exit = True
    await serving


@pytest.fixture
async def worker(services: Services) -> AsyncIterator[None]:
    """Run what is requested, so that what follows a completed export is met as well."""

    async def work() -> None:
        while True:
            for export_id in await services.repository.unannounced(limit=1):
                await services.runner.run(export_id)
            for export_id in await services.repository.unanswered(older_than_seconds=0, limit=1):
                await services.runner.run(export_id)
            await asyncio.sleep(0.05)

    working = asyncio.create_task(work())
    yield
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working


@pytest.fixture
def add_job(services: Services) -> AddJob:
    """Insert a job that no worker will take; ``data`` completes it with that file."""

    async def add(
        data: bytes | None = None,
        *,
        requested_by: str = "local-developer",
        tenant: str | None = None,
        file_name: str = "users.csv",
        media_type: str = "text/csv; charset=utf-8",
    ) -> ExportJob:
        job = await services.repository.add(
            export_type="users",
            format="csv",
            options={},
            requested_by=requested_by,
            tenant=tenant,
            max_attempts=3,
        )
        if data is not None:
            await complete(services, job, data, file_name=file_name, media_type=media_type)
        found = await services.repository.find(job.id)
        assert found is not None
        return found

    return add


async def complete(
    services: Services,
    job: ExportJob,
    data: bytes,
    *,
    file_name: str = "users.csv",
    media_type: str = "text/csv; charset=utf-8",
) -> None:
    """Do to a job what a worker does to it."""
    lease = await claimed(services.leases, job)
    key = f"{services.settings.s3_prefix}/{job.id}/1-{uuid4()}"
    stored = await asyncio.to_thread(services.storage.put, key, data, content_type=media_type)
    sha256 = hashlib.sha256(data).hexdigest()
    assert await services.leases.complete(
        lease,
        Result(
            storage=services.storage.name,
            object_key=key,
            object_bytes=len(data),
            object_etag=stored.etag,
            manifest={"file_name": file_name, "media_type": media_type, "sha256": sha256},
            sha256=sha256,
            rows=1,
            expires_at=services.clock.now() + timedelta(days=7),
        ),
    )


@contextlib.asynccontextmanager
async def opened(client: httpx.AsyncClient, path: str, **headers: str) -> AsyncIterator[Any]:
    """Open a stream of events."""
    async with client.stream("GET", path, headers=headers) as response:
        yield response
