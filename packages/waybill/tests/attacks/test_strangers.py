"""Somebody without credentials tries to use up the service: connections, heads, bodies, tokens."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from waybill.audit.strangers import WINDOW_SECONDS

from .conftest import StartTarget, Target, client_of, wait_until

HEAD_SECONDS = 2.0
PER_ADDRESS = 40


@pytest.fixture(scope="module")
def target(start_target: StartTarget) -> Iterator[Target]:
    with start_target(
        only_api=True,
        WAYBILL_HEAD_SECONDS=str(HEAD_SECONDS),
        WAYBILL_BODY_SECONDS=str(HEAD_SECONDS),
        WAYBILL_KEEP_ALIVE_SECONDS="1",
        WAYBILL_MAX_CONNECTIONS_PER_ADDRESS=str(PER_ADDRESS),
        WAYBILL_MAX_WATCHERS_PER_PERSON="3",
        WAYBILL_TRUSTED_PROXIES="127.0.0.2",
        WAYBILL_ALLOWED_HOSTS="127.0.0.1,*.example.com",
        WAYBILL_ADDRESS_REQUESTS_PER_SECOND="1",
        WAYBILL_ADDRESS_REQUESTS_BURST="400",
        WAYBILL_MAX_IDEMPOTENCY_KEYS="3",
    ) as target:
        yield target


def connect(target: Target, source: str = "127.0.0.1") -> socket.socket:
    address = urlsplit(target.url)
    return socket.create_connection(
        (str(address.hostname), int(address.port or 0)), timeout=20, source_address=(source, 0)
    )


def answer(connection: socket.socket) -> bytes:
    """Read until the server closes."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(65_536):
            received += data
    return received


def drip(connection: socket.socket, piece: bytes) -> float:
    """Send ``piece`` again and again until the server ends it; return after how long."""
    began = time.monotonic()
    connection.settimeout(0.05)
    while time.monotonic() - began < 15 * HEAD_SECONDS:
        try:
            connection.sendall(piece)
            if connection.recv(65_536) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    else:
        pytest.fail("The server waits for ever.")
    return time.monotonic() - began


@pytest.mark.parametrize("start", [b"", b"G", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"])
def test_connection_that_says_nothing_more_is_ended(target: Target, start: bytes) -> None:
    with connect(target) as connection:
        connection.sendall(start)
        assert b"200" not in answer(connection)


def test_head_that_drips_is_ended_however_often_it_drips(target: Target) -> None:
    with connect(target) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        drip(connection, b"X-A: b\r\n")


def test_second_head_on_a_connection_has_the_same_limit(target: Target) -> None:
    with connect(target) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        drip(connection, b"X-A: b\r\n")


def test_body_that_drips_is_answered_with_408(target: Target) -> None:
    with connect(target) as connection:
        connection.sendall(
            b"POST /api/users/export HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Authorization: Bearer attack-token\r\nContent-Length: 1000\r\n\r\n{"
        )
        assert answer(connection).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("path", [b"/api/users/export", b"/api/exports", b"/nowhere"])
def test_body_of_a_stranger_is_not_waited_for(target: Target, path: bytes) -> None:
    with connect(target) as connection:
        connection.sendall(
            b"POST " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50000\r\n\r\n"
        )
        began = answer(connection)
        assert began.startswith((b"HTTP/1.1 401", b"HTTP/1.1 404", b"HTTP/1.1 405"))


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /api/users/export HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"401"),
        (b"POST /api/users/export HTTP/1.1\r\nHost: 127.0.0.1\r\n"
         b"Authorization: Bearer attack-token\r\n", b"413"),
        (b"POST /api/users/export HTTP/1.1\r\nHost: elsewhere.example\r\n", b"421"),
        (b"POST /api/users/export HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: 127.0.0.1\r\n", b"400"),
    ],
)  # fmt: skip
def test_answer_to_who_still_sends_is_not_taken_from_them_by_a_reset(
    target: Target, head: bytes, status: bytes
) -> None:
    body = b" " * (60_000 if status == b"401" else 3_000_000)  # what is too long is so for anyone
    with connect(target) as connection:
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body))
        connection.recv(1, socket.MSG_PEEK)  # the answer is there, and is not looked at yet
        connection.sendall(body)
        received = b""
        while data := connection.recv(65_536):
            received += data
    assert received.startswith(b"HTTP/1.1 " + status)


def test_body_that_no_route_reads_does_not_keep_the_connection(target: Target) -> None:
    with connect(target) as connection:
        connection.sendall(
            b"POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50000000\r\n\r\n"
        )
        drip(connection, b"x" * 100)


def test_one_address_holds_a_bounded_number_of_connections_and_others_are_answered(
    target: Target,
) -> None:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(connect(target, "127.0.0.7")) for _ in range(PER_ADDRESS + 10)]
        for each in held:
            with contextlib.suppress(OSError):
                each.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ")
        for each in held[-10:]:
            assert answer(each) == b""
        with client_of(target) as client:
            assert client.get("/api/exports").status_code == 200


def test_address_that_asks_too_often_is_told_to_wait_before_anything_is_checked(
    target: Target,
) -> None:
    transport = httpx.HTTPTransport(local_address="127.0.0.8")
    with httpx.Client(base_url=target.url, transport=transport) as client:
        statuses = [client.get("/api/exports").status_code for _ in range(600)]
        refused = client.get("/api/exports")
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert refused.headers["retry-after"] == "1"
    with client_of(target) as honest:
        assert honest.get("/api/exports").status_code == 200


def test_thousand_bad_tokens_make_a_handful_of_audit_rows(target: Target) -> None:
    began = time.monotonic()
    # A proxy names them, so that the rate of one address is not what bounds them.
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(base_url=target.url, transport=transport) as client:
        for number in range(300):
            bad = client.get(
                "/api/exports",
                headers={
                    "Authorization": f"Bearer bad-{number}",
                    "X-Forwarded-For": f"2001:db8::{number:x}",
                },
            )
            assert bad.status_code == 401
    with psycopg.connect(target.dsn) as connection:
        rows = connection.execute(
            "SELECT client, count FROM audit_events WHERE client = '2001:db8::/64'"
        ).fetchall()
    # Two in each window of a minute: the first at once, the others as one.
    assert 1 <= len(rows) <= 2 * (2 + (time.monotonic() - began) // WINDOW_SECONDS)


def test_forwarded_address_is_believed_from_a_trusted_proxy_alone(target: Target) -> None:
    for source, seen in (("127.0.0.2", "198.51.100.9"), ("127.0.0.9", "127.0.0.9")):
        transport = httpx.HTTPTransport(local_address=source)
        with httpx.Client(base_url=target.url, transport=transport) as client:
            client.get(
                "/api/exports/00000000-0000-0000-0000-000000000001",
                headers={
                    "Authorization": "Bearer attack-token",
                    # What stands first is the client's own invention.
                    "X-Forwarded-For": "203.0.113.1, 198.51.100.9",
                    "X-Forwarded-Proto": "https",
                },
            )
        with psycopg.connect(target.dsn) as connection:
            last = connection.execute(
                "SELECT client FROM audit_events WHERE actor IS NOT NULL ORDER BY id DESC LIMIT 1"
            ).fetchone()
        assert last == (seen,)


def test_person_holds_a_bounded_number_of_event_streams(target: Target) -> None:
    with client_of(target) as client, contextlib.ExitStack() as stack:
        job = client.post("/api/users/export").headers["location"]
        for _ in range(3):
            stream = stack.enter_context(client.stream("GET", f"{job}/events"))
            assert stream.status_code == 200
        refused = client.get(f"{job}/events")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_open")
        assert refused.headers["retry-after"]
    with client_of(target) as client:

        def opens() -> bool:
            with client.stream("GET", f"{job}/events") as stream:
                return stream.status_code == 200

        wait_until(opens, "what was held is free again")


def test_person_has_a_bounded_number_of_idempotency_keys(target: Target) -> None:
    with client_of(target) as client:
        statuses = [
            client.post("/api/users/export", headers={"Idempotency-Key": f"key-{number}"})
            for number in range(5)
        ]
        again = client.post("/api/users/export", headers={"Idempotency-Key": "key-0"})
    assert [each.status_code for each in statuses[3:]] == [429, 429]
    assert statuses[4].json()["code"] == "too_many_idempotency_keys"
    assert int(statuses[4].headers["retry-after"]) > 3600
    assert again.status_code in {200, 202}


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Bearer attack-token"), ("Authorization", "Bearer attack-token")],
        [("Authorization", "Bearer attack-token"), ("authorization", "Bearer other")],
        [("Authorization", "Bearer attack-token"), ("Host", "a.example.com"), ("Host", "x")],
        [("Authorization", "Bearer attack-token"), ("Content-Type", "a"), ("Content-Type", "b")],
    ],
)
def test_header_that_is_there_twice_is_a_bad_request(
    target: Target, headers: list[tuple[str, str]]
) -> None:
    with connect(target) as connection:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        host = "" if "Host" in lines else "Host: 127.0.0.1\r\n"
        connection.sendall(f"GET /api/exports HTTP/1.1\r\n{host}{lines}\r\n".encode())
        assert answer(connection).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("127.0.0.1:8000", 200), ("a.example.com", 200),
        ("A.EXAMPLE.COM:443", 200), ("example.com", 421), ("evil-example.com", 421),
        ("evil.test", 421), ("a.example.com.evil.test", 421), ("127.0.0.1@evil.test", 421),
    ],
)  # fmt: skip
def test_only_allowed_hosts_are_answered_for(target: Target, host: str, status: int) -> None:
    with client_of(target) as client:
        assert client.get("/api/exports", headers={"Host": host}).status_code == status


def test_every_answer_bears_the_headers_that_browsers_need(target: Target) -> None:
    with client_of(target) as client:
        for path in ("/api/exports", "/healthz", "/nowhere", "/openapi.json", "/api/exports/x"):
            headers = client.get(path).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert "strict-transport-security" not in headers
        assert client.get("/docs").status_code == 404
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(base_url=target.url, transport=transport) as client:
        answered = client.get("/healthz", headers={"X-Forwarded-Proto": "https"})
    assert answered.headers["strict-transport-security"].startswith("max-age=")


def test_docs_load_nothing_from_elsewhere(start_target: StartTarget) -> None:
    with start_target(only_api=True, WAYBILL_DOCS="true") as target, client_of(target) as client:
        page = client.get("/docs")
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert "//" not in page.text.replace("<!doctype html>", "")
        for name in ("swagger-ui-bundle.js", "swagger-ui.css", "start.js"):
            assert f"/docs/{name}" in page.text
            assert client.get(f"/docs/{name}").status_code == 200
        assert client.get("/docs/..%2fapp.py").status_code == 404
        assert client.get("/docs/LICENSE").status_code == 404
