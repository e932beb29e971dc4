"""The mail server: reachable, encrypted as the settings say, and willing to take our sender."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from typing import Final

import aiosmtplib

from waybill.doctor.findings import Finding, Patient, Report
from waybill.notify.email.channel import connected
from waybill.notify.errors import DeliveryError

AREA: Final = "mail"
_SECONDS: Final = 10.0
_PASSING: Final = frozenset({"smtp_unreachable", "smtp_timed_out"})

_OUR_SENDER: Final = (
    "The mail server takes no mail from our sender.",
    "Correct WAYBILL_MAIL_FROM, or allow it there.",
)
_MEANINGS: Final = {
    "smtp_530": (
        "The mail server wants us to sign in first.",
        "Set WAYBILL_SMTP_USERNAME and WAYBILL_SMTP_PASSWORD.",
    ),
    "smtp_protocol_error": (
        "The mail server does not offer STARTTLS, or does not speak SMTP.",
        "Correct WAYBILL_SMTP_PORT, or WAYBILL_SMTP_SECURITY (tls, starttls, none).",
    ),
    "smtp_auth_failed": (
        "The mail server refuses our name and password.",
        "Correct WAYBILL_SMTP_USERNAME and WAYBILL_SMTP_PASSWORD.",
    ),
    **dict.fromkeys(("smtp_501", "smtp_550", "smtp_551", "smtp_553", "smtp_554"), _OUR_SENDER),
}
_CERTIFICATES: Final = {  # by OpenSSL's codes
    9: "it is not yet valid",
    10: "it has expired",
    18: "it is signed by itself",
    19: "its authority is not trusted",
    20: "its authority is not trusted",
    62: "it is of another name",
    64: "it is of another address",
}

_report = Report(AREA)


def examine(patient: Patient) -> Iterator[Finding]:
    """Greet the mail server, sign in, and offer it our sender; no mail is sent."""
    options = patient.settings.smtp_options()
    if options is None:
        return
    try:
        asyncio.run(_offer_sender(patient))
    except DeliveryError as exc:
        yield _refused(exc)
    else:
        yield _report.ok("server", "The mail server takes mail from our sender.")


def _refused(exc: DeliveryError) -> Finding:
    if exc.code in _PASSING:
        return _report.away(
            "server", f"{exc}", "Check WAYBILL_SMTP_HOST and _PORT, and the way there."
        )
    certificate = _certificate_of(exc)
    if certificate is not None:
        return _report.error(
            "server", f"The mail server's certificate does not hold: {certificate}.",
            "Have it renewed, correct WAYBILL_SMTP_HOST, or name its authority (SSL_CERT_FILE).",
        )  # fmt: skip
    sentence, remedy = _MEANINGS.get(
        exc.code, (f"{exc} ({exc.code})", "Check WAYBILL_SMTP_… against what the server wants.")
    )
    return _report.error("server", sentence, remedy)


def _certificate_of(exc: BaseException | None) -> str | None:
    """Return what OpenSSL has against a certificate; its words are a table's, nobody's text."""
    while exc is not None:
        if isinstance(exc, ssl.SSLCertVerificationError):
            return _CERTIFICATES.get(exc.verify_code, "its chain is not trusted")
        exc = exc.__cause__ or exc.__context__
    return None


async def _offer_sender(patient: Patient) -> None:
    options = patient.settings.smtp_options()
    assert options is not None  # noqa: S101 - the caller looked
    async with connected(options, within_seconds=_SECONDS) as client:
        await client.mail(options.sender.addr_spec)
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            await client.rset()
