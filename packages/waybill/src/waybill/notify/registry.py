"""The channels that people and programs are told by, by the name that rows have.

A new one is a folder beside ``email/`` and a line in ``CHANNELS``; the contract suite
(``tests/contracts/test_channels.py``) does the rest. An application that embeds us brings objects
of its own (``waybill.celery.install(channels=…)``), or names them in a setting, which processes of
ours read as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from waybill.errors import ConfigurationError
from waybill.notify.delivery import NotificationChannel
from waybill.notify.email.channel import EmailChannel
from waybill.notify.settings import NotificationSettings
from waybill.notify.webhook.channel import WebhookChannel
from waybill.references import import_object

CHANNELS: Mapping[str, Callable[[NotificationSettings], NotificationChannel | None]] = {
    EmailChannel.name: EmailChannel.from_settings,
    WebhookChannel.name: WebhookChannel.from_settings,
}

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def create_channels(
    settings: NotificationSettings, own: Sequence[NotificationChannel] = ()
) -> dict[str, NotificationChannel]:
    """Return the channels that these settings switch on or name, and an application's ``own``.

    Raises:
        ConfigurationError: what the settings name is no channel, a name of a channel is taken or
            none, or there is no public address to link to.
    """
    found = {name: create(settings) for name, create in CHANNELS.items()}
    channels = {name: channel for name, channel in found.items() if channel is not None}
    own = [*_named(settings.channels), *own]
    for channel in own:
        if channels.get(channel.name) is channel:
            continue  # named in the settings, and given as well
        if not _NAME.fullmatch(channel.name):
            raise ConfigurationError(
                f"A notification channel is called {channel.name!r}. Take a word of small letters, "
                "digits, - and _, like inbox."
            )
        if channel.name in CHANNELS or channel.name in channels:
            raise ConfigurationError(
                f"There are two notification channels {channel.name!r}. Choose another name: rows "
                "are delivered by it."
            )
        channels[channel.name] = channel
    if own and not settings.public_url:
        raise ConfigurationError(
            "Notifications link to this service: set WAYBILL_PUBLIC_URL to the address that "
            "clients see, like https://exports.example.com"
        )
    return channels


def _named(reference: str | None) -> Sequence[NotificationChannel]:
    """Return the channels that ``WAYBILL_CHANNELS`` names.

    Raises:
        ConfigurationError: it names nothing, or something else.
    """
    if reference is None:
        return ()
    found: Any = import_object("WAYBILL_CHANNELS", reference)
    if callable(found) and not _is_channel(found):
        found = found()
    channels = found if isinstance(found, list | tuple) else [found]
    for each in channels:
        if not _is_channel(each):
            raise ConfigurationError(
                f"WAYBILL_CHANNELS {reference!r}: {type(each).__name__!r} is no notification "
                "channel, which has a name, subscriptions() and deliver(). Point it at one, at a "
                "list of them, or at a function that returns either."
            )
    return channels


def _is_channel(found: object) -> bool:
    return (
        not isinstance(found, type)
        and isinstance(getattr(found, "name", None), str)
        and callable(getattr(found, "subscriptions", None))
        and callable(getattr(found, "deliver", None))
    )
