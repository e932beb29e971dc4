"""The contract of ``NotificationChannel``: what the outbox and the dispatcher rely on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import uuid4

import pytest

from waybill.notify.delivery import Delivery, NotificationChannel
from waybill.notify.errors import DeliveryFailed
from waybill.notify.events import EMAIL, EventType
from waybill.notify.registry import CHANNELS
from waybill.notify.settings import NotificationSettings

from ..integration.notify.conftest import MailSink, free_port, listening, make_secret, serving_mail

PUBLIC: Final = "https://exports.example.com"
SECRETS: Final = ("ada@example.org", "t0ken", make_secret("k"))


@dataclass
class Case:
    """A channel that is switched on, and what its receiver got: the event ids."""

    channel: NotificationChannel
    told: Callable[[], list[str]]
    unheard: NotificationChannel | None = None
    """The same with nobody at its address; ``None`` if there is always somebody."""


def create(name: str, **settings: Any) -> NotificationChannel:
    channel = CHANNELS[name](NotificationSettings(public_url=PUBLIC, **settings))
    assert channel is not None
    return channel


@asynccontextmanager
async def _email() -> AsyncIterator[Case]:
    def settings(port: int) -> dict[str, Any]:
        plain = {"smtp_host": "127.0.0.1", "smtp_security": "none", "mail_from": "a@example.com"}
        return {**plain, "smtp_port": port}

    sink = MailSink()
    with serving_mail(sink):
        yield Case(
            create("email", **settings(sink.port)),
            lambda: [mail["Message-ID"].strip("<>").split("@")[0] for mail in sink.mails],
            create("email", **settings(free_port())),
        )


@asynccontextmanager
async def _webhook() -> AsyncIterator[Case]:
    def settings(port: int) -> dict[str, Any]:
        url = f"http://127.0.0.1:{port}/t0ken"
        return {
            "webhooks": [{"name": "crm", "url": url, "secrets": [make_secret("k")]}],
            "webhook_allow_http": True,
            "webhook_allow_private_networks": True,
        }

    async with listening() as receiver:
        yield Case(
            create("webhook", **settings(receiver.port)),
            lambda: [request.headers["webhook-id"] for request in receiver.requests],
            create("webhook", **settings(free_port())),
        )


# By registry name. A new channel is a line here, and the whole suite is its first test.
CASES: dict[str, Callable[[], AbstractAsyncContextManager[Case]]] = {
    "email": _email,
    "webhook": _webhook,
}


def delivery_to(channel: NotificationChannel) -> Delivery:
    (subscription, *_) = channel.subscriptions()
    return Delivery(
        id=uuid4(),
        event_id="evt_1",
        event=EventType.COMPLETED,
        export_id=uuid4(),
        channel=channel.name,
        target=subscription.target,
        payload={
            "type": "export.completed",
            "timestamp": "2026-05-01T12:00:00.000Z",
            "data": {
                "id": "1", "export_type": "users", "format": "csv", "status": "completed",
                "created_at": "2026-05-01T12:00:00.000Z", "finished_at": "2026-05-01T12:00:00.000Z",
                "expires_at": "2026-05-08T12:00:00.000Z", "rows": 1, "bytes": 2, "sha256": "ab",
                "links": {"self": f"{PUBLIC}/api/exports/1"},
            },
        },
        attempts=1,
        lease_token=uuid4(),
        requested_by="person-7",
        email=SECRETS[0] if channel.name == EMAIL else None,
    )  # fmt: skip


def test_every_channel_of_the_registry_is_under_contract() -> None:
    assert set(CASES) == set(CHANNELS)


@pytest.mark.parametrize("name", CASES)
async def test_channel_is_off_until_it_is_configured_and_keeps_its_name(name: str) -> None:
    assert CHANNELS[name](NotificationSettings()) is None
    async with CASES[name]() as case:
        assert case.channel.name == name


@pytest.mark.parametrize("name", CASES)
async def test_subscriptions_name_targets_once_and_show_no_secret(name: str) -> None:
    async with CASES[name]() as case:
        subscriptions = case.channel.subscriptions()
        targets = [each.target for each in subscriptions]
        assert len(set(targets)) == len(targets) >= 1
        assert all(each.events <= frozenset(EventType) for each in subscriptions)
        assert not any(secret in repr(subscriptions) for secret in SECRETS)


@pytest.mark.parametrize("name", CASES)
async def test_what_is_delivered_arrived_and_twice_under_one_id(name: str) -> None:
    async with CASES[name]() as case:
        delivery = delivery_to(case.channel)
        await case.channel.deliver(delivery)
        assert case.told() == ["evt_1"]
        await case.channel.deliver(replace(delivery, id=uuid4(), attempts=2))
        assert case.told() == ["evt_1", "evt_1"]


@pytest.mark.parametrize("name", CASES)
async def test_nobody_there_may_pass_and_is_told_without_secrets(name: str) -> None:
    async with CASES[name]() as case:
        if case.unheard is None:
            return
        async with asyncio.timeout(30):
            with pytest.raises(DeliveryFailed) as caught:
                await case.unheard.deliver(delivery_to(case.unheard))
        assert caught.value.code
        assert not any(secret in str(caught.value) for secret in SECRETS)
        assert case.told() == []
