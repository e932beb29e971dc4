"""The channels that people and programs are told by, by the name that rows have.

A new one is a folder beside ``email/`` and a line in ``CHANNELS``; the contract suite
(``tests/contracts/test_channels.py``) does the rest. An application that embeds us brings objects
of its own (``waybill.celery.install(channels=…)``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from waybill.errors import ConfigurationError
from waybill.notify.delivery import NotificationChannel
from waybill.notify.email.channel import EmailChannel
from waybill.notify.settings import NotificationSettings
from waybill.notify.webhook.channel import WebhookChannel

CHANNELS: Mapping[str, Callable[[NotificationSettings], NotificationChannel | None]] = {
    EmailChannel.name: EmailChannel.from_settings,
    WebhookChannel.name: WebhookChannel.from_settings,
}

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def create_channels(
    settings: NotificationSettings, own: Sequence[NotificationChannel] = ()
) -> dict[str, NotificationChannel]:
    """Return the channels that these settings switch on, and an application's ``own``.

    Raises:
        ConfigurationError: a name of ``own`` is taken or none, or there is no public address to
            link to.
    """
    found = {name: create(settings) for name, create in CHANNELS.items()}
    channels = {name: channel for name, channel in found.items() if channel is not None}
    for channel in own:
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
