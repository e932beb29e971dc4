"""Where notifications go, as the operator declares it. Values only: the settings are read by every
command, and need no mail or HTTP library for that."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass, field
from email.headerregistry import Address
from enum import StrEnum

from waybill.notify.events import EventType


class SmtpSecurity(StrEnum):
    """``starttls`` insists on it (port 587); ``tls`` speaks TLS from the first byte (port 465);
    ``none`` is for a relay on this machine or a test."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class SmtpOptions:
    """How to reach the mail server. ``port`` ``None`` is the usual one of ``security``."""

    host: str
    sender: Address
    port: int | None = None
    security: SmtpSecurity = SmtpSecurity.STARTTLS
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout_seconds: float = 30.0
    tls_context: ssl.SSLContext | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """A receiver the operator declared.

    Args:
        url: may hold a token in its path, so it prints nowhere.
        keys: from ``signing_key``; two while a secret is rotated.
    """

    name: str
    url: str = field(repr=False)
    keys: tuple[bytes, ...] = field(repr=False)
    events: frozenset[EventType] = frozenset(EventType)

    @property
    def fingerprint(self) -> str:
        """A name for the URL that gives it away to nobody."""
        return hashlib.sha256(self.url.encode()).hexdigest()
