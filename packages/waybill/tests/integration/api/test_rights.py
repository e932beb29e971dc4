"""Who may have what: scopes of types, rows of tenants, personal data. Real files, real rows."""

from __future__ import annotations

import csv
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest

from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog
from waybill.catalog.toml import parse_catalog
from waybill.principal import ADMIN, READ, REQUEST, Principal
from waybill.run.runner import Outcome

Execute = Callable[..., list[tuple[Any, ...]]]
ActAs = Callable[[Principal], None]
Rows = Callable[[httpx.Response], Awaitable[list[dict[str, str]]]]

BASIC = frozenset({REQUEST, READ, "exports:orders"})


def person(subject: str = "ann", tenant: str | None = "acme", *scopes: str) -> Principal:
    return Principal(subject, tenant, BASIC | set(scopes))


@pytest.fixture
def catalog() -> Catalog:
    return parse_catalog(
        """
        [exports.orders]
        table = "orders"
        key = "id"
        requires = "exports:orders"
        scope = "tenant_id = :principal.tenant"
        columns = ["id", "total", { name = "email", label = "Buyer", pii = true }]
        filters = [
          "email",
          { name = "total", type = "number" },
          { name = "at", type = "timestamptz", operators = ["gte", "lt"], pii = false },
        ]
        since = { column = "at", pii = false }

        [exports.mine]
        table = "orders"
        key = "id"
        scope = "seller = :principal.subject"

        [exports.everything]
        table = "orders"
        key = "id"
        """
    )


@pytest.fixture(autouse=True)
def orders(execute: Execute) -> None:
    execute(
        "CREATE TABLE orders (id int PRIMARY KEY, tenant_id text, seller text, total numeric,"
        " email text, at timestamptz)"
    )
    execute(
        "INSERT INTO orders SELECT g, (ARRAY['acme','globex'])[g % 2 + 1],"
        " (ARRAY['ann','bob'])[g % 2 + 1], g, 'buyer' || g || '@example.org',"
        " timestamptz '2026-01-01 00:00Z' + g * interval '1 day' FROM generate_series(1, 20) AS g"
    )


@pytest.fixture
def rows(api: httpx.AsyncClient, services: Services) -> Rows:
    """Run an accepted export and return its file's rows."""

    async def read(accepted: httpx.Response) -> list[dict[str, str]]:
        assert accepted.status_code == 202, accepted.text
        job = accepted.json()
        assert await services.runner.run(UUID(job["id"])) is Outcome.COMPLETED
        file = await api.get(f"/api/exports/{job['id']}/download", params={"via": "stream"})
        assert file.status_code == 200
        return list(csv.DictReader(file.text.splitlines()))

    return read


def ids(found: list[dict[str, str]]) -> list[int]:
    return [int(row["id"]) for row in found]


async def refused(
    response: httpx.Response, execute: Execute, status: int, code: str
) -> dict[str, Any]:
    assert response.status_code == status, response.text
    body: dict[str, Any] = response.json()
    assert body["code"] == code
    assert execute("SELECT count(*) FROM export_jobs") == [(0,)]
    return body


async def test_type_that_requires_a_scope_is_refused_without_it_and_that_is_recorded(
    api: httpx.AsyncClient, act_as: ActAs, execute: Execute
) -> None:
    act_as(Principal("eve", "acme"))
    body = await refused(await api.post("/api/orders/export"), execute, 404, "unknown_export_type")
    assert "exports:orders" not in body["detail"]
    assert execute("SELECT actor, action, outcome, code, export_type FROM audit_events") == [
        ("eve", "requested", "refused", "unknown_export_type", "orders")
    ]


async def test_catalog_offers_what_the_caller_may_have(
    api: httpx.AsyncClient, act_as: ActAs
) -> None:
    async def offered() -> list[str]:
        answer = (await api.get("/api/catalog")).json()
        return [each["name"] for each in answer["types"]]

    act_as(person())
    assert await offered() == ["everything", "mine", "orders"]
    act_as(person("ann", None))  # whose tenant's rows would that be?
    assert await offered() == ["everything", "mine"]
    act_as(Principal("eve", "acme"))
    assert await offered() == ["everything", "mine"]
    act_as(Principal("eve", "acme", frozenset({READ})))
    assert (await api.get("/api/catalog")).status_code == 403
    act_as(person())  # without the scope of personal data
    orders = (await api.get("/api/catalog")).json()["types"][2]
    assert [each["name"] for each in orders["columns"]] == ["id", "total"]
    assert [each["name"] for each in orders["filters"]] == ["total", "at"]
    act_as(person("ann", "acme", "exports:pii"))
    orders = (await api.get("/api/catalog")).json()["types"][2]
    assert orders["columns"][2] == {"name": "email", "header": "Buyer", "scope": "exports:pii"}
    assert [each["name"] for each in orders["filters"]] == ["email", "total", "at"]
    # The condition is the operator's business.
    assert "tenant_id" not in str(orders)


async def test_each_tenant_gets_its_own_rows(
    api: httpx.AsyncClient, act_as: ActAs, rows: Rows
) -> None:
    for tenant, own in (("acme", range(2, 21, 2)), ("globex", range(1, 21, 2))):
        # An administrator too: the scope is of the type, not of the person's rank.
        act_as(person("root", tenant, ADMIN))
        found = await rows(await api.post("/api/orders/export", json={"columns": ["id"]}))
        assert ids(found) == list(own)


@pytest.mark.parametrize(
    "body",
    [
        {"filters": {"tenant_id": {"eq": "globex"}}},
        {"tenant": "globex"},
        {"scope": "true"},
        {"principal": {"tenant": "globex"}},
        {"options": {"tenant": "globex"}},
        {"options": {"scope": "true"}},
        {"columns": ["id", "tenant_id"]},
    ],
)
async def test_nothing_in_a_body_reaches_the_scope(
    api: httpx.AsyncClient, act_as: ActAs, execute: Execute, body: dict[str, Any]
) -> None:
    act_as(person())
    response = await api.post("/api/orders/export", json=body)
    assert response.status_code == 422
    assert execute("SELECT count(*) FROM export_jobs") == [(0,)]


@pytest.mark.parametrize("tenant", ["globex' OR '1'='1", "globex'; --", "%", "*"])
async def test_hostile_tenant_is_a_tenant_without_rows(
    api: httpx.AsyncClient, act_as: ActAs, rows: Rows, tenant: str
) -> None:
    act_as(person("ann", tenant))
    assert await rows(await api.post("/api/orders/export", json={"columns": ["id"]})) == []


async def test_principal_without_a_tenant_is_refused_where_rows_belong_to_tenants(
    api: httpx.AsyncClient, act_as: ActAs, execute: Execute
) -> None:
    act_as(person("ann", None, "exports:pii"))
    await refused(await api.post("/api/orders/export"), execute, 404, "unknown_export_type")


async def test_scope_by_subject_gives_each_person_their_own(
    api: httpx.AsyncClient, act_as: ActAs, rows: Rows
) -> None:
    act_as(person("bob", None))
    found = await rows(await api.post("/api/mine/export"))
    assert {row["seller"] for row in found} == {"bob"}
    assert len(found) == 10


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"columns": ["email"]},
        {"columns": ["id", {"name": "email", "as": "id2"}]},
        {"columns": ["id"], "filters": {"email": {"prefix": "buyer1"}}},
        {"dry_run": True},
    ],
)
async def test_personal_data_needs_its_scope_exported_filtered_or_previewed(
    api: httpx.AsyncClient, act_as: ActAs, execute: Execute, body: dict[str, Any]
) -> None:
    act_as(person())
    problem = await refused(
        await api.post("/api/orders/export", json=body), execute, 403, "personal_data_denied"
    )
    assert "email" in problem["detail"]
    assert "'exports:pii'" in problem["detail"]


async def test_personal_data_comes_with_its_scope(
    api: httpx.AsyncClient, act_as: ActAs, rows: Rows
) -> None:
    act_as(person("ann", "acme", "exports:pii"))
    found = await rows(
        await api.post(
            "/api/orders/export",
            json={"columns": ["email", {"name": "id", "as": "No."}]},
        )
    )
    assert list(found[0]) == ["Buyer", "No."]
    assert found[0]["Buyer"] == "buyer2@example.org"


async def test_filters_choose_rows_within_the_tenants_own(
    api: httpx.AsyncClient, act_as: ActAs, rows: Rows
) -> None:
    act_as(person())
    body = {
        "columns": ["id"],
        "filters": {
            "total": {"gte": 4, "lt": "15.5"},
            "at": {"lt": "2026-01-13T00:00:00Z"},
        },
        "since": "2026-01-05T02:00:00+02:00",
    }
    assert ids(await rows(await api.post("/api/orders/export", json=body))) == [4, 6, 8, 10]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"filters": {"seller": {"eq": "bob"}}}, "unknown_filter"),
        ({"filters": {"total": {"prefix": "1"}}}, "invalid_filter"),
        ({"filters": {"at": {"eq": "2026-01-01T00:00:00Z"}}}, "invalid_filter"),
        ({"filters": {"total": {"eq": "1; DROP TABLE orders"}}}, "invalid_filter"),
        ({"filters": {"total": {}}}, "invalid_filter"),
        ({"filters": {"total": {"in": list(range(1_001))}}}, "invalid_request"),
        ({"filters": {"total": {"regex": ".*"}}}, "invalid_request"),
        ({"filters": {"total": 5}}, "invalid_request"),
        ({"filters": ["total"]}, "invalid_request"),
        ({"filters": {"total": {"eq": None}}}, "invalid_request"),
        ({"filters": {"total": {"eq": {"a": 1}}}}, "invalid_request"),
        ({"since": "yesterday"}, "invalid_option"),
        ({"since": "2026-01-01T00:00:00"}, "invalid_option"),
        ({"since": 5}, "invalid_request"),
        ({"compression": "rar"}, "invalid_request"),
        ({"format": "parquet", "compression": "zstd"}, "invalid_option"),
        ({"columns": ["id", {"name": "total", "as": "id"}]}, "invalid_option"),
        ({"columns": ["id", {"name": "id", "as": "again"}]}, "invalid_option"),
        ({"columns": [{"name": "id", "as": "=cmd|' /C calc'!A0"}]}, "invalid_option"),
        ({"columns": [{"name": "id", "as": "a\nb"}]}, "invalid_option"),
        ({"columns": [{"name": "id", "as": ""}]}, "invalid_request"),
        ({"columns": [{"name": "id", "as": "x" * 256}]}, "invalid_request"),
        ({"columns": [{"as": "id"}]}, "invalid_request"),
        ({"dry_run": "yes"}, "invalid_request"),
    ],
)
async def test_request_that_does_not_fit_is_refused_before_anything_is_stored(
    api: httpx.AsyncClient, act_as: ActAs, execute: Execute, body: dict[str, Any], code: str
) -> None:
    act_as(person("ann", "acme", "exports:pii"))
    await refused(await api.post("/api/orders/export", json=body), execute, 422, code)


async def test_since_is_refused_where_no_column_is_declared_for_it(
    api: httpx.AsyncClient, act_as: ActAs, execute: Execute
) -> None:
    act_as(person())
    await refused(
        await api.post("/api/mine/export", json={"since": "2026-01-01T00:00:00Z"}),
        execute,
        422,
        "invalid_option",
    )


@pytest.mark.parametrize("name", ["shoe_size", "ID", "id\u200b", 'id" FROM orders --'])
async def test_unknown_column_of_a_type_that_declares_none_is_refused_by_asking_the_source(
    api: httpx.AsyncClient, act_as: ActAs, execute: Execute, name: str
) -> None:
    act_as(person())
    body = await refused(
        await api.post("/api/everything/export", json={"columns": ["id", name]}),
        execute,
        422,
        "unknown_column",
    )
    assert body["known"] == ["id", "tenant_id", "seller", "total", "email", "at"]


async def test_column_added_to_the_source_can_be_asked_for_at_once(
    api: httpx.AsyncClient, act_as: ActAs, execute: Execute
) -> None:
    act_as(person())
    assert (await api.post("/api/everything/export", json={"columns": ["id"]})).status_code == 202
    execute("ALTER TABLE orders ADD COLUMN note text")
    added = await api.post("/api/everything/export", json={"columns": ["note"]})
    assert added.status_code == 202


async def test_same_subject_in_another_tenant_sees_none_of_the_jobs(
    api: httpx.AsyncClient, act_as: ActAs
) -> None:
    act_as(person("ann", "acme"))
    job = (await api.post("/api/orders/export", json={"columns": ["id"]})).json()
    assert len((await api.get("/api/exports")).json()["items"]) == 1
    act_as(person("ann", "globex"))
    assert (await api.get("/api/exports")).json()["items"] == []
    assert (await api.get(f"/api/exports/{job['id']}")).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b'{"format": "csv\\u0000"}',
        b'{"columns": ["\\ud800"]}',
        b'{"columns": ["a\\u0000"]}',
        b'{"columns": [{"name": "id", "as": "\\udfff"}]}',
        b'{"filters": {"\\ud800": {"eq": 1}}}',
        b'{"filters": {"email": {"eq": "a\\u0000"}}}',
        b'{"options": {"null_text": "\\ud800"}}',
        b'{"\\ud800": 1}',
        b'{"since": "\\u0000"}',
        b'{"filters": {"total": {"eq": NaN}}}',
        b'{"filters": {"total": {"eq": 1e999}}}',
        b'{"options": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b"[" * 60_000,
        b'{"options": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001,
        b'{"filters": {"total": {"eq": ' + b"9" * 5_000 + b"}}}",
        b'{"format": "csv", "format": 5}',
        b"\xff\xfe",
        b"null garbage",
    ],
)
async def test_text_that_is_no_text_and_json_that_is_a_bomb_are_refused(
    api: httpx.AsyncClient, act_as: ActAs, execute: Execute, body: bytes
) -> None:
    act_as(person("ann", "acme", "exports:pii"))
    response = await api.post(
        "/api/orders/export", content=body, headers={"Content-Type": "application/json"}
    )
    assert response.status_code in {400, 422}, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert len(response.content) < 2_000
    assert execute("SELECT count(*) FROM export_jobs") == [(0,)]


async def test_compression_is_stored_with_the_job(
    api: httpx.AsyncClient, act_as: ActAs, execute: Execute
) -> None:
    act_as(person())
    body = {"columns": ["id"], "compression": "zstd"}
    assert (await api.post("/api/orders/export", json=body)).status_code == 202
    assert execute("SELECT options->>'compression' FROM export_jobs") == [("zstd",)]
