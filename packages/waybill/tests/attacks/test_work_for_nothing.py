"""Work for nothing: every way to keep source, workers and storage busy without spending quota."""

from __future__ import annotations

import json
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
import psycopg
import pytest

from .conftest import StartTarget, Target, wait_until

SECRET = secrets.token_hex(32)
QUOTA = 3
REFUNDS = 2
DRY_RUNS = 4


@pytest.fixture(scope="module")
def target(start_target: StartTarget) -> Iterator[Target]:
    """An API without a worker, so that jobs stay as they are requested."""
    with start_target(
        only_api=True,
        WAYBILL_DEVELOPMENT_TOKEN=None,
        WAYBILL_JWT_SECRETS=SECRET,
        WAYBILL_QUOTA_PER_DAY=str(QUOTA),
        WAYBILL_QUOTA_REFUNDS_PER_DAY=str(REFUNDS),
        WAYBILL_DRY_RUNS_PER_DAY=str(DRY_RUNS),
        WAYBILL_DRY_RUN_WAIT_SECONDS="2",
    ) as target:
        yield target


def token_of(subject: str) -> str:
    claims = {
        "sub": subject,
        "scope": "exports:request exports:read",
        "exp": int(time.time()) + 3600,
    }
    return jwt.encode(claims, SECRET, algorithm="HS256")


@pytest.fixture
def person(target: Target) -> Iterator[Callable[[], httpx.Client]]:
    """Make clients of persons that nobody was before."""
    clients: list[httpx.Client] = []

    def make() -> httpx.Client:
        headers = {"Authorization": f"Bearer {token_of(secrets.token_hex(8))}"}
        clients.append(httpx.Client(base_url=target.url, headers=headers, timeout=60))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def rows(target: Target, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(target.dsn, autocommit=True) as connection:
        cursor = connection.execute(query.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


def admitted(client: httpx.Client, tries: int = 12) -> int:
    """How many more exports the person can have."""
    answers = [
        client.post("/api/users/export", json={"options": {"null_text": secrets.token_hex(4)}})
        for _ in range(tries)
    ]
    assert {answer.status_code for answer in answers} <= {202, 429}
    return sum(answer.status_code == 202 for answer in answers)


def read_a_little(target: Target, client: httpx.Client, bytes_wanted: int) -> socket.socket:
    """Begin a stream and read its first bytes; the rest of the answer is left in the socket."""
    address = urlsplit(target.url)
    assert address.hostname
    assert address.port
    connection = socket.create_connection((address.hostname, address.port), timeout=30)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sendall(
        b"GET /api/users/export/stream?format=ndjson HTTP/1.1\r\nHost: localhost\r\n"
        b"Authorization: " + client.headers["authorization"].encode() + b"\r\n\r\n"
    )
    read = 0
    while read < bytes_wanted:
        piece = connection.recv(1024)
        assert piece, "the answer ended"
        read += len(piece)
    return connection


def begin(target: Target, client: httpx.Client, path: str) -> socket.socket:
    """Send a request on a socket of its own, whose answer nobody reads."""
    address = urlsplit(target.url)
    connection = socket.create_connection((address.hostname, address.port), timeout=30)
    connection.sendall(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: {client.headers['authorization']}\r\n\r\n".encode()
    )
    return connection


def waits_for_a_lock(target: Target) -> bool:
    """Whether an export does, and not the look at a table's columns that may come before it."""
    waiting = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event_type = 'Lock' AND application_name <> 'waybill columns'"
    )
    return rows(target, waiting) != []


def test_requesting_and_cancelling_over_and_over(
    person: Callable[[], httpx.Client],
) -> None:
    client = person()
    made = 0
    for _ in range(15):
        answer = client.post("/api/users/export")
        if answer.status_code == 429:
            break
        made += 1
        assert client.delete(answer.headers["location"]).status_code == 200
    assert made == QUOTA + REFUNDS
    assert int(answer.headers["retry-after"]) > 80_000


def test_cancelling_what_a_worker_has_begun(
    target: Target, person: Callable[[], httpx.Client]
) -> None:
    client = person()
    for _ in range(QUOTA):
        answer = client.post("/api/users/export")
        assert answer.status_code == 202
        # Nobody else's turn.
        rows(
            target,
            "DELETE FROM export_jobs WHERE status = 'queued' AND id <> %s",
            answer.json()["id"],
        )
        begun = rows(
            target,
            "SELECT id FROM claim_fairest_export(%s, gen_random_uuid(), 'w/1/f', '1 min',"
            " NULL, NULL, '{}')",
            answer.json()["id"],
        )
        assert begun
        client.delete(answer.headers["location"])
    assert admitted(client) == 0


def test_stream_left_by_its_reader_just_before_the_end(
    target: Target, person: Callable[[], httpx.Client]
) -> None:
    client = person()
    whole = len(client.get("/api/users/export/stream?format=ndjson").raise_for_status().content)
    for _ in range(QUOTA - 1):
        read_a_little(target, client, int(whole * 0.99)).close()
    # However it ended, it counts; nobody has to wait until it is noticed.
    assert admitted(client) == 0


def test_stream_that_nobody_reads_past_its_deadline(
    start_target: StartTarget,
) -> None:
    with start_target(
        only_api=True,
        WAYBILL_DEVELOPMENT_TOKEN=None,
        WAYBILL_JWT_SECRETS=SECRET,
        WAYBILL_QUOTA_PER_DAY="1",
        WAYBILL_STREAM_SECONDS="2",
        WAYBILL_DRY_RUNS_PER_DAY="1",
    ) as target:
        # More than sockets and servers keep for a slow reader.
        rows(
            target,
            "CREATE TABLE big AS SELECT n AS id, repeat('x', 900) AS pad FROM"
            " generate_series(1, 60000) AS n",
        )
        rows(target, "DROP TABLE users CASCADE")
        rows(target, "ALTER TABLE big RENAME TO users")
        rows(target, "ALTER TABLE users ADD PRIMARY KEY (id)")
        headers = {"Authorization": f"Bearer {token_of('sloth')}"}
        with httpx.Client(base_url=target.url, headers=headers, timeout=30) as client:
            connection = read_a_little(target, client, 2_000)
            wait_until(
                lambda: (
                    rows(target, "SELECT status, error_code FROM export_jobs")
                    == [("failed", "deadline_exceeded")]
                ),
                "the stream ends at its deadline though nobody reads it",
            )
            connection.close()
            assert admitted(client, 2) == 0
        # And one that keeps the source busy until its deadline before there is a first byte: no
        # quota is spent, but a dry run is.
        rows(target, "ALTER TABLE users RENAME TO slow")
        rows(
            target,
            "CREATE VIEW users AS SELECT id, pad FROM slow WHERE pg_sleep(3) IS NOT NULL",
        )
        headers = {"Authorization": f"Bearer {token_of('idler')}"}
        with httpx.Client(base_url=target.url, headers=headers, timeout=30) as client:
            first, second = (client.get("/api/users/export/stream") for _ in range(2))
        assert (first.status_code, first.json()["code"]) == (503, "source_unreadable")
        assert (second.status_code, second.json()["code"]) == (429, "dry_runs_exceeded")


def test_holding_all_streams_of_the_service(
    target: Target, person: Callable[[], httpx.Client]
) -> None:
    greedy, other = person(), person()
    path = "/api/users/export/stream"
    streams = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'waybill stream%'"
        " AND datname = current_database()"
    )
    with psycopg.connect(target.dsn) as source, ThreadPoolExecutor(3) as threads:
        # The source answers nobody: whoever asked stays.
        source.execute(b"LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        held = [threads.submit(greedy.get, path) for _ in range(2)]
        wait_until(lambda: rows(target, streams) == [(2,)], "two of the greedy one's are there")
        refused = greedy.get(path)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_open")
        assert refused.headers["retry-after"]
        one = threads.submit(other.get, path)
        wait_until(lambda: rows(target, streams) == [(3,)], "the other one's is there")
        source.rollback()
        assert {each.result().status_code for each in (*held, one)} <= {200, 503}
    assert greedy.get(path).status_code == 200  # what was held is free again


def test_many_tiny_sheets(person: Callable[[], httpx.Client]) -> None:
    client = person()
    for count in (2, 10, 999):
        answer = client.post(
            "/api/users/export", json={"format": "xlsx", "options": {"sheet_rows": count}}
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_option")
    assert admitted(client) == QUOTA


def test_repeating_a_request_and_its_key_makes_one_job_that_counts_once(
    target: Target, person: Callable[[], httpx.Client]
) -> None:
    client = person()
    key = {"Idempotency-Key": secrets.token_hex(8)}
    answers = [client.post("/api/users/export", headers=key) for _ in range(4)]
    answers += [client.post("/api/users/export") for _ in range(4)]
    assert len({json.loads(answer.content)["id"] for answer in answers}) == 1
    # The key's answer is no second job once the first is cancelled.
    client.delete(answers[0].headers["location"])
    assert client.post("/api/users/export", headers=key).json()["id"] == answers[0].json()["id"]
    assert admitted(client) == QUOTA


# -- dry runs -------------------------------------------------------------------------------------

DRY = {"dry_run": True}


def dry_runs_at_the_source(target: Target) -> int:
    return int(
        rows(
            target,
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'waybill preview'"
            " AND datname = current_database()",
        )[0][0]
    )


def test_dry_run_after_dry_run(target: Target, person: Callable[[], httpx.Client]) -> None:
    client = person()
    answers = [client.post("/api/users/export", json=DRY) for _ in range(DRY_RUNS + 2)]
    assert [answer.status_code for answer in answers] == [200] * DRY_RUNS + [429] * 2
    refused = answers[-1]
    assert refused.json()["code"] == "dry_runs_exceeded"
    assert refused.json()["violated-policies"] == ["dry-runs"]
    assert int(refused.headers["retry-after"]) > 80_000
    # It is a budget of its own, and of this person alone.
    assert admitted(client) == QUOTA
    assert person().post("/api/users/export", json=DRY).status_code == 200
    assert rows(
        target,
        "SELECT count(*) FROM audit_events"
        " WHERE code = 'dry_runs_exceeded' AND outcome = 'refused'",
    ) == [(2,)]


def test_dry_runs_of_one_person_in_front_of_everybodys(
    target: Target, person: Callable[[], httpx.Client]
) -> None:
    greedy, other = person(), person()
    with (
        psycopg.connect(target.dsn) as source,
        ThreadPoolExecutor(8) as threads,
    ):
        # The source answers nobody: whatever asks it stays.
        source.execute(b"LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        many = [threads.submit(greedy.post, "/api/users/export", json=DRY) for _ in range(6)]
        wait_until(lambda: dry_runs_at_the_source(target) == 1, "one of the greedy one's is there")
        one = threads.submit(other.post, "/api/users/export", json=DRY)
        wait_until(lambda: dry_runs_at_the_source(target) == 2, "the other one's is there")
        refused = [each.result() for each in as_completed(many[:]) if each.result().is_error][:5]
        assert dry_runs_at_the_source(target) <= 2
        source.rollback()
        assert one.result().status_code in {200, 503}
    busy = [answer for answer in refused if answer.json()["code"] == "too_many_dry_runs"]
    assert busy
    assert {(answer.status_code, answer.headers["retry-after"]) for answer in busy} == {(503, "5")}


def test_dry_run_that_nobody_waits_for(target: Target, person: Callable[[], httpx.Client]) -> None:
    client = person()
    address = urlsplit(target.url)
    assert address.hostname
    assert address.port
    with psycopg.connect(target.dsn) as source:
        source.execute(b"LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        connection = socket.create_connection((address.hostname, address.port), timeout=30)
        body = json.dumps(DRY).encode()
        connection.sendall(
            b"POST /api/users/export HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
            b"\r\nContent-Length: %d\r\nAuthorization: "
            % len(body)
            + client.headers["authorization"].encode()
            + b"\r\n\r\n"
            + body
        )
        wait_until(lambda: dry_runs_at_the_source(target) == 1, "the dry run is at the source")
        connection.close()
        # Long before its own time is over, with the table still locked.
        wait_until(lambda: dry_runs_at_the_source(target) == 0, "it ends", seconds=8)
    # And it was a call like any other.
    answers = [client.post("/api/users/export", json=DRY) for _ in range(DRY_RUNS)]
    assert [answer.status_code for answer in answers] == [200] * (DRY_RUNS - 1) + [429]


def test_streams_given_up_before_their_first_byte(
    target: Target, person: Callable[[], httpx.Client]
) -> None:
    client = person()
    path = "/api/users/export/stream"
    # Which columns there are is known then: whoever looks at them has not asked for rows yet.
    assert person().post("/api/users/export", json=DRY).status_code == 200
    with psycopg.connect(target.dsn) as source:
        source.execute(b"LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        for number in range(DRY_RUNS):
            # Given up once the source has been asked: before, it would have cost nothing.
            with begin(target, client, path):
                wait_until(lambda: waits_for_a_lock(target), "it waits for the table")
            wait_until(
                lambda number=number: (
                    len(rows(target, "SELECT id FROM dry_runs WHERE rows = 0")) >= number + 1
                ),
                "it is counted",
            )
    refused = client.get(path)
    assert (refused.status_code, refused.json()["code"]) == (429, "dry_runs_exceeded")
