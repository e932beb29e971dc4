"""What a service says about itself holds nothing of what it exports and none of its secrets: its
logs at debug level, everything it sends to the broker, its figures and its traces, through one run
in which most things also go wrong."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import psycopg
import pytest
import redis
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from psycopg import sql

from waybill.local.faults.s3_proxy import S3Proxy, unavailable
from waybill.local.ports import draw_free_port
from waybill.local.stack import LocalStack

from ..collector import Collector
from .conftest import StartTarget, Target, client_of, wait_until

_CATALOG = """
[exports.people]
table = "public.people"
key = "id"
filters = [{ name = "name", type = "text" }]

[exports.numbers]
query = "SELECT id, name::int AS number FROM public.people"
key = "id"

[exports.doubled]
query = "SELECT name AS id FROM public.people UNION ALL SELECT name FROM public.people"
key = "id"
"""

_BROKEN = """
CREATE FUNCTION {schema}.quote_the_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.options::text LIKE '%{filter}%' THEN
        RAISE check_violation USING MESSAGE = 'refused: ' || NEW.options::text,
            DETAIL = 'Failing row contains ' || NEW::text;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER quote_the_row BEFORE {event} ON {schema}.export_jobs
FOR EACH ROW EXECUTE FUNCTION {schema}.quote_the_row();
"""
"""Our own database fails as it does in earnest: its error quotes what it was given."""


@dataclass
class _Secrets:
    """Everything that nothing may say, by what it is."""

    known: dict[str, str] = field(default_factory=dict)

    def make(self, name: str) -> str:
        self.known[name] = f"{name.replace(' ', '-')}-{secrets.token_hex(8)}"
        return self.known[name]

    def add(self, name: str, value: str) -> str:
        assert len(value) >= 8, f"{name} is too short to be looked for"
        self.known[name] = value
        return value

    def found_in(self, text: str) -> set[str]:
        """Return which of them a text holds: plainly, quoted for an address, or in base64."""
        decoded = " ".join(_decoded(text))
        return {
            name
            for name, value in self.known.items()
            if value in text or quote(value, safe="") in text or value in decoded
        }


def _decoded(text: str) -> Iterator[str]:
    for word in re.findall(r"[A-Za-z0-9+/_-]{16,}={0,2}", text):
        with contextlib.suppress(ValueError):
            raw = word.translate(str.maketrans("-_", "+/")).rstrip("=")
            yield base64.b64decode(raw + "=" * (-len(raw) % 4)).decode("latin-1")


def test_scan_finds_a_secret_in_each_of_its_forms() -> None:
    known = _Secrets()
    value = known.add("password", "p@ss:wörd/1")
    basic = base64.b64encode(b"\0user\0" + value.encode("latin-1")).decode()
    for text in (f"x={value}.", quote(value, safe=""), f"AUTH PLAIN {basic}"):
        assert known.found_in(text) == {"password"}
    assert known.found_in("p@ss") == set()


class _Broker:
    """Listens to every command that reaches Redis, arguments included."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)
        self._lines: list[str] = []
        self._heard = threading.Event()

    def __enter__(self) -> _Broker:
        self._monitor = self._client.monitor().__enter__()
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._monitor.connection.disconnect()
        self._client.close()

    def _listen(self) -> None:
        with contextlib.suppress(redis.RedisError, OSError, ValueError, AttributeError):
            for command in self._monitor.listen():
                self._lines.append(str(command["command"]))
                if "end-of-the-run" in self._lines[-1]:
                    self._heard.set()

    def text(self) -> str:
        self._client.publish("end-of-the-run", "")
        assert self._heard.wait(30), "Redis tells what reaches it"
        return "\n".join(self._lines)


class _MailServer:
    """Takes a password, and refuses the mail with a text that quotes the recipient."""

    def __init__(self) -> None:
        self.recipients: list[str] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's interface
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        self.recipients.append(address)
        return f"550 there is no {address} here"

    def authenticate(self, *arguments: Any) -> AuthResult:
        return AuthResult(success=True)


@pytest.fixture(scope="module")
def known() -> _Secrets:
    return _Secrets()


@pytest.fixture(scope="module")
def source(local_stack: LocalStack, known: _Secrets) -> Iterator[str]:
    """A database to export from, with a role and a password of its own."""
    role, password = f"reader_{secrets.token_hex(4)}", known.make("source password")
    name = f"people_{secrets.token_hex(4)}"
    dsn = local_stack.postgres.create_database(name)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE people (id int PRIMARY KEY, name text, email text)")
        for number in range(5):
            connection.execute(
                "INSERT INTO people VALUES (%s, %s, %s)",
                (number, known.make(f"name {number}"), known.make(f"mail {number}")),
            )
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                sql.Identifier(role), sql.Literal(password)
            )
        )
        connection.execute(sql.SQL("GRANT SELECT ON people TO {}").format(sql.Identifier(role)))
    try:
        yield re.sub(r"//[^@]*@", f"//{role}:{password}@", dsn)
    finally:
        local_stack.postgres.drop_database(name)
        with psycopg.connect(local_stack.addresses.postgres_dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def _job_of(answer: httpx.Response) -> str:
    return urlsplit(answer.raise_for_status().headers["location"]).path


def _complete(client: httpx.Client, location: str, wanted: str) -> dict[str, Any]:
    def is_over() -> bool:
        status = client.get(location).json()["status"]
        assert status in {"queued", "running", wanted}, status
        return bool(status == wanted)

    wait_until(is_over, f"{location} is {wanted}")
    document: dict[str, Any] = client.get(location).json()
    return document


@contextlib.contextmanager
def _refusing(target: Target, value: str, event: str) -> Iterator[None]:
    with psycopg.connect(target.dsn, autocommit=True) as connection:
        connection.execute(_BROKEN.format(schema="waybill", filter=value, event=event).encode())
        yield
        connection.execute("DROP FUNCTION waybill.quote_the_row CASCADE")


_TRACE = "0af7651916cd43dd8448eb211c80319c"


def _run(target: Target, known: _Secrets, s3: S3Proxy, mail: _MailServer) -> str:
    """Everything that a service does, and much of what can happen to it. Returns the id of one,
    whose caller has a trace."""
    with client_of(target, known.known["token"]) as client:

        def request(name: str, body: dict[str, Any] | None = None, **headers: str) -> str:
            answer = client.post(f"/api/{name}/export", json=body or {}, headers=headers)
            return _job_of(answer)

        # Storage fails once, and the next attempt completes; its links are minted and followed.
        filters = {"name": {"ne": known.make("filter value")}}
        s3.fault(unavailable())
        caller = {"traceparent": f"00-{_TRACE}-b7ad6b7169203331-01", "tracestate": "x=ann"}
        job = request("people", {"filters": filters}, **caller)
        wait_until(lambda: client.get(job).json()["attempt"] > 1, "it is tried again")
        s3.clear()
        _complete(client, job, "completed")
        for number in range(2):
            link = client.get(f"{job}/download").headers["location"]
            known.add(f"link {number}", parse_qs(urlsplit(link).query)["X-Amz-Signature"][0])
            assert known.known["name 4"] in httpx.get(link).text

        # The source fails, and its message quotes a row.
        _complete(client, request("numbers"), "failed")
        _complete(client, request("doubled"), "failed")

        # A dry run and a stream answer with rows.
        looked = client.post("/api/people/export", json={"filters": filters, "dry_run": True})
        assert known.known["name 4"] in looked.text
        streamed = client.post("/api/people/export/stream", json={"filters": filters})
        assert known.known["name 4"] in streamed.text

        # Requests that are refused, some of them by what quotes them.
        refused = known.make("refused value")
        for body in (
            {"filters": {"name": {"is like": refused}}},
            {"filters": {refused: {"eq": 1}}},
            {"since": refused},
            {"columns": [refused]},
            {"format": "csv", "options": {"delimiter": refused}},
        ):
            assert client.post("/api/people/export", json=body).status_code == 422
        strange = f"{known.make('strange token')}.e30.x"
        for header in (f"Bearer {strange}", f"Basic {strange}"):
            answer = httpx.get(f"{target.url}/api/exports", headers={"authorization": header})
            assert answer.status_code == 401
        assert client.get(f"/api/exports?cursor={known.make('cursor')}").status_code < 500

        # A person is signed in, exports, and is written to.
        person = {"subject": known.make("person"), "email": f"{known.make('address')}@example.org"}
        scopes = ["exports:request", "exports:read"]
        minted = client.post("/api/portal-links", json=person | {"scopes": scopes})
        secret = known.add("portal link", minted.json()["url"].rpartition("/")[2])
        with httpx.Client(base_url=target.url) as browser:
            assert browser.get(f"/portal/{secret}").status_code == 200
            own = {"sec-fetch-site": "same-origin", "origin": target.url}
            browser.post("/portal", data={"link": secret}, headers=own)
            known.add("session", browser.cookies["waybill"])
            answer = browser.post("/api/people/export", headers=own)
            _complete(browser, _job_of(answer), "completed")
            wait_until(lambda: bool(mail.recipients), "the person is written to")

        # Our own database refuses: what comes of it is unexpected, and its text quotes a row. The
        # API meets it in a request, worker and scheduler in the job of one that came before.
        kept = {"filters": {"name": {"ne": known.make("kept value")}}}
        with _refusing(target, known.known["kept value"], "INSERT"):
            answer = client.post("/api/people/export", json=kept)
            assert answer.status_code == 500
            # The server ends the connection: the next request must not be sent over it.
            assert answer.headers["connection"] == "close"
            assert known.known["kept value"] not in answer.text
        with _refusing(target, known.known["kept value"], "UPDATE"):
            answer = client.post("/api/people/export", json=kept)
            for process in (target.processes.worker, target.processes.scheduler):
                wait_until(
                    lambda process=process: "CheckViolation" in process.log_path.read_text(),
                    f"{process.name} meets it",
                )
        _complete(client, _job_of(client.post("/api/people/export", json=kept)), "completed")
        return job.rpartition("/")[2]


def _check_trace(collector: Collector, export_id: str, logs: dict[str, str]) -> None:
    """One trace from the request to the download: the caller's, through every process."""
    spans = [span for span in collector.spans() if span.trace == _TRACE]
    by_name: dict[str, list[Any]] = {}
    for span in spans:
        by_name.setdefault(span.name, []).append(span)
    (asked,) = by_name["export.request"]
    assert asked.parent == "b7ad6b7169203331"
    assert by_name["queue.publish"][0].parent == asked.id
    first, *others = by_name["export.attempt"]
    assert first.attributes["waybill.export_id"] == export_id
    assert (first.failed, others[-1].attributes["waybill.outcome"]) == (
        "storage_unavailable",
        "completed",
    )
    assert others[0].links == ((_TRACE, first.id),)
    uploaded = by_name["storage.upload"][-1]
    assert uploaded.parent == others[-1].id
    assert uploaded.attributes["waybill.storage"] == "s3"
    assert [span.service for span in by_name["export.download"]] == ["waybill-api"] * 2
    assert {span.service for span in (first, *others, uploaded)} == {"waybill-worker"}
    top = by_name["export.attempt"] + by_name["export.queued"] + by_name["export.download"]
    assert {span.parent for span in top} == {asked.id}
    assert {span.parent for span in spans} <= {span.id for span in spans} | {asked.parent}
    # The other exports have traces of their own, and what came with a trace was not handed on.
    others_traces = {span.trace for span in collector.spans()} - {_TRACE}
    assert others_traces
    assert "x=ann" not in collector.text()
    for name, event in (("api", "export.requested"), ("worker", "export.attempt_ended")):
        lines = [json.loads(line) for line in logs[name].splitlines() if event in line]
        assert {line["trace_id"] for line in lines if line["export_id"] == export_id} == {_TRACE}


def test_nothing_that_is_exported_and_no_secret_is_in_what_a_service_says_of_itself(
    local_stack: LocalStack, start_target: StartTarget, source: str, known: _Secrets, tmp_path: Any
) -> None:
    addresses = local_stack.addresses
    catalog = tmp_path / "waybill.toml"
    catalog.write_text(_CATALOG, encoding="utf-8")
    for name, url in (("database", addresses.postgres_dsn), ("broker", addresses.redis_url)):
        known.add(f"{name} password", str(urlsplit(url).password))
    known.add("S3 key", addresses.s3_secret_key)
    known.add("S3 key id", addresses.s3_access_key)
    token = known.make("token")
    signing = known.add("webhook secret", base64.b64encode(secrets.token_bytes(32)).decode())
    mail_server = _MailServer()
    controller = Controller(
        mail_server,
        hostname="127.0.0.1",
        port=draw_free_port(),
        authenticator=mail_server.authenticate,
        auth_require_tls=False,
    )
    s3_port = urlsplit(addresses.s3_endpoint_url).port
    assert s3_port is not None
    ports = {name: draw_free_port() for name in ("worker", "scheduler")}
    with contextlib.ExitStack() as stack:
        controller.start()
        stack.callback(controller.stop)
        s3 = stack.enter_context(S3Proxy(s3_port))
        collector = stack.enter_context(Collector())
        target = stack.enter_context(
            start_target(
                metrics_ports=ports,
                WAYBILL_LOG_LEVEL="DEBUG",
                WAYBILL_TRACES_ENDPOINT=collector.url,
                WAYBILL_CATALOG=str(catalog),
                WAYBILL_SOURCE_DSN=source,
                WAYBILL_DEVELOPMENT_TOKEN=token,
                WAYBILL_S3_ENDPOINT_URL=f"http://127.0.0.1:{s3.port}",
                WAYBILL_REPUBLISH_AFTER_SECONDS="1",
                WAYBILL_LEASE_SECONDS="6",
                WAYBILL_HEARTBEAT_SECONDS="1.5",
                WAYBILL_RETRY_BACKOFF_SECONDS="0.1",
                WAYBILL_FALLBACK_MAX_BYTES="0",
                WAYBILL_MAX_ATTEMPTS="10",
                WAYBILL_PAGES="true",
                WAYBILL_PUBLIC_URL="https://exports.example.com",
                WAYBILL_SMTP_HOST="127.0.0.1",
                WAYBILL_SMTP_PORT=str(controller.port),
                WAYBILL_SMTP_SECURITY="none",
                WAYBILL_SMTP_USERNAME=known.make("SMTP user"),
                WAYBILL_SMTP_PASSWORD=known.make("SMTP password"),
                WAYBILL_MAIL_FROM="exports@example.com",
                WAYBILL_WEBHOOK_ALLOW_HTTP="true",
                WAYBILL_WEBHOOK_ALLOW_PRIVATE_NETWORKS="true",
                WAYBILL_WEBHOOKS=json.dumps(
                    [
                        {
                            "name": "crm",
                            "url": f"http://127.0.0.1:{draw_free_port()}/{known.make('hook')}",
                            "secrets": [f"whsec_{signing}"],
                        }
                    ]
                ),
            )
        )
        broker = stack.enter_context(_Broker(target.redis_url))
        export_id = _run(target, known, s3, mail_server)
        figures = {
            name: httpx.get(f"http://127.0.0.1:{port}/metrics").raise_for_status().text
            for name, port in ports.items()
        }
        with client_of(target, token) as client:
            figures["api"] = client.get("/metrics").raise_for_status().text
        said = {f"figures of {name}": text for name, text in figures.items()}
        said["broker"] = broker.text()
        processes = target.processes
    for process in processes.processes:
        said[f"log of {process.name}"] = process.log_path.read_text(encoding="utf-8")
    said["traces"] = collector.text()
    assert "waybill" in said["broker"]
    assert "export.attempt_failed" in said["log of worker"]
    assert {name: found for name, text in said.items() if (found := known.found_in(text))} == {}
    logs = {process.name: said[f"log of {process.name}"] for process in processes.processes}
    _check_trace(collector, export_id, logs)
