"""Computed columns from the request to the file: preview, job, stream, rights, and failures."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx
import pytest

from waybill.bootstrap.everything import Services
from waybill.bootstrap.worker import WorkerParts
from waybill.catalog import Catalog, Column, Computed, ExportType, Filter, TableSource
from waybill.config import Settings
from waybill.errors import ConfigurationError
from waybill.principal import READ, REQUEST, Principal
from waybill.requests.check_formats import check_sources
from waybill.run.runner import Outcome

FAILS_AT = 1_400


def greeting(row: dict[str, Any]) -> str:
    return f"=Hello {row['email']}"


def fails(row: dict[str, Any]) -> str:
    return str(1 / (row["id"] - FAILS_AT))


def users(name: str, **computed: Computed) -> ExportType:
    made = (Column(column, computed=how) for column, how in computed.items())
    return ExportType(
        name,
        TableSource("public", "users"),
        key=("id",),
        columns=(Column("id"), Column("email", pii="exports:pii"), *made),
        filters=(Filter("id", "integer"),),
    )


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"stream_max_rows": 10_000})


@pytest.fixture
def catalog() -> Catalog:
    return Catalog(
        [
            users("users", hello=Computed(greeting, ("email",))),
            users("fails", x=Computed(fails, ("id",))),
        ]
    )


@pytest.mark.parametrize("format_name", ["csv", "ndjson"])
async def test_preview_job_and_stream_have_the_same_computed_column(
    api: httpx.AsyncClient, services: Services, format_name: str
) -> None:
    body = {
        "format": format_name,
        "columns": [{"name": "hello", "as": "Greeting"}, "id"],
        "filters": {"id": {"lte": 1_200}},
    }
    preview = (await api.post("/api/users/export", json={**body, "dry_run": True})).json()
    assert preview["rows"] == 1_200
    assert preview["columns"][0] == {"name": "hello", "header": "Greeting", "type": "text"}
    assert preview["first_rows"][0]["Greeting"].startswith("=Hello ")

    job = (await api.post("/api/users/export", json=body)).json()
    assert await services.runner.run(UUID(job["id"])) is Outcome.COMPLETED
    done = (await api.get(f"/api/exports/{job['id']}")).json()
    assert done["progress"]["rows"] == 1_200
    row = await services.repository.find(UUID(job["id"]))
    assert row is not None
    file = b"".join(services.storages["s3"].read(row.object_key or ""))
    assert file.count(b"=Hello ") == 1_200
    # Guarded as any other text of a file that a spreadsheet may open.
    assert file.count(b"'=Hello ") == (1_200 if format_name == "csv" else 0)

    query = {
        "format": format_name,
        "columns": json.dumps(body["columns"]),
        "filters": json.dumps(body["filters"]),
    }
    streamed = await api.get("/api/users/export/stream", params=query)
    assert (streamed.status_code, streamed.content) == (200, file), streamed.text


async def test_it_is_asked_for_as_what_it_reads(
    api: httpx.AsyncClient, act_as: Callable[[Principal], None]
) -> None:
    act_as(Principal("ann", scopes=frozenset({READ, REQUEST})))
    refused = await api.post("/api/users/export", json={"columns": ["hello"]})
    assert (refused.status_code, refused.json()["code"]) == (403, "personal_data_denied")
    assert "exports:pii" in refused.json()["detail"]
    offered = (await api.get("/api/catalog")).text
    assert '"hello"' not in offered
    act_as(Principal("ann", scopes=frozenset({READ, REQUEST, "exports:pii"})))
    assert (await api.post("/api/users/export", json={"columns": ["hello"]})).status_code == 202


async def test_function_that_raises_fails_the_export_and_names_nothing_of_the_row(
    api: httpx.AsyncClient, services: Services, execute: Any
) -> None:
    job = (await api.post("/api/fails/export", json={})).json()
    assert await services.runner.run(UUID(job["id"])) is Outcome.FAILED
    failed = (await api.get(f"/api/exports/{job['id']}")).json()
    assert failed["error"]["code"] == "computed_column_failed"
    ((cause, message),) = execute("SELECT cause, message FROM export_attempts")
    assert (cause, message) == (
        "permanent",
        "Column 'x' of export type 'fails' is computed by "
        f"'{__name__}:fails', which raised ZeroDivisionError. Mend the function, or leave the "
        "column out.",
    )
    where = {"id": {"gte": FAILS_AT}}
    preview = await api.post("/api/fails/export", json={"dry_run": True, "filters": where})
    stream = await api.get("/api/fails/export/stream", params={"filters": json.dumps(where)})
    for refused in (preview, stream):
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_option")
        assert "column 'x' is computed for each row, which failed" in refused.json()["detail"]
        assert "ZeroDivision" not in refused.text


def test_what_cannot_be_imported_is_found_at_the_start(settings: Settings) -> None:
    gone = Catalog([users("users", x=Computed("no_such_shop.exports:x", ("id",)))])
    with pytest.raises(ConfigurationError, match="there is no module 'no_such_shop'"):
        WorkerParts(settings, catalog=gone)
    (finding,) = [
        each for each in check_sources(gone, {"default": settings.source_url})
        if each.severity == "error"
    ]  # fmt: skip
    assert finding.code == "function_missing"
    assert "column 'x' of export type 'users'" in finding.message
