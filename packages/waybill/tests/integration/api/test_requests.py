"""Requests, good and bad. Every refusal is an RFC 9457 problem, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog
from waybill.config import Settings
from waybill.formats.parquet import ParquetEncoder
from waybill.requests.quota import QuotaPolicy

NOBODYS = "0f8fad5b-d9cb-469f-a165-70867728950e"

Execute = Callable[..., list[tuple[Any, ...]]]


def assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["code"] == code
    assert body["type"].endswith(code)
    assert body["detail"]
    return body


async def test_request_is_accepted_with_a_job_and_where_to_watch_it(api: httpx.AsyncClient) -> None:
    response = await api.post("/api/users/export", json={"format": "ndjson"})
    assert response.status_code == 202
    job = response.json()
    assert job["status"] == "queued"
    assert job["format"] == "ndjson"
    assert response.headers["location"] == job["links"]["self"]
    assert int(response.headers["retry-after"]) >= 1
    watched = await api.get(response.headers["location"])
    assert watched.json()["id"] == job["id"]


async def test_request_without_a_body_takes_the_defaults(api: httpx.AsyncClient) -> None:
    response = await api.post("/api/users/export")
    assert response.status_code == 202
    assert response.json()["format"] == "csv"


async def test_options_of_every_kind_are_accepted(api: httpx.AsyncClient) -> None:
    for body in (
        {"format": "csv", "options": {"bom": True, "delimiter": "|"}},
        {"format": "parquet", "options": {"text_columns": ["balance"]}},
        {"format": "xlsx", "options": {"sheet_rows": 1000}},
    ):
        assert (await api.post("/api/users/export", json=body)).status_code == 202, body


async def test_unknown_type_names_the_known_ones(api: httpx.AsyncClient) -> None:
    body = assert_problem(await api.post("/api/usres/export"), 404, "unknown_export_type")
    assert body["known"] == ["users"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"format": "docx"}, "unknown_format"),
        ({"columns": ["id", "shoe_size"]}, "unknown_column"),
        ({"columns": ["id", "id"]}, "invalid_option"),
        ({"options": {"delimeter": ";"}}, "invalid_option"),
        ({"options": {"delimiter": ";;"}}, "invalid_option"),
        ({"columns": []}, "invalid_request"),
        ({"fromat": "csv"}, "invalid_request"),
        ({"format": 7}, "invalid_request"),
        ([], "invalid_request"),
        ("csv", "invalid_request"),
    ],
)
async def test_body_that_does_not_fit_is_refused_and_stores_nothing(
    api: httpx.AsyncClient, execute: Execute, body: object, code: str
) -> None:
    assert_problem(await api.post("/api/users/export", json=body), 422, code)
    assert execute("SELECT count(*) FROM export_jobs") == [(0,)]


async def test_format_whose_extra_is_missing_is_refused_with_the_command_and_not_offered(
    api: httpx.AsyncClient, execute: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ParquetEncoder, "needs", ("no_such_module",))
    for path, more in (
        ("/api/users/export", {}),
        ("/api/users/export", {"dry_run": True}),
        ("/api/users/export/stream", {}),
    ):
        answer = await api.post(path, json={"format": "parquet", **more})
        body = assert_problem(answer, 422, "format_not_installed")
        assert "pip install 'waybill[parquet]'" in body["detail"]
    assert execute("SELECT count(*) FROM export_jobs") == [(0,)]
    offered = (await api.get("/api/catalog")).json()["formats"]
    assert offered == ["csv", "json", "ndjson", "xlsx"]


async def test_body_that_is_not_json_is_refused(api: httpx.AsyncClient) -> None:
    response = await api.post(
        "/api/users/export", content=b"{format:", headers={"Content-Type": "application/json"}
    )
    assert_problem(response, 400, "malformed_json")


async def test_body_that_is_announced_too_large_is_refused_unread(
    api: httpx.AsyncClient, settings: Settings
) -> None:
    response = await api.post("/api/users/export", content=b" " * (settings.max_body_bytes + 1))
    assert_problem(response, 413, "body_too_large")


async def test_body_that_only_turns_out_too_large_is_refused(
    api: httpx.AsyncClient, settings: Settings
) -> None:
    async def endless() -> Any:
        for _ in range(settings.max_body_bytes // 1024 + 2):
            yield b" " * 1024

    response = await api.post("/api/users/export", content=endless())
    assert_problem(response, 413, "body_too_large")


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic dGVzdC10b2tlbg==", "Bearer"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/users/export"),
        ("GET", "/api/exports"),
        ("GET", f"/api/exports/{NOBODYS}"),
        ("GET", f"/api/exports/{NOBODYS}/download"),
        ("GET", f"/api/exports/{NOBODYS}/manifest"),
        ("DELETE", f"/api/exports/{NOBODYS}"),
    ],
)
async def test_route_without_valid_credentials_is_refused(
    api: httpx.AsyncClient, method: str, path: str, header: str | None
) -> None:
    api.headers.pop("Authorization")
    headers = {} if header is None else {"Authorization": header}
    response = await api.request(method, path, headers=headers)
    assert_problem(response, 401, "authentication_required")
    assert response.headers["www-authenticate"].startswith("Bearer")


async def test_unknown_export_and_another_persons_export_answer_alike(
    api: httpx.AsyncClient, execute: Execute
) -> None:
    theirs = (await api.post("/api/users/export")).json()["id"]
    execute("UPDATE export_jobs SET requested_by = 'somebody-else', tenant = 'other'")
    # The development principal is an administrator; an ordinary person is what is asked here.
    from waybill.principal import READ, REQUEST, Principal

    class Ordinary:
        async def authenticate(self, _request: object, _token: str | None) -> Principal:
            return Principal("ann", scopes=frozenset({READ, REQUEST}))

    app = api._transport.app  # type: ignore[attr-defined]
    app.state.authenticator = Ordinary()
    answers = [await api.get(f"/api/exports/{each}") for each in (theirs, str(uuid4()))]
    for answer in answers:
        assert_problem(answer, 404, "export_not_found")
    assert answers[0].content == answers[1].content


async def test_export_that_has_no_file_yet_is_a_conflict(api: httpx.AsyncClient) -> None:
    job = (await api.post("/api/users/export")).json()
    for what in ("download", "manifest"):
        response = await api.get(f"/api/exports/{job['id']}/{what}")
        assert_problem(response, 409, "export_not_ready")


async def test_cancelled_job_stays_cancelled_and_can_be_cancelled_again(
    api: httpx.AsyncClient,
) -> None:
    job = (await api.post("/api/users/export")).json()
    for _ in range(2):
        response = await api.delete(f"/api/exports/{job['id']}")
        assert response.status_code == 200
        assert response.json()["status"] == "cancelled"


async def test_list_is_narrowed_by_status_type_and_time(
    api: httpx.AsyncClient, add_job: Any
) -> None:
    old, waiting, done = await add_job(), await add_job(), await add_job(b"x")
    waiting_at = (await api.get(f"/api/exports/{waiting.id}")).json()["created_at"]
    assert waiting_at.endswith("Z")
    for query, found in (
        ("status=completed", [done]),
        ("status=queued", [waiting, old]),
        (f"status=queued&since={waiting_at}", [waiting]),
        (f"before={waiting_at}", [old]),
        ("type=users", [done, waiting, old]),
        ("type=orders", []),
    ):
        items = (await api.get(f"/api/exports?{query}")).json()["items"]
        assert [item["id"] for item in items] == [str(job.id) for job in found], query
    # The next page asks the same.
    page = (await api.get("/api/exports?status=queued&limit=1")).json()
    rest = (await api.get(page["next"])).json()
    assert [item["id"] for item in (*page["items"], *rest["items"])] == [
        str(waiting.id),
        str(old.id),
    ]
    assert rest["next"] is None


@pytest.mark.parametrize(
    "path",
    ["/api/exports?state=queued", "/api/catalog?x", "/api/users/export/stream?colums=id",
     "/api/admin/exports?limit=1&owner=ann", "/api/audit?person=ann", "/api/quota?type=users"],
)  # fmt: skip
async def test_parameter_that_an_operation_does_not_know_is_refused_by_name(
    api: httpx.AsyncClient, path: str
) -> None:
    response = await api.get(path)
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error["at"].removeprefix("query/") in path
    assert "there is no such parameter; known: " in error["message"]


async def test_quota_says_what_is_left_of_each(
    api: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await api.get("/api/quota")).json()["items"] == [{"types": ["users"], "quota": None}]
    policy = QuotaPolicy(Catalog(services.catalog.values()), 3, {}, refunds_per_day=0)
    monkeypatch.setattr(services.exports, "_quotas", policy)
    assert (await api.post("/api/users/export")).status_code == 202
    (item,) = (await api.get("/api/quota")).json()["items"]
    assert item["types"] == ["users"]
    quota = item["quota"]
    assert (quota["policy"], quota["limit"], quota["remaining"]) == ("daily", 3, 2)
    assert 86_000 < quota["resets_in_seconds"] <= 86_400


async def test_list_pages_through_all_jobs_once(api: httpx.AsyncClient, services: Services) -> None:
    for _ in range(5):
        await services.repository.add(
            export_type="users",
            format="csv",
            options={},
            requested_by="local-developer",
            tenant=None,
            max_attempts=3,
        )
    seen: list[str] = []
    address: str | None = "/api/exports?limit=2"
    while address:
        page = (await api.get(address)).json()
        assert len(page["items"]) <= 2
        seen += [item["id"] for item in page["items"]]
        address = page["next"]
    assert len(seen) == len(set(seen)) == 5


async def test_malformed_id_is_refused(api: httpx.AsyncClient) -> None:
    assert_problem(await api.get("/api/exports/not-an-id"), 422, "invalid_request")


async def test_unknown_route_is_a_problem_too(api: httpx.AsyncClient) -> None:
    assert_problem(await api.get("/api/nothing/here"), 404, "not_found")


async def test_readiness_names_each_dependency(api: httpx.AsyncClient) -> None:
    response = await api.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "checks": {"database": "ok", "migrations": "ok", "broker": "ok", "storage": "ok"},
    }


async def test_readiness_is_refused_for_what_does_not_pass_by_itself(
    api: httpx.AsyncClient, services: Any, execute: Any
) -> None:
    services.storage.client.bucket = "nowhere"
    answer = await api.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "unready")
    assert answer.json()["checks"]["storage"] == "storage_rejected"
    services.storage.client.bucket = "waybill"
    for change in (
        "UPDATE waybill_migrations SET version_num = '0003'",
        "DELETE FROM waybill_migrations",
        # What a failover to an empty database looks like.
        "ALTER TABLE waybill_migrations RENAME TO elsewhere",
    ):
        execute(change)
        answer = await api.get("/readyz")
        assert (answer.status_code, answer.json()["checks"]["migrations"]) == (503, "not_migrated")
    assert (await api.get("/healthz")).status_code == 200


async def test_liveness_asks_nobody(api: httpx.AsyncClient) -> None:
    assert (await api.get("/healthz")).json() == {"status": "ok"}
