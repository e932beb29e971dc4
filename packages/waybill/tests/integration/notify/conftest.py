"""Receivers that listen on the loopback address, and an outbox in a database of the test's own."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import email
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from email import policy
from email.message import EmailMessage
from typing import Any
from uuid import UUID, uuid4

import pytest
import trustme
from aiosmtpd.controller import Controller
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from waybill.clock import Clock
from waybill.config import Settings
from waybill.jobs.job import ExportJob
from waybill.jobs.reach import EVERYTHING
from waybill.jobs.rows import JOB_COLUMNS, job_of
from waybill.jobs.tables import export_jobs
from waybill.notify.delivery import DeliveryState, NotificationFilter
from waybill.notify.notifications import Notifications, build_notifications
from waybill.notify.registry import create_channels
from waybill.notify.settings import NotificationSettings
from waybill.notify.states import NotificationStates

from ..urls import sqlalchemy_url

OK = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass
class Request:
    """What arrived at a receiver."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[asyncio.StreamWriter, Request], Awaitable[None]]


@dataclass
class Receiver:
    """A real HTTP receiver: what it answers is set by the test, to the byte."""

    port: int = 0
    scheme: str = "http"
    connections: int = 0
    requests: list[Request] = field(default_factory=list)
    answers: list[bytes | Answer] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/hook"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
            method, path, _ = line.split(" ")
            headers = {k.lower(): v for k, v in (text.split(": ", 1) for text in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            request = Request(method, path, headers, body)
            self.requests.append(request)
            answer = self.answers.pop(0) if self.answers else OK
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer, request)
        writer.close()


@contextlib.asynccontextmanager
async def listening(context: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver(scheme="https" if context else "http")
    handlers: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.create_task(receiver.serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver on the loopback address that answers 204 unless told otherwise."""
    async with listening() as receiver:
        yield receiver


@pytest.fixture
async def other_receiver() -> AsyncIterator[Receiver]:
    async with listening() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority of the session's own."""
    return trustme.CA()


@pytest.fixture
def trust(authority: trustme.CA) -> ssl.SSLContext:
    """A client's context that trusts the session's authority and nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


@pytest.fixture
def serve_tls(authority: trustme.CA) -> Callable[[str], Any]:
    """Open a TLS receiver with a certificate for a name."""

    def serve(name: str) -> Any:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        return listening(context)

    return serve


def make_secret(letter: str) -> str:
    return f"whsec_{base64.b64encode(letter.encode() * 32).decode()}"


def declared(receiver: Receiver, name: str = "crm", **changes: Any) -> dict[str, Any]:
    """A receiver as the settings declare it."""
    return {"name": name, "url": receiver.url, "secrets": [make_secret("k")]} | changes


@pytest.fixture
def declare() -> Callable[..., dict[str, Any]]:
    return declared


@pytest.fixture
def secret() -> Callable[[str], str]:
    return make_secret


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(sqlalchemy_url(settings))
    yield engine
    await engine.dispose()


@pytest.fixture
def build(engine: AsyncEngine, clock: Clock) -> Callable[..., Notifications]:
    """Put notifications together from settings, with loopback receivers allowed."""

    def build(**settings: Any) -> Notifications:
        defaults = {
            "public_url": "https://exports.example.com",
            "pages": True,
            "webhook_allow_http": True,
            "webhook_allow_private_networks": True,
            "webhook_timeout_seconds": 5,
            "notify_retry_jitter": 0,
        }
        found = NotificationSettings(**(defaults | settings))
        return build_notifications(found, create_channels(found), engine, clock=clock)

    return build


@pytest.fixture
def states(engine: AsyncEngine, clock: Clock) -> NotificationStates:
    return NotificationStates(engine, clock)


@pytest.fixture
def look(states: NotificationStates) -> Callable[..., Awaitable[Sequence[DeliveryState]]]:
    """Say what became of the notifications that match, the newest first."""

    async def look(**wanted: Any) -> Sequence[DeliveryState]:
        return await states.list(NotificationFilter(**wanted), within=EVERYTHING, limit=10)

    return look


@pytest.fixture
def add_job(engine: AsyncEngine, clock: Clock) -> Callable[..., Awaitable[ExportJob]]:
    """Insert a job as it stands after its end, and return it."""

    async def add(status: str = "completed", **changes: Any) -> ExportJob:
        now = clock.now()
        values: dict[str, Any] = {
            "id": uuid4(),
            "export_type": "users",
            "format": "csv",
            "requested_by": "person-7",
            "status": status,
            "attempt": 1,
            "max_attempts": 3,
            "finished_at": now,
        }
        if status == "completed":
            values |= {
                "expires_at": now + timedelta(days=7),
                "rows_done": 2_000,
                "storage": "s3",
                "object_key": "exports/1/data.csv",
                "object_bytes": 123_456,
                "sha256": "ab" * 32,
                "manifest": {},
            }
        if status == "failed":
            values["error_code"] = "source_unavailable"
        async with engine.begin() as connection:
            await connection.execute(insert(export_jobs).values(**(values | changes)))
        return await find_job(engine, (values | changes)["id"])

    return add


async def find_job(engine: AsyncEngine, export_id: UUID) -> ExportJob:
    statement = select(*JOB_COLUMNS).where(export_jobs.c.id == export_id)
    async with engine.connect() as connection:
        return job_of((await connection.execute(statement)).mappings().one())


@pytest.fixture
def tell(engine: AsyncEngine) -> Callable[..., Awaitable[bool]]:
    """Enqueue a job's end, with the requester's address, as the repository does."""

    async def tell(
        notifications: Notifications, job: ExportJob, *, email: str | None = None
    ) -> bool:
        async with engine.begin() as connection:
            await notifications.outbox.subscribe(connection, job.id, email)
            return await notifications.outbox.enqueue(connection, job)

    return tell


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class MailSink:
    """An aiosmtpd handler that keeps what it is given, or answers what the test says."""

    def __init__(self) -> None:
        self.port = 0
        self.mails: list[EmailMessage] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self.rcpt_answers: list[str] = []
        self.data_answers: list[str] = []
        self.tls = False

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's interface
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if self.rcpt_answers:
            return self.rcpt_answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.data_answers:
            return self.data_answers.pop(0)
        self.tls = session.ssl is not None
        message = email.message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        self.envelopes.append((envelope.mail_from, envelope.rcpt_tos))
        return "250 OK"


@pytest.fixture
def mail_sink() -> Iterator[MailSink]:
    """A real SMTP server without TLS."""
    sink = MailSink()
    with serving_mail(sink):
        yield sink


@contextlib.contextmanager
def serving_mail(sink: MailSink, **options: Any) -> Iterator[MailSink]:
    controller = Controller(sink, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    sink.port = controller.port
    try:
        yield sink
    finally:
        controller.stop()


@pytest.fixture
def serve_mail() -> Callable[..., Any]:
    """Open an SMTP server with options of aiosmtpd's ``Controller``."""
    return lambda **options: serving_mail(MailSink(), **options)


@pytest.fixture
def mail_settings() -> Callable[[Any], dict[str, Any]]:
    """The settings of a server that speaks plainly."""
    return lambda sink: {
        "smtp_host": "127.0.0.1",
        "smtp_port": sink.port,
        "smtp_security": "none",
        "mail_from": "exports@example.com",
        "smtp_timeout_seconds": 5,
    }
