"""E-mail by SMTP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import Self

import aiosmtplib

from waybill.clock import Clock, SystemClock
from waybill.notify.delivery import Delivery, Subscription
from waybill.notify.email.address import parse_address
from waybill.notify.email.mail import compose
from waybill.notify.errors import DeliveryError, DeliveryFailed, DeliveryRefused, is_tls_failure
from waybill.notify.events import EMAIL, REQUESTER, EventType
from waybill.notify.settings import NotificationSettings
from waybill.notify.targets import SmtpOptions, SmtpSecurity

_QUIT_SECONDS = 2.0


class EmailChannel:
    """Writes to the person who requested the export. Implements ``NotificationChannel``."""

    name = EMAIL

    def __init__(
        self,
        options: SmtpOptions,
        *,
        clock: Clock,
        events: frozenset[EventType] = frozenset(EventType),
    ) -> None:
        self._options = options
        self._clock = clock
        self._events = events

    @classmethod
    def from_settings(cls, settings: NotificationSettings) -> Self | None:
        """Return the channel; ``None`` without a mail server."""
        options = settings.smtp_options()
        if options is None:
            return None
        return cls(options, clock=SystemClock(), events=frozenset(settings.mail_events))

    def subscriptions(self) -> Sequence[Subscription]:
        """Return the one of the person who asked, whoever it is."""
        return [Subscription(REQUESTER, self._events)]

    async def deliver(self, delivery: Delivery) -> None:
        """Hand the mail to the SMTP server, whose 250 is the success.

        Raises:
            DeliveryFailed: the server is unreachable, busy, or refuses us.
            DeliveryRefused: it refuses this recipient or this mail, or there is no address.
        """
        if delivery.email is None:
            raise DeliveryRefused("no_address", "The requester's address is no longer kept.")
        try:
            recipient = parse_address(delivery.email)
        except ValueError as exc:
            raise DeliveryRefused("bad_address", "The requester's address is malformed.") from exc
        message = compose(
            delivery.event,
            delivery.payload,
            sender=self._options.sender,
            recipient=recipient,
            message_id=delivery.event_id,
            sent_at=self._clock.now(),
        )
        await self._send(message, recipient)

    async def _send(self, message: EmailMessage, recipient: str) -> None:
        options = self._options
        async with connected(options, within_seconds=options.timeout_seconds) as client:
            await client.send_message(
                message, sender=options.sender.addr_spec, recipients=[recipient]
            )


@asynccontextmanager
async def connected(
    options: SmtpOptions, *, within_seconds: float
) -> AsyncIterator[aiosmtplib.SMTP]:
    """Yield a session with the mail server, encrypted and signed in as the options say.

    Args:
        options: how to reach it.
        within_seconds: bounds all of it, the block included.

    Raises:
        DeliveryError: the server is unreachable, or refuses us; for what the block raises, too.
    """
    client = aiosmtplib.SMTP(
        hostname=options.host,
        port=options.port,
        username=options.username,
        password=options.password,
        local_hostname=options.sender.domain,
        timeout=within_seconds,
        use_tls=options.security is SmtpSecurity.TLS,
        start_tls=options.security is SmtpSecurity.STARTTLS,
        tls_context=options.tls_context,
    )
    try:
        # Over all: a server that trickles one byte per read never trips a read's time limit.
        async with asyncio.timeout(within_seconds):
            await client.connect()
            yield client
        # The server has done what was asked; a failed farewell must not have it done twice.
        with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
            await client.quit(timeout=_QUIT_SECONDS)
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as exc:
        raise _translated(exc) from exc
    finally:
        client.close()


def _translated(exc: Exception) -> DeliveryError:
    """Return our error for the library's. Its text may quote the recipient: it goes no further."""
    if isinstance(exc, aiosmtplib.SMTPRecipientsRefused) and exc.recipients:
        exc = exc.recipients[0]
    if isinstance(exc, aiosmtplib.SMTPAuthenticationError):
        return DeliveryFailed("smtp_auth_failed", "The mail server refuses our credentials.")
    if isinstance(exc, aiosmtplib.SMTPRecipientRefused | aiosmtplib.SMTPDataError):
        what = "recipient" if isinstance(exc, aiosmtplib.SMTPRecipientRefused) else "message"
        error = DeliveryRefused if exc.code >= 500 else DeliveryFailed
        return error(f"smtp_{what}_{exc.code}", f"The mail server refuses the {what}.")
    if isinstance(exc, aiosmtplib.SMTPResponseException):
        return DeliveryFailed(f"smtp_{exc.code}", "The mail server refuses us.")
    if is_tls_failure(exc):
        return DeliveryFailed("smtp_tls_failed", "TLS with the mail server fails.")
    if isinstance(exc, TimeoutError):
        return DeliveryFailed("smtp_timed_out", "The mail server does not answer in time.")
    if isinstance(exc, OSError):
        return DeliveryFailed("smtp_unreachable", "The mail server cannot be reached.")
    return DeliveryFailed("smtp_protocol_error", "The mail server does not speak as expected.")
