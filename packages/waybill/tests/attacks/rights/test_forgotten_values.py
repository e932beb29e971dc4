"""Somebody reads the whole database long after an export is over: what it was filtered by, which
is whom somebody looked for, is nowhere any more; and nothing runs without its filters for that."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from waybill.catalog import Catalog
from waybill.catalog.toml import parse_catalog
from waybill.errors import ValuesForgotten
from waybill.jobs.attempts import AttemptFailure, Cause
from waybill.jobs.dead_letters import DeadLetterFilter
from waybill.jobs.forgetting import without_values
from waybill.jobs.job import ExportJob, ExportStatus, Progress
from waybill.jobs.reach import EVERYTHING
from waybill.jobs.repository import with_values_left
from waybill.requests.request import ExportRequest

from .conftest import House

Execute = Callable[..., list[tuple[Any, ...]]]

WANTED = "looked-for@example.org"
SINCE = "1987-06-05T04:03:02+00:00"
ANN = {
    "sub": "ann",
    "org": "acme",
    "scope": "exports:request exports:read exports:pii exports:orders",
}
OPTIONS: dict[str, Any] = {
    "columns": [],
    "filters": {"email": {"eq": WANTED}, "total": {"gte": 7}},
    "since": SINCE,
    "compression": None,
    "format_options": {},
    "terms": {"personal": ["exports:pii"], "rows": None},
}
FAILURE = AttemptFailure("source_rejected", Cause.PERMANENT, "No.")


@pytest.fixture
def catalog() -> Catalog:
    return parse_catalog(
        """
        [exports.orders]
        table = "orders"
        key = "id"
        requires = "exports:orders"
        scope = "tenant_id = :principal.tenant"
        columns = ["id", "total", { name = "email", pii = true }]
        filters = ["email", { name = "total", type = "number" }]
        since = { column = "changed", pii = false }
        """
    )


def tables_that_hold_it(execute: Execute) -> set[str]:
    """Search every column of every table, as who stole a dump would."""
    tables = execute(
        "SELECT table_schema, table_name FROM information_schema.tables"
        " WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
    )
    return {
        name
        for schema, name in tables
        for secret in (WANTED, SINCE)
        if execute(f'SELECT 1 FROM "{schema}"."{name}" t WHERE t::text LIKE %s', f"%{secret}%")
    }


async def end_as(house: House, status: str) -> ExportJob:
    """Make an export with filters that ends like that, and whose file, if it had one, is gone."""
    services = house.services
    if status in {"expired", "deleted"}:
        job = await house.job("completed", options=OPTIONS)
        if status == "expired":
            services.clock.advance(days=7, seconds=services.settings.download_grace_seconds + 1)
            assert await services.cleanup.expire() == 1
        else:
            assert await services.repository.mark_deleted(job.id)
        assert await services.cleanup.remove_leftovers() == 1
    elif status == "streamed":
        job = await house.job("queued", options=OPTIONS)
        claimed = await services.leases.claim(job.id, lease_seconds=60, worker="test")
        assert claimed is not None
        assert await services.leases.deliver(claimed[1], rows=1, bytes=1, sha256="0" * 64)
    elif status == "cancelled":
        job = await house.job("queued", options=OPTIONS)
        assert await services.repository.cancel(job.id)
    else:
        job = await failed(house)
        services.clock.advance(days=services.settings.replay_days, seconds=1)
        assert await services.cleanup.forget_values() == 1
    found = await services.repository.find(job.id)
    assert found is not None
    return found


async def failed(house: House) -> ExportJob:
    job = await house.job("queued", options=OPTIONS)
    claimed = await house.services.leases.claim(job.id, lease_seconds=60, worker="test")
    assert claimed is not None
    assert await house.services.leases.fail(claimed[1], FAILURE, progress=Progress())
    return job


@pytest.mark.parametrize("status", ["expired", "deleted", "streamed", "cancelled", "failed"])
async def test_values_are_nowhere_in_the_database_once_there_is_no_file(
    house: House, execute: Execute, status: str
) -> None:
    job = await end_as(house, status)
    assert tables_that_hold_it(execute) == set()
    # The names stay, since rights are decided by them, and so does what the export was.
    assert job.options == without_values(OPTIONS)
    assert set(job.options["filters"]) == {"email", "total"}
    seen = await house.ask(ANN, "GET", f"/api/exports/{job.id}")
    assert seen.status_code == 200, seen.text


async def test_values_of_what_can_still_be_fetched_run_or_replayed_are_kept(
    house: House, execute: Execute
) -> None:
    services = house.services
    jobs = [
        await house.job("completed", options=OPTIONS),
        await house.job("queued", options=OPTIONS),
        await failed(house),
    ]
    services.clock.advance(days=services.settings.replay_days, seconds=-60)
    assert await services.cleanup.forget_values() == 0
    found = await services.repository.find_many([job.id for job in jobs])
    assert [found[job.id].options for job in jobs] == [OPTIONS] * 3
    assert tables_that_hold_it(execute) == {"export_jobs"}


async def test_answer_kept_for_an_idempotency_key_never_holds_values(
    house: House, execute: Execute
) -> None:
    body = {"filters": {"email": {"eq": WANTED}}, "columns": ["id"]}
    asked: Sequence[Any] = [
        await house.ask(
            ANN, "POST", "/api/orders/export", json=body, headers={"Idempotency-Key": "once"}
        )
        for _ in range(2)
    ]
    assert [each.status_code for each in asked] == [202, 202], asked[0].text
    assert asked[0].json()["id"] == asked[1].json()["id"]
    assert tables_that_hold_it(execute) == {"export_jobs"}
    export_id = UUID(asked[0].json()["id"])
    await house.services.repository.cancel(export_id)
    assert tables_that_hold_it(execute) == set()
    # The digest of a request with few possible values would tell which it was.
    assert execute("SELECT fingerprint FROM export_jobs WHERE id = %s", export_id) == [(None,)]
    other = {"filters": {"email": {"eq": "somebody-else@example.org"}}, "columns": ["id"]}
    reused = await house.ask(
        ANN, "POST", "/api/orders/export", json=other, headers={"Idempotency-Key": "once"}
    )
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")


async def test_dead_letter_whose_values_are_forgotten_is_not_replayed(house: House) -> None:
    job = await end_as(house, "failed")
    letters = house.services.dead_letters
    with pytest.raises(ValuesForgotten):
        await letters.replay(job.id, within=EVERYTHING)
    assert await letters.replay_many(DeadLetterFilter(), within=EVERYTHING) == []
    admin = {"sub": "root", "org": "acme", "scope": "exports:admin"}
    path = f"/api/admin/dead-letters/{job.id}/replay"
    refused = await house.ask(admin, "POST", path)
    assert (refused.status_code, refused.json()["code"]) == (409, "values_forgotten")
    many = await house.ask(admin, "POST", "/api/admin/dead-letters/replay", json={"type": "orders"})
    assert (many.status_code, many.json()["replayed"]) == (202, [])
    kept = await house.services.repository.find(job.id)
    assert kept is not None
    assert kept.status is ExportStatus.FAILED


async def test_dead_letter_without_values_is_replayed_at_any_time(house: House) -> None:
    job = await house.job("failed")
    house.services.clock.advance(days=house.services.settings.replay_days, seconds=1)
    assert await house.services.cleanup.forget_values() == 0
    replayed = await house.services.dead_letters.replay(job.id, within=EVERYTHING)
    assert replayed.status is ExportStatus.QUEUED


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("kept", ["filters", "since"])
def test_request_without_its_values_selects_nothing_whoever_runs_it(
    house: House, marked: bool, kept: str
) -> None:
    options = without_values(OPTIONS | {"filters": {}, "since": None, kept: OPTIONS[kept]})
    if not marked:
        del options["forgotten"]
    export_type = house.services.catalog.get_type("orders")
    request = ExportRequest.from_job("orders", "csv", options)
    with pytest.raises(Exception, match=r"not kept|give an operator|since"):
        request.where(replace(export_type, scope=None), {})


async def test_rows_of_before_are_swept_and_only_once(house: House, execute: Execute) -> None:
    services = house.services
    for options in (OPTIONS, {"filters": {"email": {"eq": WANTED}}}, {"since": SINCE}, {}):
        job = await house.job("queued")
        await services.repository.cancel(job.id)
        execute(
            "UPDATE export_jobs SET options = %s::jsonb WHERE id = %s", json.dumps(options), job.id
        )
    assert await services.cleanup.forget_values() == 3
    assert tables_that_hold_it(execute) == set()
    assert await services.cleanup.forget_values() == 0


async def test_what_is_left_of_a_key_tells_no_value_to_who_tries_them_all(
    house: House, execute: Execute
) -> None:
    """The row of an idempotency key outlives its export's file."""
    body = {"filters": {"email": {"eq": WANTED}}}
    key = {"Idempotency-Key": "5c1b0f8e-3d55-4e0a-9a39-0b4b4d1c9f11"}
    made = await house.ask(ANN, "POST", "/api/orders/export", json=body, headers=key)
    await house.ask(ANN, "DELETE", f"/api/exports/{made.json()['id']}")
    ((stored_key, fingerprint, everything),) = execute(
        "SELECT key, fingerprint, idempotency_keys::text FROM idempotency_keys"
    )
    request = ExportRequest("orders", filters=body["filters"]).canonical(
        house.services.catalog.get_type("orders")
    )
    guess = request.fingerprint()
    assert key["Idempotency-Key"] not in everything
    assert guess not in everything
    assert stored_key != fingerprint
    # And still it is the same request that is repeated, and another that is refused.
    again = await house.ask(ANN, "POST", "/api/orders/export", json=body, headers=key)
    assert (again.status_code, again.json()["id"]) == (202, made.json()["id"])
    other = await house.ask(ANN, "POST", "/api/orders/export", json={}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    # A row of before the upgrade holds the fingerprint itself.
    execute("UPDATE idempotency_keys SET fingerprint = %s", guess)
    again = await house.ask(ANN, "POST", "/api/orders/export", json=body, headers=key)
    assert again.json()["id"] == made.json()["id"]


async def test_sweep_does_not_read_all_jobs_that_there_ever_were(
    house: House, execute: Execute
) -> None:
    execute(
        "INSERT INTO export_jobs (id, export_type, format, requested_by, max_attempts, status,"
        " next_attempt_at, finished_at) SELECT gen_random_uuid(), 'orders', 'csv', 'ann', 1,"
        " 'cancelled', NULL, now() FROM generate_series(1, 20000)"
    )
    execute("ANALYZE export_jobs")
    statement = with_values_left(failed_before=datetime.now(UTC), limit=100)
    async with house.services.engine.connect() as connection:
        compiled = statement.compile(
            connection.sync_connection, compile_kwargs={"literal_binds": True}
        )
        plan = await connection.exec_driver_sql(f"EXPLAIN {compiled}".replace("%", "%%"))
        text = "\n".join(row[0] for row in plan)
    assert "using ix_export_jobs_values" in text, text
    assert "Seq Scan" not in text, text
