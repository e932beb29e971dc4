"""What strangers send: paths, bodies and headers made to break things."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

Execute = Callable[..., list[tuple[Any, ...]]]


def assert_problem(response: httpx.Response) -> None:
    assert 400 <= response.status_code < 500, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert "Traceback" not in response.text


@pytest.mark.parametrize(
    "bad_id",
    [
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/etc/passwd",
        "..",
        "%00",
        "' OR 1=1 --",
        "00000000-0000-0000-0000-000000000000'",
        "0" * 10_000,
        "{}",
        "%ff%fe",
        "urn:uuid:x",
    ],
)
@pytest.mark.parametrize("what", ["", "/download", "/manifest", "/events"])
async def test_id_that_is_none_is_refused(
    api: httpx.AsyncClient, execute: Execute, bad_id: str, what: str
) -> None:
    assert_problem(await api.get(f"/api/exports/{bad_id}{what}"))
    assert execute("SELECT count(*) FROM export_jobs") == [(0,)]


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 30_000,
        b"[" * 30_000 + b"]" * 30_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"columns": ["' + b"x" * 50_000 + b'"]}',
        b'{"columns": [' + b'"a",' * 10_000 + b'"a"]}',
        b'{"format": ' + b"9" * 50_000 + b"}",
        b'{"format": 1e999999}',
        b'{"format": NaN}',
        b'{"format": "csv", "format": "json", "x": 1}',
        b'{"format": "\\ud800"}',
        b'{"format": "\\u0000"}',
        b'{"options": {"delimiter": "\\u0000"}}',
        b"\xff\xfe{}",
        b"\x00",
        b'"' + b"\\u0041" * 9_000 + b'"',
        b"null null",
    ],
    ids=lambda body: repr(body[:20]),
)
async def test_body_made_to_break_is_refused_and_stores_nothing(
    api: httpx.AsyncClient, execute: Execute, body: bytes
) -> None:
    assert_problem(await api.post("/api/users/export", content=body, headers=JSON))
    assert execute("SELECT count(*) FROM export_jobs") == [(0,)]


@pytest.mark.parametrize("path", ["/api/users/export", "/api/admin/dead-letters/replay"])
async def test_body_that_is_too_long_is_refused_wherever_it_goes(
    api: httpx.AsyncClient, path: str
) -> None:
    response = await api.post(path, content=b"[" * 200_000, headers=JSON)
    assert response.status_code == 413
    assert_problem(response)


@pytest.mark.parametrize(
    "body",
    [
        b'{"format": "csv", "format": "csv"}',
        b'{"filters": {"a": {"eq": 1, "eq": 2}}}',
        b'{"columns": [{"name": "id", "as": "x", "as": "y"}]}',
        b'{"format": "csv", "\\u0066ormat": "json"}',
    ],
)
async def test_field_that_is_named_twice_is_refused(
    api: httpx.AsyncClient, execute: Execute, body: bytes
) -> None:
    response = await api.post("/api/users/export", content=body, headers=JSON)
    assert_problem(response)
    assert response.json()["code"] == "ambiguous_json"
    assert execute("SELECT count(*) FROM export_jobs") == [(0,)]


async def test_long_body_of_another_type_is_not_parsed(api: httpx.AsyncClient) -> None:
    response = await api.post(
        "/api/users/export", content=b"<x/>", headers={"Content-Type": "application/xml"}
    )
    assert_problem(response)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1000000",
        "limit=x",
        "status=nonsense",
        "type=%00",
        "requested_by=" + "x" * 300,
        "created_since=yesterday",
        "created_since=2026-01-01T00:00:00",
        "cursor=%00",
        "error=",
    ],
)
async def test_query_that_does_not_fit_is_refused(api: httpx.AsyncClient, query: str) -> None:
    assert_problem(await api.get(f"/api/admin/exports?{query}"))


@pytest.mark.parametrize("value", ["x" * 10_000, "-1", "' --", "\u00e9"])
async def test_header_of_nonsense_does_no_harm(
    api: httpx.AsyncClient, add_job: Any, value: str
) -> None:
    job = await add_job(b"data")
    for name in ("Range", "If-Range", "If-None-Match", "If-Match"):
        response = await api.get(
            f"/api/exports/{job.id}/download",
            params={"via": "stream"},
            headers={name: value.encode()},
        )
        assert response.status_code in {200, 412}


async def test_method_that_is_not_offered_is_a_problem(api: httpx.AsyncClient) -> None:
    response = await api.put(f"/api/exports/{uuid4()}")
    assert response.status_code == 405
    assert_problem(response)
    assert "GET" in response.headers["allow"]
