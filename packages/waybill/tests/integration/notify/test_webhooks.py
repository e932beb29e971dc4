"""Webhooks to real receivers, verified by the library of Standard Webhooks."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from waybill.clock import SystemClock
from waybill.jobs.job import ExportJob
from waybill.notify.delivery import DeliveryState, DeliveryStatus
from waybill.notify.notifications import Notifications
from waybill.notify.targets import WebhookEndpoint
from waybill.notify.webhook.channel import WebhookChannel
from waybill.notify.webhook.egress import EgressPolicy
from waybill.notify.webhook.signing import signing_key

Build = Callable[..., Notifications]
AddJob = Callable[..., Awaitable[ExportJob]]
Tell = Callable[..., Awaitable[bool]]
Look = Callable[..., Awaitable[Sequence[DeliveryState]]]


def _answer(status: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "Content-Length: 0", "", ""]).encode()


async def _state(look: Look, job: ExportJob) -> DeliveryState:
    (state,) = await look(export_id=job.id)
    return state


async def test_completed_export_is_posted_and_verified(
    look: Look, build: Build, declare: Any, secret: Any, receiver: Any, add_job: AddJob, tell: Tell
) -> None:
    notifications = build(webhooks=[declare(receiver)])
    job = await add_job()
    assert await tell(notifications, job)
    assert await notifications.dispatcher.deliver_due() == 1

    (request,) = receiver.requests
    assert (request.method, request.path) == ("POST", "/hook")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    payload = Webhook(secret("k")).verify(request.body, request.headers)
    assert payload["type"] == "export.completed"
    assert payload["data"]["id"] == str(job.id)
    assert payload["data"]["rows"] == 2_000
    state = await _state(look, job)
    assert (state.status, state.attempts) == (DeliveryStatus.DELIVERED, 1)
    assert await notifications.dispatcher.deliver_due() == 0


async def test_both_secrets_verify_while_rotating(
    build: Build, declare: Any, secret: Any, receiver: Any, add_job: AddJob, tell: Tell
) -> None:
    notifications = build(webhooks=[declare(receiver, secrets=[secret("n"), secret("o")])])
    await tell(notifications, await add_job())
    await notifications.dispatcher.deliver_due()
    (request,) = receiver.requests
    for letter in "no":
        Webhook(secret(letter)).verify(request.body, request.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret("x")).verify(request.body, request.headers)


async def test_failing_receiver_gets_the_same_event_again_until_it_takes_it(
    look: Look,
    build: Build,
    declare: Any,
    secret: Any,
    receiver: Any,
    clock: Any,
    add_job: AddJob,
    tell: Tell,
) -> None:
    notifications = build(webhooks=[declare(receiver)])
    job = await add_job()
    await tell(notifications, job)
    receiver.answers = [_answer("500 Oops"), _answer("404 Not Found")]

    await notifications.dispatcher.deliver_due()
    state = await _state(look, job)
    assert (state.status, state.attempts, state.last_error_code) == ("pending", 1, "http_500")
    assert await notifications.dispatcher.deliver_due() == 0  # not before five seconds are over
    clock.advance(seconds=5.1)
    await notifications.dispatcher.deliver_due()
    assert (await _state(look, job)).last_error_code == "http_404"
    clock.advance(seconds=299)
    assert await notifications.dispatcher.deliver_due() == 0
    clock.advance(seconds=1.1)
    await notifications.dispatcher.deliver_due()

    state = await _state(look, job)
    assert (state.status, state.attempts, state.last_error_code) == ("delivered", 3, None)
    assert len(receiver.requests) == 3
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    assert len({request.body for request in receiver.requests}) == 1
    for request in receiver.requests:
        Webhook(secret("k")).verify(request.body, request.headers)


async def test_receiver_that_never_takes_it_ends_as_dead(
    look: Look, build: Build, declare: Any, receiver: Any, clock: Any, add_job: AddJob, tell: Tell
) -> None:
    notifications = build(webhooks=[declare(receiver)])
    job = await add_job()
    await tell(notifications, job)
    receiver.answers = [_answer("503 Busy")] * 10
    for _ in range(12):
        await notifications.dispatcher.deliver_due()
        clock.advance(days=1.1)
    assert len(receiver.requests) == 10
    state = await _state(look, job)
    assert (state.status, state.attempts, state.last_error_code) == ("dead", 10, "http_503")


@pytest.mark.parametrize(
    ("retry_after", "waits"), [("600", 600), ("1", 5), ("999999999", 86_400), ("nonsense", 5)]
)
async def test_receiver_that_asks_for_patience_gets_it_within_reason(
    retry_after: str,
    waits: float,
    build: Build,
    declare: Any,
    receiver: Any,
    clock: Any,
    add_job: AddJob,
    tell: Tell,
) -> None:
    notifications = build(webhooks=[declare(receiver)])
    await tell(notifications, await add_job())
    receiver.answers = [_answer("429 Slow Down", f"Retry-After: {retry_after}")]
    await notifications.dispatcher.deliver_due()
    clock.advance(seconds=waits - 1)
    assert await notifications.dispatcher.deliver_due() == 0
    clock.advance(seconds=2)
    assert await notifications.dispatcher.deliver_due() == 1


async def test_gone_receiver_is_sent_nothing_more_until_its_url_changes(
    look: Look,
    build: Build,
    declare: Any,
    receiver: Any,
    other_receiver: Any,
    clock: Any,
    add_job: AddJob,
    tell: Tell,
) -> None:
    notifications = build(webhooks=[declare(receiver)])
    first, second = await add_job(), await add_job()
    await tell(notifications, first)
    receiver.answers = [_answer("410 Gone")]
    await notifications.dispatcher.deliver_due()
    state = await _state(look, first)
    assert (state.status, state.last_error_code) == ("dead", "endpoint_gone")
    assert not await tell(notifications, second)
    clock.advance(days=1)
    assert await notifications.dispatcher.deliver_due() == 0
    assert len(receiver.requests) == 1

    moved = build(webhooks=[declare(other_receiver)])
    assert await tell(moved, second)
    await moved.dispatcher.deliver_due()
    assert len(other_receiver.requests) == 1


async def test_what_waits_for_a_gone_receiver_is_given_up_with_it(
    look: Look, build: Build, declare: Any, receiver: Any, clock: Any, add_job: AddJob, tell: Tell
) -> None:
    notifications = build(webhooks=[declare(receiver)])
    waiting, gone = await add_job(), await add_job()
    await tell(notifications, waiting)
    receiver.answers = [_answer("503 Busy"), _answer("410 Gone")]
    await notifications.dispatcher.deliver_due()
    await tell(notifications, gone)
    await notifications.dispatcher.deliver_due()
    for job in (waiting, gone):
        assert (await _state(look, job)).last_error_code == "endpoint_gone"
    clock.advance(days=1)
    assert await notifications.dispatcher.deliver_due() == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_a_failure_and_never_followed(
    look: Look,
    status: int,
    build: Build,
    declare: Any,
    receiver: Any,
    other_receiver: Any,
    add_job: AddJob,
    tell: Tell,
) -> None:
    notifications = build(webhooks=[declare(receiver)])
    job = await add_job()
    await tell(notifications, job)
    receiver.answers = [_answer(f"{status} Elsewhere", f"Location: {other_receiver.url}")]
    await notifications.dispatcher.deliver_due()
    state = await _state(look, job)
    assert (state.status, state.last_error_code) == ("pending", "redirect_refused")
    assert other_receiver.connections == 0


async def test_proxy_of_the_environment_is_not_used(
    build: Build,
    declare: Any,
    receiver: Any,
    other_receiver: Any,
    add_job: AddJob,
    tell: Tell,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, other_receiver.url)
    notifications = build(webhooks=[declare(receiver)])
    await tell(notifications, await add_job())
    await notifications.dispatcher.deliver_due()
    assert len(receiver.requests) == 1
    assert other_receiver.connections == 0


async def _trickle(writer: asyncio.StreamWriter, _: Any) -> None:
    """Answer one byte at a time, without end: no single read ever waits long."""
    writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _silence(writer: asyncio.StreamWriter, _: Any) -> None:
    await asyncio.Event().wait()


async def _flood_of_headers(writer: asyncio.StreamWriter, _: Any) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"X-Flood: " + b"x" * 10_000 + b"\r\n")
        await writer.drain()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (_trickle, "timed_out"),
        (_silence, "timed_out"),
        (_flood_of_headers, "protocol_error"),
        (b"", "protocol_error"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "protocol_error"),
        (b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n", "protocol_error"),
        (b"HTTP/1.1 \xff\xff\r\n\r\n", "protocol_error"),
    ],
)
async def test_misbehaving_receiver_costs_one_attempt(
    look: Look,
    answer: Any,
    code: str,
    build: Build,
    declare: Any,
    receiver: Any,
    add_job: AddJob,
    tell: Tell,
) -> None:
    notifications = build(webhooks=[declare(receiver)], webhook_timeout_seconds=0.5)
    job = await add_job()
    await tell(notifications, job)
    receiver.answers = [answer]
    async with asyncio.timeout(30):  # without a limit of its own it would never end
        await notifications.dispatcher.deliver_due()
    state = await _state(look, job)
    assert (state.status, state.attempts, state.last_error_code) == ("pending", 1, code)


async def test_body_without_end_is_not_read(
    look: Look, build: Build, declare: Any, receiver: Any, add_job: AddJob, tell: Tell
) -> None:
    written = 0
    cut = asyncio.Event()

    async def flood(writer: asyncio.StreamWriter, _: Any) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
        try:
            while not writer.is_closing():
                writer.write(b"x" * 65_536)
                await writer.drain()
                written += 65_536
        finally:
            cut.set()

    notifications = build(webhooks=[declare(receiver)])
    job = await add_job()
    await tell(notifications, job)
    receiver.answers = [flood]
    await notifications.dispatcher.deliver_due()
    assert (await _state(look, job)).status is DeliveryStatus.DELIVERED
    # The connection was cut: the flood ends, after the buffers of two sockets at most.
    async with asyncio.timeout(10):
        await cut.wait()
    assert written < 50_000_000


async def test_nobody_listening_is_unreachable(
    look: Look,
    build: Build,
    declare: Any,
    receiver: Any,
    unused_tcp_port: int,
    add_job: AddJob,
    tell: Tell,
) -> None:
    endpoint = declare(receiver, url=f"http://127.0.0.1:{unused_tcp_port}/")
    notifications = build(webhooks=[endpoint])
    job = await add_job()
    await tell(notifications, job)
    await notifications.dispatcher.deliver_due()
    assert (await _state(look, job)).last_error_code == "unreachable"


async def test_endpoint_that_is_no_longer_configured_gives_its_messages_up(
    look: Look, build: Build, declare: Any, receiver: Any, add_job: AddJob, tell: Tell
) -> None:
    job = await add_job()
    await tell(build(webhooks=[declare(receiver, "old")]), job)
    notifications = build(webhooks=[declare(receiver, "new")])
    await notifications.dispatcher.deliver_due()
    assert (await _state(look, job)).last_error_code == "endpoint_unknown"
    assert receiver.requests == []


async def test_endpoint_gets_only_the_events_it_asked_for(
    build: Build, declare: Any, receiver: Any, other_receiver: Any, add_job: AddJob, tell: Tell
) -> None:
    notifications = build(
        webhooks=[
            declare(receiver, "all"),
            declare(other_receiver, "failures", events=["export.failed"]),
        ]
    )
    for status in ("completed", "failed", "cancelled"):
        await tell(notifications, await add_job(status))
    await notifications.dispatcher.deliver_due()
    assert {json.loads(r.body)["type"] for r in receiver.requests} == {
        "export.completed",
        "export.failed",
        "export.cancelled",
    }
    assert [json.loads(r.body)["type"] for r in other_receiver.requests] == ["export.failed"]


# -- TLS, on the channel itself: the name is real, the address is ours ----------------------------


class _Delivery:
    target = "crm"
    event_id = "evt_1"

    def __init__(self) -> None:
        self.payload = {"type": "export.completed"}


def _channel(
    secret: Any, url: str, resolve: Any, *, trust: ssl.SSLContext | None = None, **policy: Any
) -> WebhookChannel:
    return WebhookChannel(
        [WebhookEndpoint("crm", url, (signing_key(secret("k")),))],
        policy=EgressPolicy(**policy),
        clock=SystemClock(),
        timeout_seconds=5,
        ssl_context=trust,
        resolve=resolve,
    )


async def _loopback(_host: str, _port: int) -> list[str]:
    return ["127.0.0.1"]


async def test_pinned_connection_still_verifies_the_name(
    serve_tls: Any, trust: ssl.SSLContext, secret: Any
) -> None:
    async with serve_tls("hooks.example.com") as receiver:
        channel = _channel(
            secret,
            f"https://hooks.example.com:{receiver.port}/hook",
            _loopback,
            trust=trust,
            allow_private_networks=True,
        )
        await channel.deliver(_Delivery())  # type: ignore[arg-type]
        (request,) = receiver.requests
        assert request.headers["host"] == f"hooks.example.com:{receiver.port}"


@pytest.mark.parametrize("trusted", [True, False])
async def test_certificate_of_another_name_or_of_nobody_is_refused(
    trusted: bool, serve_tls: Any, trust: ssl.SSLContext, secret: Any
) -> None:
    async with serve_tls("attacker.example" if trusted else "hooks.example.com") as receiver:
        channel = _channel(
            secret,
            f"https://hooks.example.com:{receiver.port}/hook",
            _loopback,
            trust=trust if trusted else None,
            allow_private_networks=True,
        )
        with pytest.raises(Exception, match="TLS") as failed:
            await channel.deliver(_Delivery())  # type: ignore[arg-type]
        assert failed.value.code == "tls_failed"  # type: ignore[attr-defined]
        assert receiver.requests == []
