"""What can be known when a request comes is refused then, and no job is made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from waybill.catalog import Catalog
from waybill.catalog.toml import parse_catalog

Execute = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def catalog() -> Catalog:
    return parse_catalog(
        """
        [exports.odd]
        table = "odd"

        [exports.declared]
        table = "odd"
        columns = ["id", { name = "plain", label = "=plain" }]

        [exports.gone]
        table = "gone"
        """
    )


@pytest.fixture(autouse=True)
def odd(execute: Execute) -> None:
    execute('CREATE TABLE odd (id int, "@at" timestamptz, plain text)')


GUARD_OFF = {"formula_guard": False}


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("odd", {"format": "csv"}, "'@at'"),
        ("odd", {"format": "xlsx"}, "'@at'"),
        ("odd", {"format": "csv", "columns": ["@at"]}, "'@at'"),
        ("declared", {"format": "csv"}, "'plain'"),
        ("declared", {"format": "xlsx", "columns": ["plain"]}, "'plain'"),
        ("odd", {"format": "parquet", "options": {"text_columns": ["palin"]}}, "mean 'plain'"),
        ("declared", {"format": "parquet", "options": {"text_columns": "id,nope"}}, "'nope'"),
        (
            "declared",
            {"format": "parquet", "columns": ["id"], "options": {"text_columns": ["plain"]}},
            "no column 'plain'",
        ),
    ],
)
async def test_what_a_format_refuses_is_refused_at_once(
    api: httpx.AsyncClient, execute: Execute, name: str, body: dict[str, Any], says: str
) -> None:
    for extra in ({}, {"dry_run": True}):
        answer = await api.post(f"/api/{name}/export", json={**body, **extra})

        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_option")
        assert says in answer.json()["detail"]
    assert execute("SELECT count(*) FROM export_jobs") == [(0,)]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("odd", {"format": "json"}),
        ("odd", {"format": "parquet", "options": {"text_columns": "@at,plain"}}),
        ("odd", {"format": "csv", "options": GUARD_OFF}),
        ("odd", {"format": "csv", "options": {"header": False}}),
        ("odd", {"format": "csv", "columns": ["id", {"name": "@at", "label": "at"}]}),
        ("declared", {"format": "xlsx", "columns": ["id"]}),
        ("declared", {"format": "xlsx", "options": GUARD_OFF}),
        ("gone", {"format": "csv"}),  # a source may come back: its run says what is wrong
    ],
)
async def test_what_a_format_can_have_is_accepted(
    api: httpx.AsyncClient, name: str, body: dict[str, Any]
) -> None:
    assert (await api.post(f"/api/{name}/export", json=body)).status_code == 202
