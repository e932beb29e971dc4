"""Quota, idempotency keys and coalescing: decided with the job, in one transaction."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog, ExportType, TableSource
from waybill.config import Settings
from waybill.principal import Principal
from waybill.requests.admission import lock_number

Execute = Callable[..., list[tuple[Any, ...]]]
ActAs = Callable[[Principal], None]

ANN = Principal("ann", "acme")
USERS = TableSource("public", "users")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(
        update={"quota_per_day": 5, "quota_roles": {"analyst": 7, "batch": "unlimited"}}
    )


@pytest.fixture
def catalog() -> Catalog:
    return Catalog(
        [
            ExportType("users", USERS, key=("id",)),
            ExportType("people", USERS, key=("id",)),
            ExportType("rare", USERS, key=("id",), quota=1),
            ExportType("free", USERS, key=("id",), quota="unlimited"),
        ]
    )


@pytest.fixture(autouse=True)
def ann(act_as: ActAs) -> None:
    act_as(ANN)


def body(number: int) -> dict[str, Any]:
    """A request that is no other's equal."""
    return {"options": {"null_text": f"n{number}"}}


async def spend(api: httpx.AsyncClient, count: int, *, first: int = 0) -> list[httpx.Response]:
    answers = [await api.post("/api/users/export", json=body(first + i)) for i in range(count)]
    assert [answer.status_code for answer in answers] == [202] * count
    return answers


# -- quota --------------------------------------------------------------------------------------


async def test_each_request_says_what_is_left_and_the_sixth_when_to_come_back(
    api: httpx.AsyncClient, execute: Execute
) -> None:
    answers = await spend(api, 5)
    for left, answer in zip((4, 3, 2, 1, 0), answers, strict=True):
        assert answer.headers["ratelimit-policy"] == '"daily";q=5;w=86400'
        assert re.fullmatch(rf'"daily";r={left};t=\d+', answer.headers["ratelimit"])
    execute("UPDATE export_jobs SET created_at = created_at - interval '23 hours'")
    refused = await api.post("/api/users/export", json=body(5))
    assert refused.status_code == 429
    assert 3_500 <= int(refused.headers["retry-after"]) <= 3_600
    assert refused.headers["ratelimit"] == f'"daily";r=0;t={refused.headers["retry-after"]}'
    problem = refused.json()
    assert problem["type"].endswith("#quota-exceeded")
    assert problem["code"] == "quota_exceeded"
    assert problem["violated-policies"] == ["daily"]
    assert "1 h 0 min" in problem["detail"] or "60 min" in problem["detail"]
    execute("UPDATE export_jobs SET created_at = created_at - interval '1 hour'")
    assert (await api.post("/api/users/export", json=body(5))).status_code == 202
    assert execute(
        "SELECT actor, action, outcome, code FROM audit_events WHERE outcome = 'refused'"
    ) == [("ann", "requested", "refused", "quota_exceeded")]


async def test_export_comes_back_when_the_oldest_is_a_day_old_not_at_midnight(
    api: httpx.AsyncClient, execute: Execute
) -> None:
    await spend(api, 5)
    execute(
        "UPDATE export_jobs SET created_at = now() - interval '24 hours 1 second'"
        " WHERE id = (SELECT id FROM export_jobs ORDER BY created_at LIMIT 1)"
    )
    await spend(api, 1, first=5)
    assert (await api.post("/api/users/export", json=body(6))).status_code == 429


@pytest.mark.parametrize(
    ("end", "refunded"),
    [
        *(
            (
                "UPDATE export_jobs SET status = 'failed', started_at = now(), finished_at = now(),"
                f" error_cause = '{cause}', error_code = '{code}'",
                is_refunded,
            )
            for cause, code, is_refunded in (
                # Our side broke it.
                ("transient", "storage_unavailable", True),
                ("worker_lost", "worker_lost", True),
                ("internal", "internal_error", True),
                ("permanent", "source_rejected", True),
                ("permanent", "key_not_unique", True),
                ("permanent", "storage_full", True),
                # The work was done, or the request itself was wrong.
                ("deadline", "deadline_exceeded", False),
                ("permanent", "value_not_representable", False),
                ("permanent", "file_too_large", False),
                ("permanent", "row_too_large", False),
                ("permanent", "unknown_column", False),
                ("permanent", "invalid_filter", False),
            )
        ),
        # Nobody knows why.
        ("UPDATE export_jobs SET status = 'failed', finished_at = now(), error_code = 'x'", False),
        ("UPDATE export_jobs SET status = 'cancelled', finished_at = now()", True),
        (
            "UPDATE export_jobs SET status = 'cancelled', finished_at = now(), started_at = now()",
            False,
        ),
    ],
)
async def test_failed_and_unbegun_exports_do_not_count(
    api: httpx.AsyncClient, execute: Execute, end: str, refunded: bool
) -> None:
    await spend(api, 5)
    execute(f"{end} WHERE id = (SELECT id FROM export_jobs LIMIT 1)")
    again = await api.post("/api/users/export", json=body(5))
    assert again.status_code == (202 if refunded else 429)
    # Exactly one came back, however often it is looked at.
    for number in (6, 7):
        assert (await api.post("/api/users/export", json=body(number))).status_code == 429


async def test_refunds_have_a_bound_and_the_refusal_says_when_the_next_is_free(
    api: httpx.AsyncClient, execute: Execute
) -> None:
    made = 0
    for number in range(30):
        answer = await api.post("/api/users/export", json=body(number))
        if answer.status_code == 429:
            break
        made += 1
        await api.delete(answer.headers["location"])
        # Each a minute before the next.
        execute("UPDATE export_jobs SET created_at = created_at - interval '1 minute'")
    assert made == 10  # five, and five that were given back
    # What counts are the first five; of them the oldest is ten minutes old.
    assert 86_400 - 605 <= int(answer.headers["retry-after"]) <= 86_400 - 600
    execute("UPDATE export_jobs SET created_at = created_at - interval '23 hours 50 minutes'")
    assert (await api.post("/api/users/export", json=body(99))).status_code == 202
    assert (await api.post("/api/users/export", json=body(100))).status_code == 429


async def test_quota_lowered_while_jobs_run_counts_what_there_is(
    api: httpx.AsyncClient, app: Any, catalog: Catalog, settings: Settings, execute: Any
) -> None:
    for number in range(4):
        execute("UPDATE export_jobs SET created_at = created_at - interval '1 hour'")
        await spend(api, 1, first=number)
    lower = settings.model_copy(update={"quota_per_day": 2})
    before = app.state.services
    async with Services(lower, catalog=catalog) as services:
        app.state.services = services
        refused = await api.post("/api/users/export", json=body(4))
        assert (refused.status_code, refused.headers["ratelimit"][:12]) == (429, '"daily";r=0;')
        # Four are above it: three have to be a day old before the next is free. They are three,
        # two and one hours old, so that is in 23 hours, not when the oldest of all is a day old.
        assert 23 * 3600 - 60 <= int(refused.headers["retry-after"]) <= 23 * 3600
        # None that is under way is touched, and nothing is owed when it is raised again.
        items = (await api.get("/api/exports")).json()["items"]
        assert [each["status"] for each in items] == ["queued"] * 4
        # What asks for one of them again spends nothing, and hears when the oldest leaves.
        again = await api.post("/api/users/export", json=body(3))
        assert again.status_code == 200
        left, until = again.headers["ratelimit"].removeprefix('"daily";r=').split(";t=")
        assert left == "0"
        assert 21 * 3600 - 60 <= int(until) <= 21 * 3600
    app.state.services = before
    await spend(api, 1, first=4)


async def test_cancelling_through_the_api_gives_the_export_back(api: httpx.AsyncClient) -> None:
    answers = await spend(api, 5)
    for _ in range(3):  # repeated: it is given back once
        assert (await api.delete(answers[0].headers["location"])).status_code == 200
    await spend(api, 1, first=5)
    assert (await api.post("/api/users/export", json=body(6))).status_code == 429


async def test_people_and_tenants_do_not_share_a_quota(
    api: httpx.AsyncClient, act_as: ActAs
) -> None:
    await spend(api, 5)
    for principal in (Principal("bob", "acme"), Principal("ann", "globex"), Principal("ann")):
        act_as(principal)
        await spend(api, 5)
        assert (await api.post("/api/users/export", json=body(5))).status_code == 429


async def test_types_share_the_quota_but_for_those_with_their_own(
    api: httpx.AsyncClient,
) -> None:
    await spend(api, 4)
    rare = await api.post("/api/rare/export")
    assert rare.headers["ratelimit-policy"] == '"daily-rare";q=1;w=86400'
    again = await api.post("/api/rare/export", json=body(1))
    assert again.status_code == 429
    assert again.json()["violated-policies"] == ["daily-rare"]
    for number in range(8):
        free = await api.post("/api/free/export", json=body(number))
        assert free.status_code == 202
        assert "ratelimit" not in free.headers
    assert (await api.post("/api/people/export")).status_code == 202
    assert (await api.post("/api/people/export", json=body(1))).status_code == 429


async def test_roles_raise_the_quota(api: httpx.AsyncClient, act_as: ActAs) -> None:
    act_as(Principal("ann", roles=frozenset({"analyst", "unknown"})))
    answers = await spend(api, 7)
    assert answers[0].headers["ratelimit-policy"] == '"daily";q=7;w=86400'
    assert (await api.post("/api/users/export", json=body(7))).status_code == 429
    act_as(Principal("robot", roles=frozenset({"analyst", "batch"})))
    assert "ratelimit" not in (await spend(api, 9))[0].headers


async def test_twenty_requests_at_once_make_exactly_five_jobs(
    api: httpx.AsyncClient, execute: Execute
) -> None:
    answers = await asyncio.gather(
        *(api.post("/api/users/export", json=body(number)) for number in range(20))
    )
    assert Counter(answer.status_code for answer in answers) == {202: 5, 429: 15}
    assert execute("SELECT count(*) FROM export_jobs") == [(5,)]
    remaining = sorted(a.headers["ratelimit"].split(";")[1] for a in answers if a.is_success)
    assert remaining == ["r=0", "r=1", "r=2", "r=3", "r=4"]


# -- coalescing ---------------------------------------------------------------------------------


async def test_identical_unfinished_request_gets_the_same_job(
    api: httpx.AsyncClient, execute: Execute
) -> None:
    first = await api.post("/api/users/export", json={"columns": ["id"]})
    second = await api.post("/api/users/export", json={"format": "csv", "columns": ["id"]})
    assert (first.status_code, second.status_code) == (202, 200)
    assert second.json()["id"] == first.json()["id"]
    assert second.headers["location"] == first.headers["location"]
    assert second.headers["ratelimit"].startswith('"daily";r=4;')
    assert execute("SELECT count(*) FROM export_jobs") == [(1,)]
    assert execute("SELECT code FROM audit_events ORDER BY id") == [(None,), ("coalesced",)]


@pytest.mark.parametrize(
    "other",
    [
        {"columns": ["id", "email"]},
        {"columns": [{"name": "id", "as": "ID"}]},
        {"columns": ["id"], "format": "json"},
        {"columns": ["id"], "compression": "gzip"},
        {"columns": ["id"], "options": {"header": False}},
    ],
)
async def test_request_that_differs_in_anything_gets_its_own_job(
    api: httpx.AsyncClient, other: dict[str, Any]
) -> None:
    first = await api.post("/api/users/export", json={"columns": ["id"]})
    second = await api.post("/api/users/export", json=other)
    assert second.status_code == 202
    assert second.json()["id"] != first.json()["id"]


async def test_other_people_and_finished_jobs_are_not_coalesced(
    api: httpx.AsyncClient, act_as: ActAs, services: Services
) -> None:
    first = (await api.post("/api/users/export")).json()
    for principal in (Principal("bob", "acme"), Principal("ann")):
        act_as(principal)
        assert (await api.post("/api/users/export")).status_code == 202
    act_as(ANN)
    await services.runner.run(UUID(first["id"]))
    again = await api.post("/api/users/export")
    assert again.status_code == 202
    assert again.json()["id"] != first["id"]


async def test_thirty_identical_requests_at_once_make_one_job(
    api: httpx.AsyncClient, execute: Execute
) -> None:
    answers = await asyncio.gather(*(api.post("/api/users/export") for _ in range(30)))
    assert Counter(answer.status_code for answer in answers) == {202: 1, 200: 29}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert execute("SELECT count(*) FROM export_jobs") == [(1,)]


async def test_of_equal_requests_that_stand_side_by_side_the_oldest_is_given(
    api: httpx.AsyncClient, execute: Execute
) -> None:
    """As when a dead letter was replayed that its owner had asked for anew meanwhile."""
    oldest, _ = await spend(api, 2)
    execute("UPDATE export_jobs SET fingerprint = (SELECT min(fingerprint) FROM export_jobs)")
    answers = [await api.post("/api/users/export", json=body(number)) for number in (0, 1)]
    given = [answer.json()["id"] for answer in answers if answer.status_code == 200]
    assert given == [oldest.json()["id"]]


async def test_coalescing_works_with_the_quota_used_up(api: httpx.AsyncClient) -> None:
    answers = await spend(api, 5)
    again = await api.post("/api/users/export", json=body(2))
    assert again.status_code == 200
    assert again.json()["id"] == answers[2].json()["id"]


async def test_preference_for_an_asynchronous_answer_is_confirmed(api: httpx.AsyncClient) -> None:
    for _ in range(2):
        answer = await api.post(
            "/api/users/export", headers={"Prefer": "wait=5, respond-async; x=1"}
        )
        assert answer.headers["preference-applied"] == "respond-async"
    assert "preference-applied" not in (await api.post("/api/users/export")).headers


# -- idempotency keys ---------------------------------------------------------------------------


def key(value: str | None = None) -> dict[str, str]:
    return {"Idempotency-Key": f'"{value or uuid4()}"'}


def told(answer: httpx.Response) -> tuple[int, bytes, str]:
    """What the draft wants to be the same."""
    return answer.status_code, answer.content, answer.headers["location"]


async def test_repeated_request_gets_the_same_answer_whatever_has_become_of_the_job(
    api: httpx.AsyncClient, services: Services, execute: Execute
) -> None:
    headers = key()
    first = await api.post("/api/users/export", json=body(1), headers=headers)
    export_id = UUID(first.json()["id"])
    assert told(await api.post("/api/users/export", json=body(1), headers=headers)) == told(first)
    await services.runner.run(export_id)
    assert (await api.get(first.headers["location"])).json()["status"] == "completed"
    assert told(await api.post("/api/users/export", json=body(1), headers=headers)) == told(first)
    await api.delete(first.headers["location"])
    assert told(await api.post("/api/users/export", json=body(1), headers=headers)) == told(first)
    assert execute("SELECT count(*) FROM export_jobs") == [(1,)]


async def test_answer_that_coalesced_is_repeated_as_it_was(
    api: httpx.AsyncClient, services: Services
) -> None:
    first = await api.post("/api/users/export")
    claimed = await services.leases.claim(
        UUID(first.json()["id"]), lease_seconds=60, worker="test/1/a"
    )
    assert claimed is not None
    headers = key()
    coalesced = await api.post("/api/users/export", headers=headers)
    assert coalesced.status_code == 200
    assert coalesced.json()["status"] == "running"
    await services.repository.cancel(claimed[0].id)
    assert told(await api.post("/api/users/export", headers=headers)) == told(coalesced)


async def test_stored_answer_holds_no_lease(
    api: httpx.AsyncClient, services: Services, execute: Execute
) -> None:
    first = await api.post("/api/users/export")
    await services.leases.claim(UUID(first.json()["id"]), lease_seconds=60, worker="test/1/a")
    await api.post("/api/users/export", headers=key())
    ((token,),) = execute("SELECT lease_token::text FROM export_jobs")
    ((answer,),) = execute("SELECT answer::text FROM idempotency_keys")
    assert token is not None
    assert token not in answer


async def test_key_with_another_request_is_refused(api: httpx.AsyncClient) -> None:
    headers = key()
    assert (await api.post("/api/users/export", headers=headers)).status_code == 202
    for path, other in (("/api/users/export", body(1)), ("/api/people/export", {})):
        refused = await api.post(path, json=other, headers=headers)
        assert refused.status_code == 422
        assert refused.json()["code"] == "idempotency_key_reused"


async def test_same_request_in_other_words_is_a_repetition(api: httpx.AsyncClient) -> None:
    headers = key()
    first = await api.post("/api/users/export", headers=headers)
    same = {"format": "csv", "options": {"delimiter": ","}, "filters": {}}
    assert told(await api.post("/api/users/export", json=same, headers=headers)) == told(first)


async def test_key_is_a_persons_own(api: httpx.AsyncClient, act_as: ActAs) -> None:
    headers = key("shared")
    answers = []
    for principal in (ANN, Principal("bob", "acme"), Principal("ann", "globex"), Principal("ann")):
        act_as(principal)
        answers.append(await api.post("/api/users/export", json=body(1), headers=headers))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 4


async def test_key_in_flight_is_a_conflict_and_free_when_its_connection_dies(
    api: httpx.AsyncClient, database: str, execute: Execute
) -> None:
    headers = key("in-flight")
    with psycopg.connect(database) as other_process:
        other_process.execute(
            "SELECT pg_advisory_xact_lock(%s)", [lock_number("key", ANN, "in-flight")]
        )
        conflict = await api.post("/api/users/export", headers=headers)
        assert conflict.status_code == 409
        assert conflict.json()["code"] == "idempotency_key_in_use"
        assert execute("SELECT count(*) FROM export_jobs") == [(0,)]
        # The key is the same without quotes, and another key is not held up.
        bare = await api.post("/api/users/export", headers={"Idempotency-Key": "in-flight"})
        assert bare.status_code == 409
        assert (await api.post("/api/users/export", headers=key())).status_code == 202
        other_process.close()  # as if it were killed
    assert (await api.post("/api/users/export", json=body(1), headers=headers)).is_success


async def test_many_repetitions_at_once_make_one_job_and_one_answer(
    api: httpx.AsyncClient, execute: Execute
) -> None:
    headers = key()
    answers = await asyncio.gather(
        *(api.post("/api/users/export", headers=headers) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} <= {202, 409}
    accepted = {told(answer) for answer in answers if answer.status_code == 202}
    assert len(accepted) == 1
    assert execute("SELECT count(*) FROM export_jobs") == [(1,)]


async def test_refusal_is_not_remembered(api: httpx.AsyncClient, execute: Execute) -> None:
    await spend(api, 5)
    headers = key()
    assert (await api.post("/api/users/export", json=body(9), headers=headers)).status_code == 429
    execute("UPDATE export_jobs SET created_at = created_at - interval '2 days'")
    assert (await api.post("/api/users/export", json=body(9), headers=headers)).status_code == 202


async def test_key_is_forgotten_after_a_day(
    api: httpx.AsyncClient, services: Services, execute: Execute
) -> None:
    headers = key()
    first = await api.post("/api/users/export", headers=headers)
    execute("UPDATE idempotency_keys SET created_at = now() - interval '23 hours'")
    await services.sweeper.clean()
    assert told(await api.post("/api/users/export", headers=headers)) == told(first)
    execute("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
    assert (await api.post("/api/users/export", json=body(1), headers=headers)).is_success
    execute("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
    await services.sweeper.clean()
    assert execute("SELECT count(*) FROM idempotency_keys") == [(0,)]


@pytest.mark.parametrize("value", ["", '""', "k" * 256, 'a"b', "two words"])
async def test_malformed_key_is_refused(
    api: httpx.AsyncClient, execute: Execute, value: str
) -> None:
    answer = await api.post("/api/users/export", headers={"Idempotency-Key": value})
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_header"
    assert execute("SELECT count(*) FROM export_jobs") == [(0,)]


async def test_two_keys_are_refused(api: httpx.AsyncClient) -> None:
    answer = await api.post(
        "/api/users/export", headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    )
    assert answer.status_code == 400


async def test_missing_key_is_refused_where_it_is_required(
    api: httpx.AsyncClient, app: Any, services: Services, settings: Settings
) -> None:
    services.settings = settings.model_copy(update={"require_idempotency_key": True})
    answer = await api.post("/api/users/export")
    assert answer.status_code == 400
    assert "requires one" in answer.json()["detail"]
    assert (await api.post("/api/users/export", headers=key())).status_code == 202


# -- how fast -----------------------------------------------------------------------------------


async def test_polling_too_fast_is_refused_with_when_to_come_back(
    api: httpx.AsyncClient, app: Any, execute: Execute
) -> None:
    from waybill.api.rate_limit import RateLimiter

    job = (await api.post("/api/users/export")).headers["location"]
    app.state.rate_limiter = RateLimiter(per_second=0.5, burst=3, monotonic=lambda: 0.0)
    answers = [await api.get(job) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].headers["retry-after"] == "2"
    assert answers[-1].json()["code"] == "too_many_requests"
    # One rate covers every route of a person.
    assert (await api.post("/api/users/export", json=body(1))).status_code == 429
