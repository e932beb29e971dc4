"""The real service over HTTP, as in production: tokens of an issuer, with a tenant claim."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, Literal
from uuid import uuid4

import httpx
import jwt as pyjwt
import pytest
import uvicorn

from waybill.api.app import create_app
from waybill.api.auth import create_authenticator
from waybill.api.jwt_settings import load_jwt_settings
from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog
from waybill.catalog.toml import parse_catalog
from waybill.config import Settings
from waybill.jobs.attempts import AttemptFailure
from waybill.jobs.completing import Result
from waybill.jobs.job import ExportJob, Progress
from waybill.web.pages import install

from ...integration.leased import claimed

State = Literal["queued", "completed", "failed"]
Claims = dict[str, Any] | None

SECRET = "a secret that is long enough to sign with"
FILE = b"id,total,email\r\n1,5,secret-of-acme@example.org\r\n"
CATALOG = """
[exports.orders]
table = "orders"
key = "id"
requires = "exports:orders"
scope = "tenant_id = :principal.tenant"
columns = ["id", "total", { name = "email", pii = true }]

[exports.users]
table = "users"
key = "id"
"""


def token(claims: dict[str, Any], *, raw: str | None = None, seconds: float = 300) -> str:
    """Sign ``claims``; ``raw`` is the payload as it stands, for what no dict can say."""
    whole = {"aud": "waybill", "exp": time.time() + seconds} | claims
    payload = json.dumps(whole) if raw is None else raw
    return pyjwt.PyJWS().encode(payload.encode(), SECRET, "HS256")


class House:
    """A running service and what its callers do."""

    def __init__(self, services: Services, http: httpx.AsyncClient) -> None:
        self.services = services
        self.http = http

    async def ask(
        self,
        who: Claims,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> httpx.Response:
        """Send a request as somebody."""
        sent = dict(headers or {})
        if who is not None:
            sent["Authorization"] = f"Bearer {token(who)}"
        return await self.http.request(method, path, headers=sent, **more)

    async def job(
        self,
        state: State,
        *,
        owner: str = "ann",
        tenant: str | None = "acme",
        export_type: str = "orders",
        columns: tuple[str, ...] = ("id", "total", "email"),
        options: dict[str, Any] | None = None,
    ) -> ExportJob:
        """Make an export, and do to it what a worker would."""
        services = self.services
        job = await services.repository.add(
            export_type=export_type,
            format="csv",
            options=options or {},
            requested_by=owner,
            tenant=tenant,
            max_attempts=1,
        )
        if state != "queued":
            lease = await claimed(services.leases, job)
            if state == "failed":
                failure = AttemptFailure.of(ValueError("secret-of-acme"))
                await services.leases.fail(lease, failure, progress=Progress())
            else:
                await services.leases.complete(lease, await self._store(job, columns))
        found = await services.repository.find(job.id)
        assert found is not None
        assert found.status == state
        return found

    async def _store(self, job: ExportJob, columns: tuple[str, ...]) -> Result:
        key = f"{self.services.settings.s3_prefix}/{job.id}/1-{uuid4()}"
        storage = self.services.storages["s3"]
        stored = await asyncio.to_thread(storage.put, key, FILE, content_type="text/csv")
        sha256 = hashlib.sha256(FILE).hexdigest()
        return Result(
            storage="s3",
            object_key=key,
            object_bytes=len(FILE),
            object_etag=stored.etag,
            manifest={
                "file_name": "orders.csv",
                "media_type": "text/csv",
                "sha256": sha256,
                "columns": [{"name": name, "header": name, "type": "text"} for name in columns],
            },
            sha256=sha256,
            rows=1,
            expires_at=self.services.clock.now() + timedelta(days=7),
        )


@contextlib.asynccontextmanager
async def serving(services: Services) -> AsyncIterator[House]:
    """Serve on a real socket."""
    settings = services.settings.model_copy(update={"development_token": None})
    jwt = load_jwt_settings(
        secrets=SECRET, audiences="waybill", tenant_claim="org", leeway_seconds=0
    )
    app = create_app(services, authenticator=create_authenticator(settings, jwt))
    install(app)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        yield House(services, http)
    services.changes.release()
    server.should_exit = True
    await task


@pytest.fixture
def catalog() -> Catalog:
    return parse_catalog(CATALOG)


@pytest.fixture(autouse=True)
def orders(execute: Callable[..., Any]) -> None:
    execute("CREATE TABLE orders (id int PRIMARY KEY, tenant_id text, total numeric, email text)")
    execute(
        "INSERT INTO orders VALUES (1, 'acme', 5, 'secret-of-acme@example.org'),"
        " (2, 'globex', 6, 'buyer@globex.example')"
    )


@pytest.fixture
async def house(services: Services) -> AsyncIterator[House]:
    async with serving(services) as house:
        yield house


Reopen = Callable[[str], Awaitable[House]]


@pytest.fixture
async def reopen(settings: Settings) -> AsyncIterator[Reopen]:
    """Serve the same database and storage with another catalog: the operator edited the file."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_again(catalog: str) -> House:
            services = Services(settings, catalog=parse_catalog(catalog))
            await stack.enter_async_context(services)
            return await stack.enter_async_context(serving(services))

        yield open_again
