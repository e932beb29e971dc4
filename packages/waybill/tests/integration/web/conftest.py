"""The pages in this process, on the session's real servers, and somebody with a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from waybill.api.app import create_app
from waybill.bootstrap.everything import Services
from waybill.config import Settings
from waybill.jobs.job import ExportJob
from waybill.web.pages import install

from ..api.conftest import complete, plain_tracebacks

__all__ = ["plain_tracebacks"]

ORIGIN = "http://waybill.test"
USER = ["exports:request", "exports:read"]
ADMIN = [*USER, "exports:pii", "exports:admin", "exports:all-tenants"]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"pages": True})


@pytest.fixture
def app(services: Services) -> Any:
    app = create_app(services)
    install(app)
    return app


class Browser:
    """What a browser does: keeps cookies, and says where a request comes from."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers={"sec-fetch-site": "none"} | headers)

    async def post(
        self, path: str, form: dict[str, Any] | None = None, **headers: str
    ) -> httpx.Response:
        own = {"sec-fetch-site": "same-origin", "origin": ORIGIN}
        return await self.http.post(path, data=form or {}, headers=own | headers)

    async def open(self, url: str) -> httpx.Response:
        """Open a portal link, as the script of its page does."""
        return await self.post("/portal", {"link": url.rpartition("/")[2]})

    @property
    def secret(self) -> str:
        return self.http.cookies["waybill"]


@pytest.fixture
async def new_browser(app: Any) -> AsyncIterator[Callable[[], Browser]]:
    clients: list[httpx.AsyncClient] = []

    def make() -> Browser:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        clients.append(httpx.AsyncClient(transport=transport, base_url=ORIGIN))
        return Browser(clients[-1])

    yield make
    for each in clients:
        await each.aclose()


@pytest.fixture
def browser(new_browser: Callable[[], Browser]) -> Browser:
    return new_browser()


Mint = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
async def mint(app: Any) -> AsyncIterator[Mint]:
    """Make a portal link, as a host's back end does."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=ORIGIN) as client:

        async def make(subject: str = "ann", **body: Any) -> httpx.Response:
            return await client.post(
                "/api/portal-links",
                json={"subject": subject, "scopes": USER, **body},
                headers={"Authorization": "Bearer test-token"},
            )

        yield make


@pytest.fixture
def sign_in(mint: Mint, new_browser: Callable[[], Browser]) -> Callable[..., Awaitable[Browser]]:
    """Return the browser of somebody who is signed in."""

    async def sign(subject: str = "ann", **body: Any) -> Browser:
        browser = new_browser()
        link = await mint(subject, **body)
        assert link.status_code == 201, link.text
        assert (await browser.open(link.json()["url"])).status_code == 303
        return browser

    return sign


@pytest.fixture
def add_job(services: Services) -> Callable[..., Awaitable[ExportJob]]:
    """Insert a job that no worker will take; ``data`` completes it with that file."""

    async def add(data: bytes | None = None, *, owner: str = "ann", **values: Any) -> ExportJob:
        job = await services.repository.add(
            **(
                {
                    "export_type": "users",
                    "format": "csv",
                    "options": {},
                    "requested_by": owner,
                    "tenant": None,
                    "max_attempts": 3,
                }
                | values
            )
        )
        if data is not None:
            await complete(services, job, data)
        found = await services.repository.find(job.id)
        assert found is not None
        return found

    return add
