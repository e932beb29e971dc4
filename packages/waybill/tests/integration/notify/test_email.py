"""Mails handed to a real SMTP server, and read back from it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from email.headerregistry import Address
from typing import Any

import pytest
import trustme
from aiosmtpd.smtp import AuthResult, LoginPassword

from waybill.jobs.job import ExportJob
from waybill.notify.delivery import DeliveryState
from waybill.notify.email.channel import EmailChannel
from waybill.notify.errors import DeliveryFailed
from waybill.notify.events import EventType
from waybill.notify.notifications import Notifications
from waybill.notify.targets import SmtpOptions, SmtpSecurity

Build = Callable[..., Notifications]
AddJob = Callable[..., Awaitable[ExportJob]]
Tell = Callable[..., Awaitable[bool]]
Look = Callable[..., Awaitable[Sequence[DeliveryState]]]
ADA = "ada@example.org"


async def _state(look: Look, job: ExportJob) -> DeliveryState:
    (state,) = await look(export_id=job.id)
    return state


async def test_completed_export_is_mailed_to_who_asked_for_it(
    look: Look, build: Build, mail_sink: Any, mail_settings: Any, add_job: AddJob, tell: Tell
) -> None:
    notifications = build(**mail_settings(mail_sink))
    job = await add_job()
    await tell(notifications, job, email=ADA)
    await notifications.dispatcher.deliver_due()

    (message,) = mail_sink.mails
    assert mail_sink.envelopes == [("exports@example.com", [ADA])]
    assert message["To"] == ADA
    assert message["Subject"] == "Your export of users is ready"
    assert message["Auto-Submitted"] == "auto-generated"
    text = message.get_body(("plain",)).get_content()
    html = message.get_body(("html",)).get_content()
    page = f"https://exports.example.com/exports/{job.id}"
    assert page in text
    assert f'href="{page}"' in html
    assert "Rows: 2,000" in text
    state = await _state(look, job)
    assert state.status == "delivered"
    assert message["Message-ID"] == f"<{state.event_id}@example.com>"


async def test_mail_has_no_link_that_works_without_signing_in(
    build: Build, mail_sink: Any, mail_settings: Any, add_job: AddJob, tell: Tell
) -> None:
    notifications = build(**mail_settings(mail_sink))
    for status in ("completed", "failed"):
        await tell(notifications, await add_job(status), email=ADA)
    await notifications.dispatcher.deliver_due()
    assert len(mail_sink.mails) == 2
    for message in mail_sink.mails:
        raw = message.as_string()
        for word in ("X-Amz", "Signature", "token", "object", "data.csv", "person-7"):
            assert word not in raw


async def test_job_without_an_address_is_told_to_nobody(
    build: Build, mail_sink: Any, mail_settings: Any, add_job: AddJob, tell: Tell
) -> None:
    notifications = build(**mail_settings(mail_sink))
    assert not await tell(notifications, await add_job())
    assert not await tell(
        notifications, await add_job(), email="ada@example.org\r\nBcc: eve@example.net"
    )
    assert await notifications.dispatcher.deliver_due() == 0
    assert mail_sink.mails == []


@pytest.mark.parametrize(
    ("answers", "status", "code"),
    [
        ({"rcpt_answers": ["550 No such user"]}, "dead", "smtp_recipient_550"),
        ({"rcpt_answers": ["450 Greylisted"]}, "pending", "smtp_recipient_450"),
        ({"data_answers": ["554 Looks like spam"]}, "dead", "smtp_message_554"),
        ({"data_answers": ["451 Try later"]}, "pending", "smtp_message_451"),
    ],
)
async def test_refusal_for_good_is_dead_and_for_now_is_retried(
    look: Look,
    answers: dict[str, list[str]],
    status: str,
    code: str,
    build: Build,
    mail_sink: Any,
    mail_settings: Any,
    add_job: AddJob,
    tell: Tell,
) -> None:
    for name, values in answers.items():
        setattr(mail_sink, name, values)
    notifications = build(**mail_settings(mail_sink))
    job = await add_job()
    await tell(notifications, job, email=ADA)
    await notifications.dispatcher.deliver_due()
    state = await _state(look, job)
    assert (state.status, state.last_error_code) == (status, code)


async def test_mail_server_that_comes_back_gets_the_same_mail(
    look: Look,
    build: Build,
    serve_mail: Any,
    mail_settings: Any,
    clock: Any,
    add_job: AddJob,
    tell: Tell,
) -> None:
    with serve_mail() as sink:
        settings = mail_settings(sink)
    notifications = build(**settings)  # the server is gone by now
    job = await add_job()
    await tell(notifications, job, email=ADA)
    await notifications.dispatcher.deliver_due()
    assert (await _state(look, job)).last_error_code == "smtp_unreachable"
    clock.advance(seconds=6)
    with serve_mail() as sink:
        await build(**mail_settings(sink)).dispatcher.deliver_due()
        assert [mail["To"] for mail in sink.mails] == [ADA]


async def test_silent_mail_server_times_out(
    look: Look, build: Build, receiver: Any, mail_settings: Any, add_job: AddJob, tell: Tell
) -> None:
    # The HTTP receiver waits for a request, so an SMTP client waits for its greeting.
    notifications = build(**(mail_settings(receiver) | {"smtp_timeout_seconds": 0.5}))
    job = await add_job()
    await tell(notifications, job, email=ADA)
    await notifications.dispatcher.deliver_due()
    assert (await _state(look, job)).last_error_code == "smtp_timed_out"


# -- TLS and passwords, on the channel itself ------------------------------------------------------


class _Delivery:
    id = target = "x"
    event_id = "evt_1"
    email = ADA

    def __init__(self) -> None:
        self.event = EventType.CANCELLED
        self.payload = {
            "data": {
                "id": "1",
                "export_type": "users",
                "format": "csv",
                "links": {"page": "https://exports.example.com/exports/1"},
            }
        }


def _channel(
    sink: Any, clock: Any, security: SmtpSecurity, trust: ssl.SSLContext | None, **login: str
) -> EmailChannel:
    return EmailChannel(
        SmtpOptions(
            host="127.0.0.1",
            port=sink.port,
            sender=Address("Exports", addr_spec="exports@example.com"),
            security=security,
            timeout_seconds=5,
            tls_context=trust,
            **login,  # type: ignore[arg-type]
        ),
        clock=clock,
    )


@pytest.fixture
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def _check_login(_server: Any, _session: Any, _envelope: Any, _kind: str, data: Any) -> AuthResult:
    assert isinstance(data, LoginPassword)
    # Not handled: aiosmtpd itself answers 535.
    return AuthResult(success=data == LoginPassword(b"exports", b"right"), handled=False)


async def test_starttls_and_password_are_used(
    serve_mail: Any, server_context: ssl.SSLContext, trust: ssl.SSLContext, clock: Any
) -> None:
    with serve_mail(
        tls_context=server_context,
        require_starttls=True,
        authenticator=_check_login,
        auth_required=True,
    ) as sink:
        channel = _channel(
            sink, clock, SmtpSecurity.STARTTLS, trust, username="exports", password="right"
        )
        await channel.deliver(_Delivery())  # type: ignore[arg-type]
        assert len(sink.mails) == 1
        assert sink.tls

        wrong = _channel(
            sink, clock, SmtpSecurity.STARTTLS, trust, username="exports", password="wr0ng"
        )
        with pytest.raises(DeliveryFailed) as failed:
            await wrong.deliver(_Delivery())  # type: ignore[arg-type]
        assert failed.value.code == "smtp_auth_failed"
        assert "wr0ng" not in str(failed.value)


async def test_tls_from_the_first_byte_is_used(
    serve_mail: Any, server_context: ssl.SSLContext, trust: ssl.SSLContext, clock: Any
) -> None:
    with serve_mail(ssl_context=server_context) as sink:
        channel = _channel(sink, clock, SmtpSecurity.TLS, trust)
        await channel.deliver(_Delivery())  # type: ignore[arg-type]
        assert len(sink.mails) == 1


async def test_server_without_starttls_gets_nothing(serve_mail: Any, clock: Any) -> None:
    with serve_mail() as sink:
        channel = _channel(sink, clock, SmtpSecurity.STARTTLS, None)
        with pytest.raises(DeliveryFailed) as failed:
            await channel.deliver(_Delivery())  # type: ignore[arg-type]
        assert failed.value.code == "smtp_protocol_error"
        assert sink.mails == []


@pytest.mark.parametrize("security", [SmtpSecurity.STARTTLS, SmtpSecurity.TLS])
async def test_certificate_nobody_vouches_for_is_refused(
    security: SmtpSecurity, serve_mail: Any, server_context: ssl.SSLContext, clock: Any
) -> None:
    options = (
        {"ssl_context": server_context}
        if security is SmtpSecurity.TLS
        else {"tls_context": server_context}
    )
    with serve_mail(**options) as sink:
        with pytest.raises(DeliveryFailed) as failed:
            await _channel(sink, clock, security, None).deliver(_Delivery())  # type: ignore[arg-type]
        assert failed.value.code == "smtp_tls_failed"
        assert sink.mails == []


async def test_farewell_that_is_never_answered_does_not_send_the_mail_twice(clock: Any) -> None:
    """The mail is taken with 250; the server then stops talking."""
    taken: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def say(line: bytes) -> None:
            writer.write(line + b"\r\n")
            await writer.drain()

        await say(b"220 ready")
        for answer in (b"250 hello", b"250 sender", b"250 recipient", b"354 go on"):
            await reader.readline()
            await say(answer)
        taken.append(await reader.readuntil(b"\r\n.\r\n"))
        await say(b"250 taken")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)

    class Sink:
        port = server.sockets[0].getsockname()[1]

    await _channel(Sink, clock, SmtpSecurity.NONE, None).deliver(_Delivery())  # type: ignore[arg-type]
    server.close()
    assert len(taken) == 1
