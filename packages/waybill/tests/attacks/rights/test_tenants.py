"""Reaching for what is another tenant's: by a rank, a name that looks alike, or a subject that is
the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from waybill.config import Settings
from waybill.errors import AuthenticationRequired, PermissionDenied
from waybill.jobs.job import Progress
from waybill.jobs.rows import JOB_COLUMNS
from waybill.principal import ADMIN, ALL_TENANTS, READ, REQUEST, Principal
from waybill.requests.access import Deed

from .conftest import House, token

Execute = Callable[..., list[tuple[Any, ...]]]

USER = "exports:request exports:read exports:orders exports:pii"
ANN = {"sub": "ann", "org": "acme", "scope": USER}
NAMESAKE = ANN | {"org": "globex"}
BOSS = {"sub": "boss", "org": "acme", "scope": f"{USER} exports:admin"}
CHIEF = {"sub": "chief", "org": "globex", "scope": f"{USER} exports:admin"}
OPS = {"sub": "ops", "org": "hosting", "scope": f"{USER} exports:admin exports:all-tenants"}


@pytest.mark.parametrize(
    "tenant",
    [
        "ACME",
        "Acme",
        "\uff41cme",
        "\u0430cme",
        "acme.",
        "acme'--",
        "acme%",
        "ac\u0323me",
        "\u00e9cole",
    ],
)
async def test_tenant_that_looks_like_the_victims_is_another_tenant(
    house: House, tenant: str
) -> None:
    job = await house.job("completed")
    near = BOSS | {"org": tenant}
    for path in ("", "/manifest", "/download", "/events"):
        assert (await house.ask(near, "GET", f"/api/exports/{job.id}{path}")).status_code == 404
    assert (await house.ask(near, "GET", "/api/admin/exports")).json()["items"] == []


@pytest.mark.parametrize(
    "tenant",
    [
        "", " ", "acme ", " acme", "acme\u00a0", "acme\u200b", "acme\u2060", "\ufeffacme", "acme\0",
        "acme\n", "e\u0301cole", ["acme"], ["acme", "globex"], {"id": "acme"}, True, 1.5, None,
    ],
)  # fmt: skip
async def test_tenant_that_is_none_is_refused_with_every_scope_there_is(
    house: House, execute: Execute, tenant: Any
) -> None:
    job = await house.job("completed")
    root = OPS | {"org": tenant}
    for path in ("/api/exports", f"/api/exports/{job.id}", "/api/admin/exports", "/metrics"):
        answer = await house.ask(root, "GET", path)
        assert (answer.status_code, answer.json()["code"]) == (401, "authentication_required")
    # The victim can read that somebody tried.
    assert (None, "refused", "acme", "ann") in execute(
        "SELECT actor, outcome, export_tenant, export_owner FROM audit_events"
    )


@pytest.mark.parametrize("twice", ['"org": "globex"', '"scope": "exports:admin"', '"sub": "boss"'])
async def test_claim_that_comes_twice_is_refused(house: House, twice: str) -> None:
    once = '"aud": "waybill", "exp": 9000000000, "sub": "ann", "org": "acme", "scope": ""'
    raw = f"{{{once}, {twice}}}"
    headers = {"Authorization": f"Bearer {token({}, raw=raw)}"}
    assert (await house.http.get("/api/exports", headers=headers)).status_code == 401


@pytest.mark.parametrize(
    "scope",
    [
        "Exports:Admin", "exports:administer", "exports:admin/", "exports:*", "*", "admin",
        "exports%3Aadmin", ["exports:admins"], ["EXPORTS:ADMIN"],
        # These are no scopes at all, so the token is none.
        "exports:admin ", "exports:admin\t", "exports:\u0430dmin", "exports\uff1aadmin",
        "x\u2003exports:admin", "x\texports:admin", "x\nexports:admin", ["exports:admin "],
        ["x exports:admin"], {"exports:admin": True},
    ],
)  # fmt: skip
async def test_scope_that_looks_like_an_administrators_is_not_it(house: House, scope: Any) -> None:
    answer = await house.ask(BOSS | {"scope": scope}, "GET", "/api/admin/exports")
    assert answer.status_code in {401, 403}


@pytest.mark.parametrize("name", ["", " ann", "ann\u200b", "a\0", "e\u0301"])
def test_embedding_application_cannot_make_such_a_person_either(name: str) -> None:
    with pytest.raises(AuthenticationRequired):
        Principal(name, "acme")
    with pytest.raises(AuthenticationRequired):
        Principal("ann", name)


class TestNamesake:
    """The same subject in another tenant is another person, whatever is counted or remembered."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(
            update={
                "quota_per_day": 1,
                "max_downloads": 2,
                "requests_burst": 4,
                # Nothing comes back while a test runs, however slow the machine is.
                "requests_per_second": 0.001,
            }
        )

    async def test_spends_a_quota_of_their_own(self, house: House) -> None:
        body = {"columns": ["id"]}
        for who in (ANN, NAMESAKE):
            first = await house.ask(who, "POST", "/api/orders/export", json=body)
            assert first.status_code == 202
            more = await house.ask(who, "POST", "/api/orders/export", json={"columns": ["total"]})
            assert more.status_code == 429

    async def test_is_given_neither_the_answer_nor_the_job_of_the_other(self, house: House) -> None:
        seen = set()
        for who in (ANN, NAMESAKE):
            answer = await house.ask(
                who, "POST", "/api/orders/export", headers={"Idempotency-Key": "k"}, json={}
            )
            assert answer.status_code == 202
            seen.add(answer.json()["id"])
        assert len(seen) == 2

    async def test_is_not_slowed_down_by_the_other(self, house: House) -> None:
        paths = [f"/api/exports/{(await house.job('queued')).id}"] * 8
        statuses = [r.status_code for r in [await house.ask(ANN, "GET", p) for p in paths]]
        assert 429 in statuses
        assert (await house.ask(NAMESAKE, "GET", paths[0])).status_code == 404

    async def test_counts_downloads_of_their_own(self, house: House) -> None:
        job = await house.job("completed")
        path = f"/api/exports/{job.id}/download"
        same = OPS | {"sub": "ann"}
        # Within one's window a download is continued, which is not another; the other's is.
        assert [
            (await house.ask(who, "GET", path)).status_code for who in (ANN, ANN, same, same)
        ] == [307, 307, 307, 307]
        third = OPS | {"sub": "third"}
        assert (await house.ask(third, "GET", path)).status_code == 403


class TestClocks:
    """The API's clock and the database's disagree, by days, in either direction."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"quota_per_day": 1, "dry_runs_per_day": 1})

    @pytest.mark.parametrize("days", [-3, 3])
    async def test_nobody_gets_more_by_it(self, house: House, clock: Any, days: int) -> None:
        job = await house.job("completed", owner="bob")
        bob = ANN | {"sub": "bob"}
        for body in ({"columns": ["id"]}, {"dry_run": True}):
            assert (await house.ask(ANN, "POST", "/api/orders/export", json=body)).is_success
        clock.advance(days=days)
        for body in ({"columns": ["total"]}, {"dry_run": True}):
            more = await house.ask(ANN, "POST", "/api/orders/export", json=body)
            assert more.status_code == 429
            assert 80_000 < int(more.headers["retry-after"]) <= 86_400
        # Seven days are what a file lives; it is out of reach by then at the latest.
        for path in ("/download", "/manifest", ""):
            seen = await house.ask(bob, "GET", f"/api/exports/{job.id}{path}")
            assert seen.status_code in {200, 307}
        clock.advance(days=8 - min(days, 0))
        gone = await house.ask(bob, "GET", f"/api/exports/{job.id}/download")
        assert (gone.status_code, gone.json()["code"]) == (410, "export_gone")

    async def test_export_under_way_is_shown_whichever_is_ahead(
        self, house: House, clock: Any
    ) -> None:
        job = await house.job("queued")
        claimed = await house.services.leases.claim(job.id, lease_seconds=60, worker="w/1/f")
        assert claimed is not None
        progress = Progress(10, 100, 1_000, is_exact=True)
        assert await house.services.leases.renew(claimed[1], progress, lease_seconds=60)
        for days in (2, -4):
            clock.advance(days=days)
            shown = await house.ask(ANN, "GET", f"/api/exports/{job.id}")
            assert shown.json()["status"] == "running"
            assert 1 <= int(shown.headers["retry-after"]) <= 10
            eta = shown.json()["progress"]["eta_seconds"]
            assert eta is None or eta >= 0


class TestTrail:
    """What is done to a tenant's exports is what its administrators read."""

    async def events(self, house: House, who: dict[str, Any], **filters: str) -> list[Any]:
        answer = await house.ask(who, "GET", "/api/audit", params=filters)
        items: list[Any] = answer.raise_for_status().json()["items"]
        return [event for event in items if event["action"] != "audited"]

    async def test_victim_sees_who_tried(self, house: House) -> None:
        job = await house.job("completed")
        for path in ("", "/manifest", "/download", "/events"):
            await house.ask(CHIEF, "GET", f"/api/exports/{job.id}{path}")
        await house.ask(CHIEF, "POST", f"/api/admin/exports/{job.id}/revoke")
        seen = await self.events(house, BOSS)
        assert len(seen) == 5
        for event in seen:
            assert (event["actor"], event["tenant"], event["outcome"]) == (
                "chief", "globex", "refused",
            )  # fmt: skip
            assert (event["export_tenant"], event["export_owner"]) == ("acme", "ann")

    async def test_victim_sees_what_administrators_of_all_do(self, house: House) -> None:
        done, failed = await house.job("completed"), await house.job("failed")
        waiting = await house.job("queued")
        await house.ask(OPS, "GET", f"/api/exports/{done.id}")
        await house.ask(OPS, "HEAD", f"/api/exports/{done.id}/download")
        await house.ask(OPS, "GET", f"/api/exports/{done.id}/download")
        await house.ask(OPS, "DELETE", f"/api/exports/{done.id}")
        await house.ask(OPS, "POST", f"/api/admin/exports/{waiting.id}/cancel")
        await house.ask(OPS, "GET", f"/api/admin/dead-letters/{failed.id}")
        await house.ask(OPS, "POST", f"/api/admin/dead-letters/{failed.id}/replay")
        seen = await self.events(house, BOSS, actor="ops")
        assert {"read", "downloaded", "deleted", "cancelled", "replayed"} == {
            event["action"] for event in seen
        }
        assert {str(done.id), str(failed.id), str(waiting.id)} == {e["export_id"] for e in seen}
        for other in (CHIEF, CHIEF | {"org": "third"}):
            assert await self.events(house, other) == []

    async def test_attackers_trail_does_not_tell_what_exists(self, house: House) -> None:
        job = await house.job("completed")
        nothing = "00000000-0000-4000-8000-000000000000"
        for export_id in (job.id, nothing):
            await house.ask(CHIEF, "GET", f"/api/exports/{export_id}")
        seen = await self.events(house, CHIEF)
        assert {e["export_id"] for e in seen} == {str(job.id), nothing}
        told = [{k: v for k, v in e.items() if k not in {"id", "at", "export_id"}} for e in seen]
        assert told[0] == told[1]
        # Nor do filters: what is not shown is not compared.
        assert await self.events(house, CHIEF, tenant="acme") == []
        assert len(await self.events(house, CHIEF, tenant="globex")) == 2

    async def test_what_happened_before_is_the_victims_too(self, execute: Execute) -> None:
        assert execute(
            "SELECT tgenabled FROM pg_trigger WHERE tgname = 'audit_events_no_change'"
        ) == [("O",)]


async def test_list_and_door_are_one_rule(house: House) -> None:
    """For every caller, deed and job: SQL chooses what the door admits, and nothing else."""
    made = await asyncio.gather(
        *(
            house.job("queued", owner=owner, tenant=tenant)
            for owner in ("ann", "bob", "Ann", "a%")
            for tenant in (None, "acme", "ACME", "globex", "a_me")
        )
    )
    access = house.services.access
    admitted = 0
    for tenant in (None, "acme", "globex", "a_me", "%"):
        for scopes in ({READ}, {READ, ADMIN}, {READ, ALL_TENANTS}, {READ, ADMIN, ALL_TENANTS}):
            who = Principal("ann", tenant, frozenset(scopes | {REQUEST}))
            for deed in Deed:
                try:
                    reach = access.reach(who, deed)
                except PermissionDenied:
                    assert deed is Deed.ADMINISTER
                    assert ADMIN not in scopes
                    continue
                statement = select(*JOB_COLUMNS).where(reach.condition())
                async with house.services.engine.connect() as connection:
                    chosen = {row.id for row in await connection.execute(statement)}
                assert chosen == {job.id for job in made if reach.includes(job)}
                admitted += len(chosen)
    assert admitted > 0
