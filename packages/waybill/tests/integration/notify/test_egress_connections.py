"""Fault 27: a webhook aimed inside is refused before anything connects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpcore
import pytest

from waybill.clock import SystemClock
from waybill.jobs.job import ExportJob
from waybill.notify.dispatcher import NotificationDispatcher
from waybill.notify.errors import DeliveryFailed, TargetForbidden
from waybill.notify.events import WEBHOOK
from waybill.notify.notifications import Notifications
from waybill.notify.retry import RetrySchedule
from waybill.notify.targets import WebhookEndpoint
from waybill.notify.webhook.channel import WebhookChannel
from waybill.notify.webhook.egress import EgressPolicy
from waybill.notify.webhook.signing import signing_key
from waybill.notify.webhook.transport import PinnedBackend, resolve_with_system


class ScriptedResolver:
    """Answers what the script says, one entry per question, and counts the questions."""

    def __init__(self, *script: Sequence[str]) -> None:
        self.script = list(script)
        self.questions: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.questions.append((host, port))
        return self.script[min(len(self.questions), len(self.script)) - 1]


@pytest.mark.parametrize(
    "answers",
    [["127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["93.184.216.34", "127.0.0.1"]],
)
async def test_name_that_resolves_inside_is_refused_before_connecting(
    answers: list[str], receiver: Any
) -> None:
    backend = PinnedBackend(EgressPolicy(), ScriptedResolver(answers))
    with pytest.raises(TargetForbidden):
        await backend.connect_tcp("hooks.example.com", receiver.port, timeout=1)
    assert receiver.connections == 0


async def test_rebinding_name_is_resolved_once_and_the_checked_address_is_used(
    receiver: Any,
) -> None:
    # A public address first, a private one for everybody who asks again. No test reaches the
    # public one, so what is asserted is where the connection was attempted.
    attempted: list[str] = []
    resolver = ScriptedResolver(["93.184.216.34"], ["127.0.0.1"])

    class Network(httpcore.AsyncNetworkBackend):
        async def connect_tcp(self, host: str, port: int, **_: Any) -> Any:
            attempted.append(host)
            raise httpcore.ConnectError

    backend = PinnedBackend(EgressPolicy(), resolver, Network())
    with pytest.raises(httpcore.ConnectError):
        await backend.connect_tcp("hooks.example.com", receiver.port)
    assert attempted == ["93.184.216.34"]
    assert resolver.questions == [("hooks.example.com", receiver.port)]
    assert receiver.connections == 0


async def test_one_delivery_asks_the_resolver_once(receiver: Any, secret: Any) -> None:
    # The second answer would be refused: a second question would fail this delivery.
    resolver = ScriptedResolver(["127.0.0.1"], ["169.254.169.254"])
    channel = WebhookChannel(
        [
            WebhookEndpoint(
                "crm",
                f"http://hooks.example.com:{receiver.port}/hook",
                (signing_key(secret("k")),),
            )
        ],
        policy=EgressPolicy(allow_http=True, allow_private_networks=True),
        clock=SystemClock(),
        resolve=resolver,
    )

    class Delivery:
        target, event_id, payload = "crm", "evt_1", {"type": "export.completed"}

    await channel.deliver(Delivery())  # type: ignore[arg-type]
    assert len(resolver.questions) == 1
    assert len(receiver.requests) == 1
    with pytest.raises(TargetForbidden):
        await channel.deliver(Delivery())  # type: ignore[arg-type]
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "localhost", "[::ffff:127.0.0.1]"]
)
async def test_spelling_that_the_system_would_resolve_inside_is_refused_by_the_transport_too(
    host: str, receiver: Any
) -> None:
    # The second gate alone, with the system's own resolver behind it, as if the first had a hole.
    backend = PinnedBackend(EgressPolicy(), resolve_with_system)
    with pytest.raises((TargetForbidden, OSError)):
        await backend.connect_tcp(host.strip("[]"), receiver.port, timeout=1)
    assert receiver.connections == 0


async def test_unix_socket_is_refused() -> None:
    backend = PinnedBackend(EgressPolicy())
    with pytest.raises(httpcore.UnsupportedProtocol):
        await backend.connect_unix_socket("/var/run/docker.sock")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/hook",
        "https://127.0.0.1:{port}/hook",
        "http://2130706433:{port}/hook",
        "http://[::ffff:127.0.0.1]:{port}/hook",
        "http://localhost:{port}/hook",
        "http://169.254.169.254/latest/meta-data/",
        "http://rebound.example.com:{port}/hook",
    ],
)
async def test_forbidden_webhook_never_connects_and_the_job_stays_completed(
    look: Any,
    url: str,
    receiver: Any,
    secret: Any,
    build: Callable[..., Notifications],
    declare: Any,
    clock: Any,
    engine: Any,
    execute: Any,
    add_job: Callable[..., Awaitable[ExportJob]],
    tell: Callable[..., Awaitable[bool]],
) -> None:
    notifications = build(webhooks=[declare(receiver)])
    job = await add_job()
    await tell(notifications, job)
    channel = WebhookChannel(
        [WebhookEndpoint("crm", url.format(port=receiver.port), (signing_key(secret("k")),))],
        policy=EgressPolicy(allow_http=True),
        clock=SystemClock(),
        resolve=ScriptedResolver(["127.0.0.1"]),
    )
    dispatcher = NotificationDispatcher(
        deliveries=notifications.deliveries,
        channels={WEBHOOK: channel},
        schedule=RetrySchedule(),
        clock=clock,
    )
    assert await dispatcher.deliver_due() == 1
    (state,) = await look(export_id=job.id)
    assert (state.status, state.last_error_code) == ("pending", "target_forbidden")
    assert receiver.connections == 0
    assert execute("SELECT status FROM export_jobs") == [("completed",)]


async def test_name_without_an_address_is_a_failed_attempt(secret: Any) -> None:
    async def nowhere(_host: str, _port: int) -> Sequence[str]:
        raise OSError

    channel = WebhookChannel(
        [WebhookEndpoint("crm", "https://hooks.example.com/", (signing_key(secret("k")),))],
        policy=EgressPolicy(),
        clock=SystemClock(),
        resolve=nowhere,
    )

    class Delivery:
        target, event_id, payload = "crm", "evt_1", {"type": "export.completed"}

    with pytest.raises(DeliveryFailed) as failed:
        await channel.deliver(Delivery())  # type: ignore[arg-type]
    assert failed.value.code == "not_resolved"
