"""Dry runs: what an export would be, held against what it then is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog
from waybill.catalog.toml import parse_catalog
from waybill.config import Settings
from waybill.formats import ENCODERS
from waybill.run.runner import Outcome

Execute = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"quota_per_day": 5, "preview_timeout_seconds": 2.0})


@pytest.fixture
def catalog() -> Catalog:
    return parse_catalog(
        """
        [exports.users]
        table = "users"
        key = "id"
        filters = [{ name = "id", type = "integer" }]

        [exports.odd]
        query = "SELECT * FROM public.odd_values"
        key = "id"

        [exports.slow]
        query = "SELECT g AS id, pg_sleep(0.05) FROM generate_series(1, 1000) AS g"
        key = "id"

        [exports.missing]
        table = "nowhere"

        [exports.empty]
        query = "SELECT 1 AS id WHERE false"
        key = "id"
        """
    )


def nothing_was_made(execute: Execute) -> bool:
    return execute("SELECT count(*) FROM export_jobs") == [(0,)]


@pytest.mark.parametrize("format_name", ENCODERS)
async def test_preview_foretells_the_export(
    api: httpx.AsyncClient, services: Services, execute: Execute, format_name: str
) -> None:
    body = {
        "format": format_name,
        "columns": [{"name": "email", "as": "E-mail"}, "id", "created_at"],
        "filters": {"id": {"lte": 1500}},
    }
    answer = await api.post("/api/users/export", json={**body, "dry_run": True})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert "location" not in answer.headers
    assert nothing_was_made(execute)
    preview = answer.json()
    assert preview["dry_run"] is True
    assert (preview["rows"], preview["rows_are"]) == (1500, "exact")
    assert [(c["name"], c["header"]) for c in preview["columns"]] == [
        ("email", "E-mail"),
        ("id", "id"),
        ("created_at", "created_at"),
    ]
    assert [list(row) for row in preview["first_rows"]] == [["E-mail", "id", "created_at"]] * 5
    assert [row["id"] for row in preview["first_rows"]] == [1, 2, 3, 4, 5]
    assert preview["seconds_from"] == "sample"
    assert preview["quota"]["remaining"] == 5
    assert execute("SELECT actor, action, export_type FROM audit_events") == [
        ("local-developer", "previewed", "users")
    ]

    job = (await api.post("/api/users/export", json=body)).json()
    assert await services.runner.run(UUID(job["id"])) is Outcome.COMPLETED
    done = (await api.get(f"/api/exports/{job['id']}")).json()
    assert done["progress"]["rows"] == 1500
    # What is compressed inside shrinks better the more there is of it.
    close = 0.05 if format_name in {"csv", "json", "ndjson"} else 0.2
    assert preview["bytes"] == pytest.approx(done["bytes"], rel=close)
    again = (await api.post("/api/users/export", json={**body, "dry_run": True})).json()
    assert again["seconds_from"] == "earlier exports"
    assert again["seconds"] >= 0


async def test_preview_spends_no_quota_and_needs_none(
    api: httpx.AsyncClient, execute: Execute
) -> None:
    for _ in range(7):
        answer = await api.post("/api/users/export", json={"dry_run": True})
        assert answer.headers["ratelimit"] == '"daily";r=5;t=86400'
    assert nothing_was_made(execute)
    for number in range(5):
        await api.post("/api/users/export", json={"options": {"null_text": f"n{number}"}})
    used_up = await api.post("/api/users/export", json={"dry_run": True})
    assert used_up.status_code == 200
    assert used_up.json()["quota"]["remaining"] == 0


async def test_dry_runs_have_a_budget_of_rows_read(
    api: httpx.AsyncClient, services: Services, settings: Settings, catalog: Catalog, app: Any
) -> None:
    small = {"filters": {"id": {"lte": 10}}, "dry_run": True}
    bounded = settings.model_copy(update={"dry_run_rows_per_day": 1_040})
    async with Services(bounded, catalog=catalog) as few:
        app.state.services = few
        # Ten in the sample, and the five that are shown.
        for _ in range(3):
            assert (await api.post("/api/users/export", json=small)).status_code == 200
        assert (await api.post("/api/users/export", json={"dry_run": True})).status_code == 200
        refused = await api.post("/api/users/export", json=small)
        assert (refused.status_code, refused.json()["code"]) == (429, "dry_runs_exceeded")
        assert refused.json()["violated-policies"] == ["dry-run-rows"]
        assert "rows of dry runs" in refused.json()["detail"]
    app.state.services = services


async def test_dry_run_that_took_too_long_is_charged_in_full(
    api: httpx.AsyncClient, execute: Execute
) -> None:
    assert (await api.post("/api/slow/export", json={"dry_run": True})).status_code == 503
    assert execute("SELECT rows FROM dry_runs") == [(1_005,)]


async def test_small_export_is_foretold_to_the_byte(
    api: httpx.AsyncClient, services: Services
) -> None:
    body = {"filters": {"id": {"lte": 7}}}
    preview = (await api.post("/api/users/export", json={**body, "dry_run": True})).json()
    job = (await api.post("/api/users/export", json=body)).json()
    await services.runner.run(UUID(job["id"]))
    done = (await api.get(f"/api/exports/{job['id']}")).json()
    assert (preview["rows"], preview["bytes"]) == (7, done["bytes"])


async def test_preview_of_values_beyond_programs_types(
    api: httpx.AsyncClient, execute: Execute
) -> None:
    execute(
        """CREATE TABLE odd_values AS SELECT 1 AS id, json '"\\ud800"' AS half,
        numeric '1e5000' AS large, json '1e999' AS infinite, timestamptz '294276-12-31' AS late"""
    )

    preview = (await api.post("/api/odd/export", json={"dry_run": True, "format": "xlsx"})).json()
    refused = await api.post("/api/odd/export", json={"dry_run": True, "format": "parquet"})

    (row,) = preview["first_rows"]
    assert (row["half"], row["large"]) == ('"\\ud800"', "1" + "0" * 5000)
    assert (row["infinite"], row["late"][:7]) == ("1e999", "294276-")
    assert refused.status_code == 422
    assert "Column 'half' holds half of a surrogate pair" in refused.json()["detail"]
    assert 'text_columns=["half"]' in refused.json()["detail"]


async def test_preview_of_nothing_is_empty(api: httpx.AsyncClient) -> None:
    preview = (await api.post("/api/empty/export", json={"dry_run": True})).json()
    assert (preview["rows"], preview["rows_are"], preview["first_rows"]) == (0, "exact", [])
    assert preview["seconds"] == 0
    assert preview["bytes"] == len("id\r\n")


async def test_values_that_json_numbers_cannot_hold_stay_exact(
    api: httpx.AsyncClient, execute: Execute
) -> None:
    execute("CREATE TABLE odd_values (id int, n numeric, f float8, b bigint, j jsonb)")
    execute(
        "INSERT INTO odd_values VALUES (1, 123456789012345678901234567890.123, 'Infinity',"
        " 9223372036854775807, '{\"deep\": [1e400, 0.1]}'), (2, 1.50, 'NaN', NULL, NULL)"
    )
    answer = await api.post("/api/odd/export", json={"dry_run": True})
    assert answer.status_code == 200, answer.text
    first, second = answer.json()["first_rows"]
    assert first["n"] == "123456789012345678901234567890.123"
    assert first["f"] == "Infinity"
    assert first["b"] == 9223372036854775807
    assert json.dumps(first["j"]["deep"][1]) == "0.1"
    assert (second["n"], second["f"], second["j"]) == ("1.50", "NaN", None)


@pytest.mark.parametrize(
    ("name", "causes"),
    [
        ("missing", {"source_rejected"}),
        # Both the server and we stop it after the same time; who is first is a matter of load.
        ("slow", {"source_unavailable", "deadline_exceeded"}),
    ],
)
async def test_source_that_refuses_or_takes_too_long_is_a_503_that_holds_nobody_up(
    api: httpx.AsyncClient, execute: Execute, name: str, causes: set[str]
) -> None:
    began_at = time.monotonic()
    answer = await api.post(f"/api/{name}/export", json={"dry_run": True})
    assert answer.status_code == 503
    assert answer.json()["code"] == "source_unreadable"
    assert any(cause in answer.json()["detail"] for cause in causes)
    assert "retry-after" in answer.headers
    assert time.monotonic() - began_at < 30  # and not the 50 s that the query takes
    assert nothing_was_made(execute)


async def test_request_is_accepted_while_the_source_is_away(
    services: Services, settings: Settings, catalog: Catalog, api: httpx.AsyncClient, app: Any
) -> None:
    # The port is nobody's: a columns check cannot be made, and the job waits for the source.
    away = psycopg.conninfo.make_conninfo(settings.source_url, port="1")
    elsewhere = Settings(**{**settings.model_dump(), "source_dsn": away})
    async with Services(elsewhere, catalog=catalog) as without_source:
        app.state.services = without_source
        accepted = await api.post("/api/users/export", json={"columns": ["id", "no_such"]})
        assert accepted.status_code == 202
        preview = await api.post("/api/users/export", json={"dry_run": True})
        assert preview.status_code == 503
    app.state.services = services
