"""The audit trail: complete, append-only, for administrators alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from waybill.audit.audit import AuditAction, AuditOutcome
from waybill.audit.audit_tables import audit_events, export_downloads
from waybill.bootstrap.everything import Services
from waybill.config import Settings
from waybill.jobs.attempts import AttemptFailure
from waybill.jobs.job import Progress
from waybill.own_database import SCHEMA
from waybill.principal import ADMIN, READ, REQUEST, Principal

from ..urls import sqlalchemy_url

Execute = Callable[..., list[tuple[Any, ...]]]


def trail(execute: Execute) -> list[tuple[Any, ...]]:
    return execute("SELECT actor, action, outcome, code FROM audit_events ORDER BY id")


def test_tables_are_what_the_migrations_make(settings: Settings) -> None:
    mine = {audit_events.name, export_downloads.name}

    def is_mine(item: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        return (name if kind == "table" else item.table.name) in mine

    engine = create_engine(sqlalchemy_url(settings))
    with engine.connect() as connection:
        connection.dialect.default_schema_name = SCHEMA
        connection.exec_driver_sql(f"SET search_path = {SCHEMA}")
        context = MigrationContext.configure(
            connection, opts={"include_object": is_mine, "compare_server_default": True}
        )
        assert compare_metadata(context, audit_events.metadata) == []
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET actor = 'nobody'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "INSERT INTO audit_events (id, action, outcome) VALUES (1, 'read', 'allowed')",
    ],
)
async def test_trail_can_only_grow(services: Services, execute: Execute, statement: str) -> None:
    await services.audit.record(Principal("ann"), AuditAction.READ)
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.GeneratedAlways)):
        execute(statement)
    assert trail(execute) == [("ann", "read", "allowed", None)]


async def test_what_people_do_is_recorded_with_who_and_from_where(
    api: httpx.AsyncClient, add_job: Any, execute: Execute
) -> None:
    done, waiting = await add_job(b"x"), await add_job()
    await api.get(f"/api/exports/{done.id}")
    await api.get(f"/api/exports/{done.id}/manifest")
    await api.get(f"/api/exports/{done.id}/download")
    await api.delete(f"/api/exports/{waiting.id}")
    await api.delete(f"/api/exports/{waiting.id}")
    await api.delete(f"/api/exports/{done.id}")
    # A poll is no event, and what changed nothing is none either.
    assert trail(execute) == [
        ("local-developer", "read", "allowed", None),
        ("local-developer", "downloaded", "allowed", "redirect"),
        ("local-developer", "cancelled", "allowed", None),
        ("local-developer", "deleted", "allowed", None),
    ]
    assert execute("SELECT DISTINCT client, export_type FROM audit_events") == [
        ("127.0.0.1", "users")
    ]


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("GET", f"/api/exports/{UUID(int=1)}", "read"),
        ("GET", f"/api/exports/{UUID(int=2)}/download", "downloaded"),
        ("GET", f"/api/exports/{UUID(int=3)}/events", "read"),
        ("DELETE", f"/api/exports/{UUID(int=4)}", "cancelled"),
        ("GET", "/api/audit", "audited"),
        ("GET", "/api/admin/exports", "listed"),
        ("POST", f"/api/admin/exports/{UUID(int=5)}/revoke", "revoked"),
        ("POST", f"/api/admin/dead-letters/{UUID(int=6)}/replay", "replayed"),
        ("GET", "/api/admin/notifications", "listed"),
    ],
)
async def test_refusal_is_recorded(
    api: httpx.AsyncClient, act_as: Any, execute: Execute, method: str, path: str, action: str
) -> None:
    act_as(Principal("mallory", scopes=frozenset({READ, REQUEST})))
    response = await api.request(method, path)
    assert response.status_code in {403, 404}
    assert trail(execute) == [("mallory", action, "refused", response.json()["code"])]


async def test_wrong_credentials_are_recorded_and_none_at_all_are_not(
    api: httpx.AsyncClient, execute: Execute
) -> None:
    path = f"/api/exports/{uuid4()}/download"
    await api.get(path, headers={"Authorization": "Bearer sesame"})
    api.headers.pop("Authorization")
    await api.get(path)
    assert trail(execute) == [(None, "downloaded", "refused", "authentication_required")]
    assert "sesame" not in str(execute("SELECT audit_events::text FROM audit_events"))


async def test_refusal_that_cannot_be_recorded_stays_a_refusal(
    api: httpx.AsyncClient, act_as: Any, execute: Execute
) -> None:
    act_as(Principal("mallory", scopes=frozenset({READ})))
    execute("ALTER TABLE audit_events RENAME TO elsewhere")
    assert (await api.get("/api/audit")).status_code == 403


async def test_download_that_cannot_be_recorded_does_not_happen(
    api: httpx.AsyncClient, add_job: Any, execute: Execute
) -> None:
    job = await add_job(b"secret")
    execute("ALTER TABLE audit_events RENAME TO elsewhere")
    for via in ("redirect", "stream"):
        response = await api.get(f"/api/exports/{job.id}/download", params={"via": via})
        assert response.status_code == 500
        assert "location" not in response.headers
        assert b"secret" not in response.content


async def test_cancellation_that_cannot_be_recorded_does_not_happen(
    api: httpx.AsyncClient, services: Services, add_job: Any, execute: Execute
) -> None:
    job = await add_job()
    execute("ALTER TABLE audit_events RENAME TO elsewhere")
    assert (await api.delete(f"/api/exports/{job.id}")).status_code == 500
    found = await services.repository.find(job.id)
    assert found is not None
    assert found.status == "queued"


async def test_administrator_reads_the_trail_by_filters_and_pages(
    api: httpx.AsyncClient, services: Services, execute: Execute
) -> None:
    export_id = uuid4()
    for n in range(5):
        await services.audit.record(Principal(f"person-{n % 2}"), AuditAction.READ)
    await services.audit.record(
        Principal("ann", tenant="acme"),
        AuditAction.DOWNLOADED,
        export_id=export_id,
        outcome=AuditOutcome.REFUSED,
        code="export_not_found",
    )

    async def found(**filters: str) -> list[dict[str, Any]]:
        response = await api.get("/api/audit", params=filters)
        assert response.status_code == 200, response.text
        items: list[dict[str, Any]] = response.json()["items"]
        return items

    assert len(await found(actor="person-0")) == 3
    assert [e["actor"] for e in await found(outcome="refused")] == ["ann"]
    assert [e["export_id"] for e in await found(export=str(export_id))] == [str(export_id)]
    assert [e["action"] for e in await found(tenant="acme")] == ["downloaded"]
    assert await found(since="2999-01-01T00:00:00Z") == []
    assert {e["action"] for e in await found(action="audited")} == {"audited"}
    seen: list[int] = []
    address: str | None = "/api/audit?limit=2&action=read"
    while address:
        page = (await api.get(address)).json()
        seen += [event["id"] for event in page["items"]]
        address = page["next"]
    assert len(seen) == len(set(seen)) == 5
    assert seen == sorted(seen, reverse=True)


async def test_administrator_of_a_tenant_sees_that_tenant_alone(
    api: httpx.AsyncClient, act_as: Any, services: Services, add_job: Any
) -> None:
    ours = await add_job(requested_by="ann", tenant="acme")
    theirs = await add_job(requested_by="bob", tenant="other")
    for tenant in ("acme", "other"):
        await services.audit.record(Principal("x", tenant=tenant), AuditAction.READ)
    act_as(Principal("boss", tenant="acme", scopes=frozenset({ADMIN, READ, REQUEST})))
    events = (await api.get("/api/audit")).json()["items"]
    assert {event["tenant"] for event in events} == {"acme"}
    assert (await api.get("/api/audit", params={"tenant": "other"})).json()["items"] == []
    jobs = (await api.get("/api/admin/exports")).json()["items"]
    assert [job["id"] for job in jobs] == [str(ours.id)]
    response = await api.post(f"/api/admin/exports/{theirs.id}/cancel")
    assert response.status_code == 404


async def test_lists_of_jobs_filter_and_page(api: httpx.AsyncClient, add_job: Any) -> None:
    made = [await add_job(requested_by=f"person-{n % 2}") for n in range(5)]
    mine = (await api.get("/api/admin/exports", params={"requested_by": "person-1"})).json()
    assert {item["requested_by"] for item in mine["items"]} == {"person-1"}
    assert len(mine["items"]) == 2
    seen: list[str] = []
    address: str | None = "/api/admin/exports?limit=2&status=queued&type=users"
    while address:
        page = (await api.get(address)).json()
        seen += [item["id"] for item in page["items"]]
        address = page["next"]
    assert seen == [str(job.id) for job in reversed(made)]
    assert (await api.get("/api/admin/exports?status=failed")).json()["items"] == []
    for cursor in ("nonsense", "2026-01-01T00:00:00_x", f"2026-01-01T00:00:00_{uuid4()}"):
        response = await api.get("/api/admin/exports", params={"cursor": cursor})
        assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    # Beyond all dates is their end, as of any list.
    for beyond, count in (("f" * 32, 5), ("g" * 32, 0)):
        page = (await api.get("/api/admin/exports", params={"cursor": beyond})).json()
        assert len(page["items"]) == count


async def test_administrator_cancels_and_revokes_what_is_anybodys(
    api: httpx.AsyncClient, add_job: Any, execute: Execute
) -> None:
    waiting, done = await add_job(requested_by="ann"), await add_job(b"x", requested_by="ann")
    link = (await api.get(f"/api/exports/{done.id}/download")).headers["location"]
    cancelled = await api.post(f"/api/admin/exports/{waiting.id}/cancel")
    assert cancelled.json()["status"] == "cancelled"
    revoked = await api.post(f"/api/admin/exports/{done.id}/revoke")
    assert revoked.json()["status"] == "deleted"
    async with httpx.AsyncClient() as stranger:
        assert (await stranger.get(link)).status_code == 404
    assert (await api.post(f"/api/admin/exports/{done.id}/revoke")).status_code == 410
    assert (await api.post(f"/api/admin/exports/{waiting.id}/revoke")).status_code == 409
    assert ("local-developer", "cancelled", "allowed", "by_admin") in trail(execute)
    assert ("local-developer", "revoked", "allowed", None) in trail(execute)


async def test_dead_letter_is_shown_with_its_attempts_and_replayed(
    api: httpx.AsyncClient, services: Services, add_job: Any, execute: Execute
) -> None:
    jobs = [await add_job() for _ in range(3)]
    for job in jobs:
        claimed = await services.leases.claim(job.id, lease_seconds=60, worker="test")
        assert claimed is not None
        failure = AttemptFailure.of(ValueError("secret"))
        await services.leases.fail(claimed[1], failure, progress=Progress())
    listed = (await api.get("/api/admin/dead-letters?limit=2")).json()
    assert len(listed["items"]) == 2
    rest = (await api.get(listed["next"])).json()
    assert {item["id"] for item in listed["items"] + rest["items"]} == {str(j.id) for j in jobs}
    path = f"/api/admin/dead-letters/{jobs[0].id}"
    shown = (await api.get(path)).json()
    assert shown["attempts"][0]["outcome"] == "failed"
    assert "secret" not in str(shown)
    replayed = await api.post(f"{path}/replay")
    assert (replayed.status_code, replayed.json()["status"]) == (202, "queued")
    assert (await api.post(f"{path}/replay")).status_code == 409
    assert (await api.post("/api/admin/dead-letters/replay", json={})).status_code == 422
    many = await api.post("/api/admin/dead-letters/replay", json={"type": "users"})
    assert len(many.json()["replayed"]) == 2
    assert [row[1] for row in trail(execute)].count("replayed") == 3


async def test_notifications_are_listed_by_pages_and_sent_again(
    api: httpx.AsyncClient, add_job: Any, execute: Execute
) -> None:
    job = await add_job()
    for target in ("crm", "erp", "bi"):
        execute(
            "INSERT INTO notifications (id, event_id, event, export_id, channel, target, payload,"
            " status, attempts, last_error_code, settled_at) VALUES (gen_random_uuid(), 'evt_1',"
            " 'export.completed', %s, 'webhook', %s, '{}', 'dead', 10, 'unreachable', now())",
            job.id, target,
        )  # fmt: skip
    path = "/api/admin/notifications"
    listed = (await api.get(f"{path}?status=dead&limit=2")).json()
    rest = (await api.get(listed["next"])).json()
    assert rest["next"] is None
    assert [each["target"] for each in listed["items"] + rest["items"]] == ["bi", "erp", "crm"]
    one = (
        await api.get(f"{path}?export={job.id}&channel=webhook&target=erp&code=unreachable")
    ).json()
    assert [each["target"] for each in one["items"]] == ["erp"]
    assert "payload" not in one["items"][0]
    assert (await api.post(f"{path}/replay", json={})).status_code == 422
    assert (await api.post(f"{path}/replay", json={"targets": "crm"})).status_code == 422
    sent = await api.post(f"{path}/replay", json={"export_id": str(job.id), "target": "crm"})
    assert sent.status_code == 202
    assert [(each["target"], each["status"]) for each in sent.json()["items"]] == [
        ("crm", "pending")
    ]
    assert len((await api.get(f"{path}?status=dead")).json()["items"]) == 2
    assert ("local-developer", "resent", "allowed", None) in trail(execute)


async def test_queue_tells_depth_and_age(
    api: httpx.AsyncClient, add_job: Any, execute: Execute
) -> None:
    await add_job()
    execute("UPDATE export_jobs SET next_attempt_at = now() - interval '1 hour'")
    figures = (await api.get("/api/admin/queue")).json()
    assert figures["queued"] == figures["due"] == 1
    assert figures["oldest_due_seconds"] >= 3600
    assert figures["alerts"] == ["queued_too_long"]
    assert isinstance(figures["messages"], int)
