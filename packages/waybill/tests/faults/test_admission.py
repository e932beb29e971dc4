"""Faults 24 and 25, and the API's half of fault 2: many at once, and other people's jobs.

Two real API processes on one database, real tokens, and the settings as they are by default.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jwt
import psycopg
import pytest

from waybill.local.services import ServiceProcesses
from waybill.local.stack import LocalStack

SECRET = secrets.token_hex(32)


def token(subject: str, scope: str = "exports:request exports:read") -> str:
    claims = {"sub": subject, "scope": scope, "exp": int(time.time()) + 600}
    return jwt.encode(claims, SECRET, algorithm="HS256")


def headers(subject: str, **others: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(subject)}", **others}


@pytest.fixture
def apis(
    local_stack: LocalStack, database: str, tmp_path: Path
) -> Iterator[tuple[ServiceProcesses, ServiceProcesses]]:
    """Two API processes; nobody works, so that jobs stay as they are requested."""
    catalog = tmp_path / "waybill.toml"
    catalog.write_text('[exports.users]\ntable = "public.users"\nkey = "id"\n', encoding="utf-8")
    environment = {
        **local_stack.as_environment(),
        "WAYBILL_DATABASE_URL": database,
        "WAYBILL_SOURCE_DSN": database,
        "WAYBILL_CATALOG": str(catalog),
        "WAYBILL_JWT_SECRETS": SECRET,
    }
    pair = []
    for name in ("one", "two"):
        log_dir = tmp_path / name
        log_dir.mkdir()
        pair.append(ServiceProcesses(environment, log_dir=log_dir, guard=local_stack.guard))
    try:
        for each in pair:
            each.start_api()
        yield pair[0], pair[1]
    finally:
        for each in pair:
            each.stop()


def rows(dsn: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


async def test_24_fifty_requests_at_once_by_one_person_make_exactly_five_jobs(
    apis: tuple[ServiceProcesses, ServiceProcesses], database: str
) -> None:
    async with httpx.AsyncClient(timeout=30) as client:

        async def post(number: int) -> httpx.Response:
            # Each asks for something else: equal ones would be one job, and no refusal.
            return await client.post(
                f"{apis[number % 2].url}/api/users/export",
                headers=headers("ann"),
                json={"options": {"null_text": f"n{number}"}},
            )

        answers = await asyncio.gather(*(post(number) for number in range(50)))
        assert Counter(answer.status_code for answer in answers) == {202: 5, 429: 45}
        for answer in answers:
            if answer.status_code == 429:
                assert 0 < int(answer.headers["retry-after"]) <= 86_400
                assert answer.json()["code"] == "quota_exceeded"
        assert rows(database, "SELECT count(*), count(DISTINCT id) FROM export_jobs") == [(5, 5)]
        # Somebody else is not held up by it.
        other = await client.post(f"{apis[0].url}/api/users/export", headers=headers("bob"))
        assert other.status_code == 202
        # One that fails is given back, once.
        rows(
            database,
            "UPDATE export_jobs SET status = 'failed', finished_at = now(), error_code = 'x',"
            " error_cause = 'internal'"
            " WHERE id = (SELECT id FROM export_jobs WHERE requested_by = 'ann' LIMIT 1)"
            " RETURNING id",
        )
        again = await asyncio.gather(*(post(number) for number in range(50, 60)))
        assert Counter(answer.status_code for answer in again) == {202: 1, 429: 9}


async def test_fifty_identical_requests_at_once_make_one_job_and_refuse_nobody(
    apis: tuple[ServiceProcesses, ServiceProcesses], database: str
) -> None:
    async with httpx.AsyncClient(timeout=30) as client:
        answers = await asyncio.gather(
            *(
                client.post(f"{apis[n % 2].url}/api/users/export", headers=headers("ann"))
                for n in range(50)
            )
        )
    assert Counter(answer.status_code for answer in answers) == {202: 1, 200: 49}
    assert rows(database, "SELECT count(*) FROM export_jobs") == [(1,)]


async def test_25_another_persons_job_is_answered_like_none_and_both_are_recorded(
    apis: tuple[ServiceProcesses, ServiceProcesses], database: str
) -> None:
    async with httpx.AsyncClient(timeout=30) as client:
        base = apis[0].url
        hers = (await client.post(f"{base}/api/users/export", headers=headers("ann"))).json()["id"]
        nobodys = str(uuid4())
        for method, tail in (
            ("GET", ""),
            ("GET", "/download"),
            ("HEAD", "/download"),
            ("GET", "/manifest"),
            ("DELETE", ""),
        ):
            one, other = [
                await client.request(
                    method, f"{base}/api/exports/{each}{tail}", headers=headers("eve")
                )
                for each in (hers, nobodys)
            ]
            assert one.status_code == other.status_code == 404
            assert one.content == other.content
            assert {**one.headers, "date": ""} == {**other.headers, "date": ""}
        assert (await client.get(f"{base}/api/exports", headers=headers("eve"))).json()[
            "items"
        ] == []
    refused = dict(
        rows(
            database,
            "SELECT export_id::text, count(*) FROM audit_events WHERE actor = 'eve'"
            " AND outcome = 'refused' AND code = 'export_not_found' GROUP BY 1",
        )
    )
    assert refused == {hers: 5, nobodys: 5}
    assert rows(database, "SELECT status FROM export_jobs") == [("queued",)]


async def test_02_key_of_a_request_whose_api_was_killed_gets_the_same_job_elsewhere(
    apis: tuple[ServiceProcesses, ServiceProcesses], database: str
) -> None:
    key = {"Idempotency-Key": f'"{uuid4()}"'}
    async with httpx.AsyncClient(timeout=30) as client:
        first = await client.post(f"{apis[0].url}/api/users/export", headers=headers("ann", **key))
        apis[0].api.kill()
        again = await client.post(f"{apis[1].url}/api/users/export", headers=headers("ann", **key))
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json()["id"] == first.json()["id"]
    assert rows(database, "SELECT count(*) FROM export_jobs") == [(1,)]
