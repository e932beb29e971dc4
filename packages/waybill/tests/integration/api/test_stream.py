"""Exports as the answer itself: whole, or visibly broken."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog
from waybill.catalog.toml import parse_catalog
from waybill.config import Settings
from waybill.principal import READ, REQUEST, Principal
from waybill.requests.request import ExportRequest

Execute = Callable[..., list[tuple[Any, ...]]]
LONG_ROWS = 60_000
CURL_PARTIAL_FILE = 18


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(
        update={
            "quota_per_day": 3,
            "stream_max_rows": LONG_ROWS,
            "max_streams": 1,
            "heartbeat_seconds": 0.25,
        }
    )


@pytest.fixture
def catalog() -> Catalog:
    return parse_catalog(
        f'''
        [exports.users]
        table = "users"
        key = "id"
        filters = [{{ name = "id", type = "integer" }}]

        [exports.long]
        query = "SELECT g AS id, repeat('x', 1000) AS filler FROM generate_series(1, {LONG_ROWS}) g"

        [exports.breaks]
        query = "SELECT g AS id, 1 / (g - 50000) AS share FROM generate_series(1, {LONG_ROWS}) g"

        [exports.slow]
        query = """
        SELECT g AS id, repeat('x', 100000) AS filler, pg_sleep(0.02)::text AS nap
        FROM generate_series(1, 2000) AS g
        """

        [exports.huge]
        query = "SELECT g AS id FROM generate_series(1, 1000000) AS g"

        [exports.missing]
        table = "nowhere"

        [exports.empty]
        query = "SELECT 1 AS id WHERE false"

        [exports.secret]
        table = "users"
        key = "id"
        requires = ["secrets:read"]
        '''
    )


def url(export_type: str, **query: str) -> httpx.URL:
    return httpx.URL(f"/api/{export_type}/export/stream", params=query)


async def job_of(client: httpx.AsyncClient, response: httpx.Response) -> dict[str, Any]:
    """Follow the answer's ``Link``."""
    address = response.links["status"]["url"]
    found: dict[str, Any] = (await client.get(urlsplit(address).path)).json()
    return found


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - in other processes
            await asyncio.sleep(0.05)


def backends(execute: Execute) -> int:
    (row,) = execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'waybill stream%'"
        " AND datname = current_database()"
    )
    return int(row[0])


@pytest.mark.parametrize("format_name", ["csv", "json", "ndjson"])
async def test_stream_is_byte_for_byte_the_jobs_file(
    server: httpx.AsyncClient, services: Services, format_name: str
) -> None:
    principal = Principal("local-developer")
    admission = await services.exports.request(
        principal, ExportRequest("users", format_name, filters={"id": {"lte": 1500}})
    )
    await services.runner.run(admission.job.id)
    job = await services.repository.find(admission.job.id)
    assert job is not None
    assert job.object_key is not None
    file = b"".join(services.storages["s3"].read(job.object_key))

    query = {"format": format_name, "filters": '{"id": {"lte": 1500}}'}
    response = await server.get(url("users", **query))

    assert response.status_code == 200
    assert response.content == file
    assert response.headers["content-disposition"].startswith("attachment; filename=")
    assert response.headers["cache-control"] == "no-store"
    streamed = await job_of(server, response)
    assert streamed["sha256"] == hashlib.sha256(file).hexdigest() == job.sha256
    assert (streamed["status"], streamed["bytes"]) == ("deleted", len(file))
    assert streamed["progress"]["rows"] == 1500


@pytest.mark.parametrize("how", ["stream", "dry run"])
async def test_whoever_replaces_the_table_is_waited_for(
    server: httpx.AsyncClient, execute: Execute, settings: Settings, how: str
) -> None:
    ((rows,),) = execute("SELECT count(*) FROM users")
    with psycopg.connect(settings.source_url) as replacing:
        replacing.execute("CREATE TEMP TABLE kept ON COMMIT DROP AS TABLE users")
        replacing.execute("TRUNCATE users")
        replacing.execute("INSERT INTO users TABLE kept")
        asked = asyncio.create_task(
            server.get("/api/users/export/stream")
            if how == "stream"
            else server.post("/api/users/export", json={"dry_run": True})
        )
        async with asyncio.timeout(30):
            while not execute("SELECT 1 FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        replacing.commit()
    answer = await asked
    assert answer.status_code == 200, answer.text
    if how == "stream":
        assert len(list(csv.reader(io.StringIO(answer.text, newline="")))) == rows + 1
    else:
        assert answer.json()["rows"] == rows
        assert len(answer.json()["first_rows"]) > 0


async def test_columns_and_options_are_those_of_a_request(server: httpx.AsyncClient) -> None:
    query = {"columns": '["id", {"name": "email", "as": "E-mail"}]', "options": '{"delimiter":";"}'}

    response = await server.get(url("users", filters='{"id": {"eq": 7}}', **query))

    head, row, end = response.text.split("\r\n")
    assert (head, row.split(";")[0], end) == ("id;E-mail", "7", "")
    assert (await server.get(url("users", columns="email,id"))).text.startswith("email,id\r\n")


async def test_export_without_rows_is_a_head(server: httpx.AsyncClient) -> None:
    assert (await server.get(url("empty"))).text == "id\r\n"
    assert (await server.get(url("empty", format="ndjson"))).content == b""


@pytest.mark.parametrize("is_killed", [False, True], ids=["division by zero", "backend killed"])
async def test_failure_midway_breaks_the_answer_and_costs_nothing(
    server: httpx.AsyncClient, execute: Execute, is_killed: bool
) -> None:
    address = server.base_url.join(url("slow" if is_killed else "breaks"))
    curl = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--show-error", "--output", "-", str(address),
        "--header", "Authorization: Bearer test-token",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert curl.stdout is not None
    begun = await curl.stdout.read(100)
    if is_killed:
        execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'waybill stream%' AND datname = current_database()"
        )
    await curl.communicate()

    assert begun.startswith(b"id,")
    assert curl.returncode == CURL_PARTIAL_FILE
    await until(lambda: backends(execute) == 0)
    assert execute("SELECT status, error_code FROM export_jobs") == [
        ("failed", "source_unavailable" if is_killed else "source_rejected")
    ]
    with pytest.raises(httpx.RemoteProtocolError):
        await server.get(url("breaks"))
    again = await server.get(url("users"))
    assert again.headers["ratelimit"].startswith('"daily";r=2;')  # this one alone counts


async def test_failure_before_the_first_byte_is_a_problem_and_leaves_no_trace(
    server: httpx.AsyncClient, execute: Execute
) -> None:
    missing = await server.get(url("missing"))
    huge = await server.get(url("huge"))

    assert (missing.status_code, missing.json()["code"]) == (503, "source_unreadable")
    assert (huge.status_code, huge.json()["code"]) == (422, "stream_too_large")
    assert "POST" in huge.json()["detail"]
    assert execute("SELECT count(*) FROM export_jobs") == [(0,)]


async def test_quota_is_that_of_exports(server: httpx.AsyncClient, execute: Execute) -> None:
    remaining = []
    for _ in range(3):
        answer = await server.get(url("users", filters='{"id": {"lte": 10}}'))
        remaining.append(answer.headers["ratelimit"].split(";")[1])

    refused = await server.get(url("users"))

    assert remaining == ["r=2", "r=1", "r=0"]
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    assert (await server.post("/api/users/export")).status_code == 429
    assert execute("SELECT count(*) FROM export_jobs") == [(3,)]


async def test_client_that_goes_away_ends_the_query(
    server: httpx.AsyncClient, execute: Execute
) -> None:
    async with server.stream("GET", url("slow")) as response:
        async for _ in response.aiter_raw():
            break
        assert backends(execute) == 1

    await until(lambda: backends(execute) == 0)
    await until(lambda: execute("SELECT status FROM export_jobs") == [("cancelled",)])
    # What was begun is spent, as with a job: else one could keep the source busy for nothing.
    again = await server.get(url("users", filters='{"id": {"lte": 10}}'))
    assert again.headers["ratelimit"].startswith('"daily";r=1;')


async def test_slow_client_makes_the_reader_wait(services: Services) -> None:
    stream = await services.streams.open(Principal("slow"), ExportRequest("long"))
    try:
        await asyncio.sleep(0.5)
        read_ahead = stream.reader.control.snapshot().rows
    finally:
        await stream.close()

    assert read_ahead * 1000 < 2 * 1024 * 1024


async def test_one_more_stream_than_allowed_is_told_to_wait(
    server: httpx.AsyncClient, execute: Execute
) -> None:
    async with server.stream("GET", url("slow")):
        refused = await server.get(url("users"))

    assert (refused.status_code, refused.json()["code"]) == (503, "too_many_streams")
    assert int(refused.headers["retry-after"]) >= 1
    await until(lambda: backends(execute) == 0)
    assert (await server.get(url("users"))).status_code == 200


async def test_owner_cancels_a_stream_like_a_job(
    server: httpx.AsyncClient, execute: Execute
) -> None:
    async with server.stream("GET", url("slow")) as response:
        path = urlsplit(response.links["status"]["url"]).path
        cancelled = await server.delete(path)
        with pytest.raises(httpx.RemoteProtocolError):
            async for _ in response.aiter_raw():
                pass

    assert cancelled.json()["status"] == "cancelled"
    assert execute("SELECT status FROM export_jobs") == [("cancelled",)]
    await until(lambda: backends(execute) == 0)


async def test_old_protocol_in_which_a_break_would_not_show_is_refused(
    server: httpx.AsyncClient,
) -> None:
    reader, writer = await asyncio.open_connection(server.base_url.host, server.base_url.port)
    writer.write(
        b"GET /api/users/export/stream HTTP/1.0\r\nAuthorization: Bearer test-token\r\n\r\n"
    )
    answer = await reader.read()
    writer.close()

    assert b" 505 " in answer.split(b"\r\n")[0]
    assert b"proxy_http_version" in answer


@pytest.mark.parametrize(
    ("query", "at"),
    [
        ({"columns": "shoe_size"}, "shoe_size"),
        ({"columns": "[1"}, "columns"),
        ({"filters": "id=1"}, "filters"),
        ({"filters": '{"id": {"like": 1}}'}, "filters"),
        ({"format": "docx"}, "docx"),
        ({"options": '{"delimiter": "#"}'}, "delimiter"),
    ],
)
async def test_wrong_request_is_a_problem(
    api: httpx.AsyncClient, query: dict[str, str], at: str
) -> None:
    answer = await api.get(url("users", **query))

    assert answer.status_code == 422
    assert at in answer.json()["detail"]


async def test_rights_are_those_of_exports_and_everything_is_audited(
    api: httpx.AsyncClient, act_as: Callable[[Principal], None], execute: Execute
) -> None:
    act_as(Principal("reader", scopes=frozenset({READ})))
    assert (await api.get(url("users"))).status_code == 403
    act_as(Principal("asker", scopes=frozenset({REQUEST, READ})))
    assert (await api.get(url("secret"))).status_code == 404
    assert (await api.get(url("users", filters='{"id": {"lte": 5}}'))).status_code == 200

    events = execute("SELECT actor, action, outcome, export_type FROM audit_events ORDER BY id")
    assert events == [
        ("reader", "streamed", "refused", "users"),
        ("asker", "streamed", "refused", "secret"),
        ("asker", "streamed", "allowed", "users"),
    ]
