"""An audit sink that an application brings along: told of what is committed, and breaks nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Request

import waybill
from waybill.audit import sink as sink_module
from waybill.audit.audit import AuditAction, AuditEvent, AuditFilter, AuditLog
from waybill.audit.sink import AuditFeed
from waybill.bootstrap.api import ApiParts
from waybill.bootstrap.commands import CommandParts
from waybill.bootstrap.everything import Services
from waybill.bootstrap.scheduler import DeliveryParts, SchedulerParts
from waybill.bootstrap.worker import WorkerParts
from waybill.catalog import Catalog
from waybill.config import Settings, load_settings
from waybill.errors import ConfigurationError
from waybill.jobs.reach import EVERYTHING
from waybill.testing import run_export

from ...logged import logged

ANN = waybill.Principal("ann", tenant="acme")
Execute = Callable[..., list[tuple[Any, ...]]]


def exporter(request: Request) -> waybill.Principal | None:
    name = request.headers.get("x-person")
    return waybill.Principal(name, tenant="acme") if name else None


@asynccontextmanager
async def shop(settings: Settings, catalog: Catalog, sink: Any) -> Any:
    app = FastAPI()
    app.include_router(
        waybill.router(settings, principal=Depends(exporter), catalog=catalog, audit_sink=sink)
    )
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://shop.example") as visitor,
    ):
        yield visitor


async def do_everything(visitor: httpx.AsyncClient) -> None:
    """Ask, ask again, reach for what is another's, come as nobody, cancel."""
    ann, bob = {"x-person": "ann"}, {"x-person": "bob"}
    made = await visitor.post("/api/users/export", headers=ann)
    assert made.status_code == 202, made.text
    assert (await visitor.post("/api/users/export", headers=ann)).status_code in {200, 202}
    link = made.headers["location"]
    assert (await visitor.get(link, headers=bob)).status_code == 404
    nobody = {"authorization": "Bearer none"}
    assert (await visitor.get(link, headers=nobody)).status_code == 401
    assert (await visitor.delete(link, headers=ann)).status_code == 200


async def test_sink_is_told_what_the_trail_says_in_its_order_and_after_the_commit(
    settings: Settings, catalog: Catalog, execute: Execute
) -> None:
    told: list[AuditEvent] = []
    seen: list[tuple[Any, ...]] = []

    def sink(event: AuditEvent) -> None:
        told.append(event)
        # On another connection: what is not committed is not there.
        seen.extend(execute("SELECT id FROM audit_events WHERE id = %s", event.id))

    async with shop(settings, catalog, sink) as visitor:
        await do_everything(visitor)
    async with Services(settings, catalog=catalog) as services:
        trail = await services.audit.list(AuditFilter(), within=EVERYTHING, limit=100)
    assert told == trail[::-1]
    assert seen == [(event.id,) for event in told]
    assert [(event.actor, event.action, event.code) for event in told] == [
        ("ann", "requested", None),
        ("ann", "requested", "coalesced"),
        ("bob", "read", "export_not_found"),
        (None, "read", "authentication_required"),
        ("ann", "cancelled", None),
    ]
    assert {event.export_owner for event in told} == {"ann"}


async def _record_and_fail(parts: ApiParts) -> None:
    async with parts.engine.begin() as connection:
        await parts.audit.record(ANN, AuditAction.LINKED, connection=connection)
        raise ZeroDivisionError


async def test_what_is_rolled_back_is_told_to_nobody(settings: Settings, catalog: Catalog) -> None:
    told: list[str] = []
    named = settings.model_copy(update={"audit_sink": lambda event: told.append(event.action)})
    async with ApiParts(named, catalog=catalog) as parts:
        async with parts.engine.begin() as connection:
            await parts.audit.record(ANN, AuditAction.LINKED, connection=connection)
            await connection.rollback()
        with pytest.raises(ZeroDivisionError):
            await _record_and_fail(parts)
        await parts.audit.record(ANN, AuditAction.SIGNED_IN)
    assert told == ["signed_in"]


@pytest.mark.parametrize("is_async", [False, True])
async def test_what_a_sink_raises_is_logged_and_fails_no_request(
    settings: Settings, catalog: Catalog, is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = logged(monkeypatch, sink_module)
    what: list[BaseException] = [
        RuntimeError("the application's secret"),
        SystemExit(1),
        StopIteration(),
        asyncio.CancelledError(),
        ConfigurationError("of theirs"),
    ]

    def sink(_event: AuditEvent) -> None:
        raise what.pop()

    async def later(event: AuditEvent) -> None:
        await asyncio.sleep(0)
        sink(event)

    async with shop(settings, catalog, later if is_async else sink) as visitor:
        await do_everything(visitor)
    assert what == []
    failed = [line for line in lines.entries if line["event"] == "audit.sink_failed"]
    assert len(failed) == 5
    assert "secret" not in str(lines.entries)


def test_sink_that_raises_fails_no_job(
    settings: Settings, catalog: Catalog, tmp_path: Path
) -> None:
    here = settings.model_copy(update={"storage": "directory", "storage_directory": tmp_path})
    told: list[tuple[Any, ...]] = []

    async def sink(event: AuditEvent) -> None:
        told.append((event.actor, event.tenant, event.action, event.export_type))
        raise RuntimeError

    export = run_export(here, "users", ANN, catalog=catalog, audit_sink=sink)
    assert export.job.status == "completed"
    assert told == [("ann", "acme", "requested", "users")]


async def test_sink_that_hangs_holds_up_no_request(settings: Settings, catalog: Catalog) -> None:
    may_go_on = threading.Event()
    told: list[AuditEvent] = []

    def sink(event: AuditEvent) -> None:
        may_go_on.wait()
        told.append(event)

    async with shop(settings, catalog, sink) as visitor:
        try:
            await do_everything(visitor)
            assert told == []
        finally:
            may_go_on.set()
    assert len(told) == 5


async def test_sink_that_is_too_far_behind_is_not_told_and_the_log_says_so(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = logged(monkeypatch, sink_module)
    for _ in range(6):
        await services.audit.record(ANN, AuditAction.SIGNED_IN)
    found = await services.audit.list(AuditFilter(), within=EVERYTHING, limit=6)
    first, second, third, *others = found[::-1]
    may_go_on, begun = asyncio.Event(), asyncio.Event()
    told: list[AuditEvent] = []

    async def sink(event: AuditEvent) -> None:
        begun.set()
        await may_go_on.wait()
        told.append(event)

    feed = AuditFeed(sink, most_waiting=2)
    feed.tell(first)
    await begun.wait()
    for event in (second, third, *others):
        feed.tell(event)
    may_go_on.set()
    await feed.close()
    assert told == [first, second, third]
    assert [line["lost"] for line in lines.entries] == [len(others)]


async def test_trail_with_a_sink_refuses_a_transaction_that_could_not_tell(
    services: Services,
) -> None:
    audit = AuditLog(services.engine, lambda event: None)
    with pytest.raises(KeyError):
        await audit.record(ANN, AuditAction.SIGNED_IN)


_MODULE = """
told = []

def sink(event):
    told.append(event.action)

def nothing():
    pass

number = 1
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"shop_audit_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(_MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


async def test_commands_tell_what_the_variable_names(
    settings: Settings, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYBILL_AUDIT_SINK", f"{module}:sink")
    of_environment = load_settings(database_url=settings.database_url)
    assert of_environment.audit_sink == f"{module}:sink"
    named = settings.model_copy(update={"audit_sink": of_environment.audit_sink})
    async with CommandParts(named) as parts:
        await parts.audit.record(ANN, AuditAction.ENABLED)
    assert __import__(module).told == ["enabled"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("nowhere_at_all:sink", "there is no module 'nowhere_at_all'"),
        ("{module}:sing", "Did you mean 'sink'"),
        ("{module}:number", "cannot be called with an event"),
        ("{module}:nothing", "cannot be called with an event"),
        (AuditEvent, "cannot be called with an event"),
    ],
)
def test_sink_that_is_none_is_refused_where_it_is_given(
    settings: Settings, catalog: Catalog, module: str, given: Any, said: str
) -> None:
    sink = given.format(module=module) if isinstance(given, str) else given
    with pytest.raises(ConfigurationError, match=said):
        waybill.router(settings, principal=lambda: ANN, catalog=catalog, audit_sink=sink)
    with pytest.raises(ConfigurationError, match=said):
        CommandParts(settings.model_copy(update={"audit_sink": sink}))


def test_processes_that_tell_nothing_need_none_of_the_applications_code(
    settings: Settings, catalog: Catalog
) -> None:
    """Variables are often those of all processes, and the sink's module is in one image."""
    elsewhere = settings.model_copy(
        update={"audit_sink": "nowhere_at_all:sink", "object_key": "nowhere_at_all:folder"}
    )
    for role in (WorkerParts, SchedulerParts):
        assert role(elsewhere, catalog=catalog).audit is not None
    DeliveryParts(elsewhere)
    for missing in ("audit_sink", "object_key"):
        one = settings.model_copy(update={missing: f"nowhere_at_all:{missing}"})
        with pytest.raises(ConfigurationError, match=f"WAYBILL_{missing.upper()}"):
            ApiParts(one, catalog=catalog)
