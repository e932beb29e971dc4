"""waybill inside a FastAPI application: its sign-in, its addresses, its errors, its life."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import httpx
import pytest
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import PlainTextResponse
from uvicorn.lifespan.on import LifespanOn

import waybill
from waybill.catalog import Catalog
from waybill.config import Settings
from waybill.errors import ConfigurationError
from waybill.fastapi import Embedded, _servers


class SignedOut(Exception):
    """The shop's own."""


async def session_of(request: Request) -> str | None:
    # The shop's own state, which is not on an application of ours.
    found: str | None = request.app.state.sessions.get(request.cookies.get("session"))
    return found


def exporter(session: Annotated[str | None, Depends(session_of)]) -> waybill.Principal | None:
    if session == "banned":
        raise SignedOut
    if session == "old":
        raise HTTPException(401, "Sign in again.")
    return waybill.Principal(session, tenant="shop") if session else None


def shop(*, lifespan: Any = None) -> FastAPI:
    app = FastAPI(lifespan=lifespan)
    app.state.sessions = {"1": "ann", "2": "banned", "3": "old"}

    @app.exception_handler(SignedOut)
    async def signed_out(_request: Request, _error: SignedOut) -> PlainTextResponse:
        return PlainTextResponse("by the shop", status_code=418)

    @app.get("/orders/{number}")
    async def order(number: int) -> dict[str, int]:
        return {"number": number}

    return app


@asynccontextmanager
async def visiting(
    app: Any, session: str | None = "1", client: str = "127.0.0.1", root_path: str = ""
) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, client=(client, 1), root_path=root_path)
    cookies = {"session": session} if session else None
    async with httpx.AsyncClient(
        transport=transport, base_url="http://shop.example", cookies=cookies
    ) as visitor:
        yield visitor


@asynccontextmanager
async def alive(app: FastAPI) -> AsyncIterator[None]:
    async with app.router.lifespan_context(app):
        yield


async def test_routes_of_the_router_are_the_shop_s_own(
    settings: Settings, catalog: Catalog
) -> None:
    app = shop()
    app.include_router(
        waybill.router(settings, principal=Depends(exporter), catalog=catalog), prefix="/data"
    )
    async with alive(app), visiting(app) as ann:
        made = await ann.post("/data/api/users/export")
        assert made.status_code == 202, made.text
        link = made.headers["location"]
        assert link.startswith("http://shop.example/data/api/exports/")
        assert (await ann.get(link)).json()["status"] == "queued"
        assert (await ann.get("/data/api/exports")).json()["items"][0]["id"] == made.json()["id"]
        # Methods and parameters of ours are ours to answer; what lies beside is the shop's.
        other = await ann.put("/data/api/exports")
        assert (other.status_code, other.json()["code"]) == (405, "method_not_allowed")
        assert (await ann.get("/data/api/exports?colour=red")).json()["code"] == "invalid_request"
        assert (await ann.get("/data/api/nowhere/at/all")).json() == {"detail": "Not Found"}
        assert (await ann.get("/orders/x")).headers["content-type"] == "application/json"
        assert "x-frame-options" not in (await ann.get("/orders/1")).headers
        assert (await ann.get("/healthz")).status_code == 404
        assert (await ann.delete(link)).status_code == 200


async def test_pages_are_mounted_too_and_the_shop_s_session_is_theirs(
    settings: Settings, catalog: Catalog
) -> None:
    app = shop()
    with_pages = settings.model_copy(
        update={"pages": True, "sign_in_url": "http://shop.example/sign-in"}
    )
    data = waybill.app(with_pages, principal=Depends(exporter), catalog=catalog)
    app.mount("/data", data)
    async with alive(app), visiting(app) as ann:
        form = await ann.get("/data/new/users")
        assert form.status_code == 200
        assert 'action="/data/new/users"' in form.text
        sent = {"action": "request", "format": "csv", "order": "id", "column": "id"}
        forged = await ann.post("/data/new/users", data=sent, headers={"origin": "http://evil"})
        assert forged.status_code == 403
        own = {"origin": "http://shop.example"}
        made = await ann.post("/data/new/users", data=sent, headers=own)
        assert made.headers["location"].startswith("/data/exports/")
        assert (await ann.get(made.headers["location"])).status_code == 200
    async with visiting(app, None) as nobody:
        led = await nobody.get("/data/new")
        assert led.headers["location"] == "/data/signin?next=%2Fnew"
        page = await nobody.get(led.headers["location"])
        assert 'href="http://shop.example/sign-in?next=%2Fnew"' in page.text


async def test_what_is_kept_of_a_request_is_the_shop_s_or_ours_wherever_we_are_mounted(
    settings: Settings, catalog: Catalog
) -> None:
    app = FastAPI()
    kept = dict.fromkeys(("session", "principal", "authenticated"), object())
    left: list[dict[str, object]] = []

    @app.middleware("http")
    async def keeping(request: Request, call_next: Any) -> Any:
        for name, value in kept.items():
            setattr(request.state, name, value)
        answer = await call_next(request)
        left.append({name: getattr(request.state, name) for name in kept})
        return answer

    ours = settings.model_copy(
        update={"pages": True, "element_origins": ("https://shop.example",),
                "address_requests_burst": 8, "address_requests_per_second": 0.001}
    )  # fmt: skip
    # Below an /api/ of the shop's: which of our paths are pages is not for its path to say.
    data = waybill.app(ours, catalog=catalog)
    app.mount("/api/data", data)
    token = {"Authorization": "Bearer test-token"}
    foreign = {"cookie": "waybill=over", "sec-fetch-site": "cross-site"}
    async with data.lifespan(), visiting(app, None) as ann:
        page = await ann.get("/api/data/signin", headers={"origin": "https://shop.example"})
        assert page.status_code == 200, page.text
        assert "access-control-allow-origin" not in page.headers
        assert (await ann.get("/api/data/api/exports")).status_code == 401
        listed = await ann.get("/api/data/api/exports", headers=token)
        assert listed.status_code == 200, listed.text
        made = await ann.post("/api/data/api/users/export", json={"format": "csv"}, headers=token)
        assert made.status_code == 202, made.text
        # A page may be led to from a mail; the API is not for other sites.
        led = await ann.get("/api/data/exports?status=queued", headers=foreign)
        assert (led.status_code, led.headers.get("location")) == (
            303,
            "/api/data/signin?next=%2Fexports%3Fstatus%3Dqueued&why=over",
        )
        refused = await ann.get("/api/data/api/exports", headers=foreign)
        assert (refused.status_code, refused.json()["code"]) == (400, "foreign_request")
        # Whatever was spent by then: a load balancer is answered.
        while (await ann.get("/api/data/signin")).status_code == 200:
            pass
        health = await ann.get("/api/data/healthz")
        assert (health.status_code, health.headers.get("cache-control")) == (200, None)
    assert [each for each in left if each != kept] == []


async def test_start_that_its_first_request_gives_up_is_the_next_one_s() -> None:
    begun, may_go_on = asyncio.Event(), asyncio.Event()
    starts: list[str] = []

    def build() -> FastAPI:
        @asynccontextmanager
        async def lifespan(_own: FastAPI) -> AsyncIterator[None]:
            starts.append("begun")
            begun.set()
            await may_go_on.wait()
            if len(starts) == 1:
                raise ConfigurationError("not yet")
            yield

        own = FastAPI(lifespan=lifespan)
        own.state.services = SimpleNamespace()
        own.add_api_route("/", lambda: "here")
        return own

    before = asyncio.all_tasks()
    data = Embedded(build)
    async with visiting(data) as ann:
        first = asyncio.create_task(ann.get("/"))
        await begun.wait()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        second = asyncio.create_task(ann.get("/"))
        third = asyncio.create_task(ann.get("/"))
        await asyncio.sleep(0)  # they wait too
        may_go_on.set()
        said = await asyncio.gather(second, third, return_exceptions=True)
        assert [str(each) for each in said] == ["not yet", "not yet"]
        assert starts == ["begun"]
        # One that fails is tried anew, once for all who wait.
        answers = await asyncio.gather(*(ann.get("/") for _ in range(3)))
        assert [each.text for each in answers] == ['"here"'] * 3
        assert starts == ["begun", "begun"]
    running = [task for task in asyncio.all_tasks() - before if task.get_name() == "waybill"]
    assert len(running) == 1
    running[0].cancel()  # as the end of the loop does
    await asyncio.gather(*running, return_exceptions=True)


async def test_sign_in_is_the_shop_s_with_its_errors_and_its_overrides(
    settings: Settings, catalog: Catalog
) -> None:
    app = shop()
    app.include_router(waybill.router(settings, principal=Depends(exporter), catalog=catalog))
    async with alive(app):
        for session, status, said in (
            (None, 401, "authentication_required"),
            ("3", 401, "unauthorized"),
            ("2", 418, "by the shop"),
        ):
            async with visiting(app, session) as visitor:
                answer = await visitor.post("/api/users/export", json={})
                assert answer.status_code == status
                assert said in answer.text
        # Our own bearer token opens nothing here.
        async with visiting(app, None) as stranger:
            headers = {"Authorization": "Bearer test-token"}
            assert (await stranger.get("/api/exports", headers=headers)).status_code == 401
        app.dependency_overrides[session_of] = lambda: "eve"
        async with visiting(app, None) as eve:
            assert (await eve.get("/api/exports")).status_code == 200


async def test_sign_in_that_gives_something_else_is_named(
    settings: Settings, catalog: Catalog
) -> None:
    def mistaken() -> dict[str, str]:
        return {"name": "ann"}

    app = shop()
    app.include_router(waybill.router(settings, principal=Depends(mistaken), catalog=catalog))
    async with alive(app), visiting(app) as ann:
        with pytest.raises(TypeError, match=r"gave a dict\. It has to return a waybill\.Principal"):
            await ann.get("/api/exports")
    with pytest.raises(ConfigurationError, match="principal='ann' is no dependency"):
        waybill.router(settings, principal="ann", catalog=catalog)
    nobody = settings.model_copy(update={"development_token": None})
    with pytest.raises(ConfigurationError, match="Nobody could authenticate"):
        waybill.app(nobody, catalog=catalog)


async def test_two_mounts_live_beside_each_other_without_a_lifespan(
    settings: Settings, catalog: Catalog
) -> None:
    app = shop()
    proxied = settings.model_copy(update={"trusted_proxies": ("10.0.0.1",)})
    app.mount("/data", waybill.app(proxied, principal=Depends(exporter), catalog=catalog))
    app.mount("/more", waybill.app(settings, principal=lambda: waybill.Principal("bob"),
                                   catalog=catalog))  # fmt: skip
    async with visiting(app) as ann:
        made = await ann.post("/data/api/users/export")
        assert made.headers["location"].startswith("http://shop.example/data/api/exports/")
        export = made.json()["id"]
        assert (await ann.get(f"/more/api/exports/{export}")).status_code == 404
        assert (await ann.get("/more/healthz")).json() == {"status": "ok"}
    # Behind a proxy that takes a prefix off, and under a root path of the server's.
    behind = {"X-Forwarded-Prefix": "/eu/", "X-Forwarded-Proto": "https"}
    for address, root, base in (
        ("10.0.0.1", "", "https://shop.example/eu/data"),
        ("10.0.0.2", "", "http://shop.example/data"),
        ("10.0.0.2", "/v1", "http://shop.example/v1/data"),
        ("10.0.0.1", "/eu", "https://shop.example/eu/data"),
    ):
        async with visiting(app, client=address, root_path=root) as ann:
            answer = await ann.get(f"{root}/data/api/exports/{export}", headers=behind)
            assert answer.json()["links"]["self"] == f"{base}/api/exports/{export}", answer.text
    for hostile in ("//evil.example", "/a/../b c", "javascript:x", "/a, /b"):
        async with visiting(app, client="10.0.0.1") as ann:
            answer = await ann.get(
                f"/data/api/exports/{export}", headers={"X-Forwarded-Prefix": hostile}
            )
            assert answer.json()["links"]["self"].startswith("http://shop.example/data/api/")


async def test_root_path_that_a_host_says_itself_is_in_links_where_a_proxy_took_it_off(
    settings: Settings, catalog: Catalog
) -> None:
    app = shop()
    app.include_router(
        waybill.router(settings, principal=Depends(exporter), catalog=catalog), prefix="/data"
    )
    app.mount("/more", waybill.app(settings, principal=Depends(exporter), catalog=catalog))

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        # As FastAPI(root_path="/v2") does, whatever the path is.
        await app({**scope, "root_path": "/v2"}, receive, send)

    async with alive(app), visiting(behind) as ann:
        for taken_off in ("", "/v2"):
            for below in ("/data", "/more"):
                made = await ann.post(f"{taken_off}{below}/api/users/export")
                link = f"http://shop.example/v2{below}/api/exports/"
                assert made.headers.get("location", "").startswith(link), made.text
                assert (await ann.get(made.headers["location"])).status_code == 200
            assert (await ann.get(f"{taken_off}/more/healthz")).status_code == 200


async def test_lifespan_starts_and_stops_it_as_often_as_it_runs(
    settings: Settings, catalog: Catalog
) -> None:
    data = waybill.app(settings, principal=Depends(exporter), catalog=catalog)

    @asynccontextmanager
    async def lifespan(host: FastAPI) -> AsyncIterator[None]:
        async with data.lifespan(host):
            yield

    app = shop(lifespan=lifespan)
    app.mount("/data", data)
    before = asyncio.all_tasks()
    for _ in range(2):
        async with alive(app), visiting(app) as ann:
            assert (await ann.get("/data/api/exports")).status_code == 200
    await asyncio.sleep(0)  # what was cancelled ends
    assert {task.get_name() for task in asyncio.all_tasks() - before} == set()


async def test_open_event_stream_holds_up_no_shutdown(settings: Settings, catalog: Catalog) -> None:
    app = shop()
    app.include_router(waybill.router(settings, principal=Depends(exporter), catalog=catalog))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:  # noqa: ASYNC110 - a thread's, which sets no event of this loop
        await asyncio.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", cookies={"session": "1"}, timeout=60
    ) as ann:
        made = await ann.post("/api/users/export")
        async with ann.stream("GET", f"/api/exports/{made.json()['id']}/events") as events:
            lines = events.aiter_lines()
            assert (await anext(lines)).startswith("retry")
            server.should_exit = True
            # It ends by itself: nothing else would end it before the stream's quarter of an hour.
            async for _ in lines:
                pass
    await asyncio.to_thread(thread.join, 60)
    assert not thread.is_alive()


async def test_server_is_told_from_what_else_of_uvicorn_has_a_task() -> None:
    """Its lifespan's task has a ``should_exit`` too, which a stop does not set."""
    begun = asyncio.Event()

    async def hanging(_scope: Any, _receive: Any, _send: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(LifespanOn(uvicorn.Config(hanging)).main())
    await begun.wait()
    found = list(_servers())
    running.cancel()
    await asyncio.wait([running])
    assert found == []


FORKING = """
import os, sys
from fastapi.testclient import TestClient
import waybill
from fastapi import FastAPI

app = FastAPI()
app.include_router(waybill.router(principal=lambda: waybill.Principal("ann")), prefix="/data")
children = []
for _ in range(2):
    child = os.fork()
    if child == 0:
        with TestClient(app) as client:
            status = client.post("/data/api/users/export").status_code
        os._exit(0 if status in (200, 202) else 1)
    children.append(child)
sys.exit(sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


def test_host_may_fork_after_it_imported(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "waybill.toml").write_text('[exports.users]\ntable = "public.users"\nkey = "id"\n')
    environment = {
        **os.environ,
        "WAYBILL_DATABASE_URL": settings.database_url.get_secret_value(),
        "WAYBILL_REDIS_URL": settings.redis_url.get_secret_value(),
        "WAYBILL_S3_ENDPOINT_URL": str(settings.s3_endpoint_url),
        "WAYBILL_CATALOG": str(tmp_path / "waybill.toml"),
        "WAYBILL_QUOTA_PER_DAY": "unlimited",
    }
    done = subprocess.run(
        [sys.executable, "-c", FORKING], env=environment, capture_output=True, text=True,
        check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2_000:]
