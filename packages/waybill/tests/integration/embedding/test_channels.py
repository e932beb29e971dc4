"""Notification channels that an application brings along."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import pytest
from celery import Celery

import waybill
import waybill.celery
from waybill.bootstrap.api import ApiParts
from waybill.bootstrap.scheduler import DeliveryParts, SchedulerParts
from waybill.bootstrap.worker import WorkerParts
from waybill.catalog import Catalog
from waybill.celery import Delivery, DeliveryRefused, Subscription
from waybill.config import Settings
from waybill.errors import ConfigurationError
from waybill.notify.events import EventType
from waybill.notify.registry import create_channels
from waybill.requests.request import ExportRequest
from waybill.testing import run_export

ANN = waybill.Principal("ann", tenant="acme", email="ann@example.org")
PUBLIC = "https://exports.example.com"
Execute = Callable[..., list[tuple[Any, ...]]]


class Inbox:
    """The messages that people find when they sign in to the application."""

    def __init__(self, name: str = "inbox") -> None:
        self.name = name
        self.messages: list[tuple[str, str | None, str, str | None]] = []

    def subscriptions(self) -> Sequence[Subscription]:
        return [
            Subscription("people", frozenset({EventType.COMPLETED})),
            Subscription("desk", frozenset({EventType.CANCELLED})),
        ]

    async def deliver(self, delivery: Delivery) -> None:
        if delivery.target == "desk":
            raise DeliveryRefused("desk_closed", "Nobody works here.")
        self.messages.append(
            (delivery.requested_by, delivery.tenant, delivery.event.value, delivery.email)
        )


def installed(settings: Settings, catalog: Catalog, *channels: Any) -> Celery:
    app = Celery("theirs", broker="redis://127.0.0.1:1/0", set_as_current=False)
    waybill.celery.install(app, settings, catalog=catalog, channels=channels)
    return app


@pytest.fixture
def here(settings: Settings) -> Settings:
    return settings.model_copy(
        update={"public_url": PUBLIC, "smtp_host": "127.0.0.1", "mail_from": "a@example.com"}
    )


def test_own_channel_is_told_in_the_jobs_transaction_and_delivers(
    here: Settings, catalog: Catalog, execute: Execute
) -> None:
    inbox = Inbox()
    app = installed(here, catalog, inbox)
    run_export(here, "users", ANN, catalog=catalog, channels=[inbox])
    execute("UPDATE notifications SET next_attempt_at = NULL, status = 'dead', settled_at = now()"
            " WHERE channel = 'email'")  # fmt: skip
    app.tasks["waybill.notify"]()
    # Who asked, for an application that knows its people; the address is for mails alone.
    assert inbox.messages == [("ann", "acme", "export.completed", None)]
    rows = "SELECT target, status FROM notifications WHERE channel = 'inbox'"
    assert execute(rows) == [("people", "delivered")]


async def test_what_the_api_ends_is_told_by_its_channels(
    here: Settings, catalog: Catalog, execute: Execute
) -> None:
    async with ApiParts(here, catalog=catalog, channels=[Inbox()]) as parts:
        asked = await parts.exports.request(ANN, ExportRequest("users"))
        await parts.exports.discard(ANN, asked.job.id)
    assert execute("SELECT channel, target FROM notifications") == [("inbox", "desk")]


# -- in processes of ours --------------------------------------------------------------------------


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The application's own, as ``WAYBILL_CHANNELS`` names it."""
    found = ModuleType("shop_channels_of_a_test")
    found.inbox = Inbox()  # type: ignore[attr-defined]
    found.several = [found.inbox, Inbox("pager")]  # type: ignore[attr-defined]
    found.make = lambda: found.several  # type: ignore[attr-defined]
    found.nothing = object()  # type: ignore[attr-defined]
    found.Inbox = type("Inbox", (Inbox,), {"name": "inbox"})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, found.__name__, found)
    return found


def test_plain_worker_and_scheduler_tell_by_the_channels_that_the_settings_name(
    here: Settings, catalog: Catalog, execute: Execute, module: Any
) -> None:
    named = here.model_copy(update={"channels": f"{module.__name__}:inbox", "smtp_host": None})
    run_export(named, "users", ANN, catalog=catalog)

    async def deliver() -> int:
        async with DeliveryParts(named) as scheduler:
            return await scheduler.notifications.dispatcher.deliver_due()

    assert asyncio.run(deliver()) == 1
    assert module.inbox.messages == [("ann", "acme", "export.completed", None)]


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("inbox", ["inbox"]),
        ("several", ["inbox", "pager"]),
        ("make", ["inbox", "pager"]),
        ("Inbox", ["inbox"]),
    ],
)
def test_setting_names_a_channel_a_list_or_what_makes_one(
    here: Settings, module: Any, name: str, channels: list[str]
) -> None:
    named = here.model_copy(update={"channels": f"{module.__name__}:{name}", "smtp_host": None})
    found = create_channels(named)
    assert list(found) == channels
    # An application in the same environment may give its own as well.
    if name == "several":
        assert create_channels(named, [module.inbox]) == found


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("nowhere_at_all:channels", "there is no module 'nowhere_at_all'"),
        ("{module}:inbx", "Did you mean 'inbox'"),
        ("{module}:nothing", "'object' is no notification channel"),
        ("{module}.inbox", "no import string"),
    ],
)
def test_setting_that_names_no_channel_ends_each_role_at_its_start(
    here: Settings, catalog: Catalog, module: Any, reference: str, said: str
) -> None:
    wrong = here.model_copy(update={"channels": reference.format(module=module.__name__)})
    for start in (WorkerParts, SchedulerParts, ApiParts):
        with pytest.raises(ConfigurationError, match=said) as refused:
            start(wrong, catalog=catalog)
        assert "WAYBILL_CHANNELS" in str(refused.value)


@pytest.mark.parametrize(
    ("update", "names", "said"),
    [
        ({}, ["webhook"], "two notification channels 'webhook'"),
        ({}, ["inbox", "inbox"], "two notification channels 'inbox'"),
        ({}, ["In box"], "Take a word of small letters"),
        ({"public_url": ""}, ["inbox"], "set WAYBILL_PUBLIC_URL"),
    ],
)
def test_channel_that_cannot_be_is_refused_where_it_is_given(
    here: Settings, catalog: Catalog, update: dict[str, Any], names: list[str], said: str
) -> None:
    given = here.model_copy(update=update)
    channels = [Inbox(name) for name in names]
    with pytest.raises(ConfigurationError, match=said):
        installed(given, catalog, *channels)
    with pytest.raises(ConfigurationError, match=said):
        waybill.router(given, catalog=catalog, principal=lambda: ANN, channels=channels)
