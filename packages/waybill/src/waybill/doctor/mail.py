"""The mail server: reachable, encrypted as the settings say, and willing to take our sender."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final

import aiosmtplib

from waybill.doctor.findings import Finding, Patient, Report
from waybill.notify.email.channel import connected
from waybill.notify.errors import DeliveryError

AREA: Final = "mail"
_SECONDS: Final = 10.0
_PASSING: Final = frozenset({"smtp_unreachable", "smtp_timed_out"})

_report = Report(AREA)


def examine(patient: Patient) -> Iterator[Finding]:
    """Greet the mail server, sign in, and offer it our sender; no mail is sent."""
    options = patient.settings.smtp_options()
    if options is None:
        return
    try:
        asyncio.run(_offer_sender(patient))
    except DeliveryError as exc:
        tell = _report.away if exc.code in _PASSING else _report.error
        yield tell("server", f"{exc}", "Check WAYBILL_SMTP_… against what the server wants.")
    else:
        yield _report.ok("server", "The mail server takes mail from our sender.")


async def _offer_sender(patient: Patient) -> None:
    options = patient.settings.smtp_options()
    assert options is not None  # noqa: S101 - the caller looked
    async with connected(options, within_seconds=_SECONDS) as client:
        await client.mail(options.sender.addr_spec)
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            await client.rset()
