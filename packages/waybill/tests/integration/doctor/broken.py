"""Set-ups that are broken on purpose, one thing each; docs/doctor.md lists them.

Each is a context: inside it the thing is broken, and it yields the settings that lead there.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from aiosmtpd.controller import Controller

from waybill.local.faults.brokers import Broker
from waybill.local.faults.poolers import pgbouncer
from waybill.local.faults.s3_proxy import Request, S3Proxy, answer
from waybill.local.stack import LocalStack

Settings = dict[str, str]
AWAY = "127.0.0.1:9"
_DENIED = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"


@dataclass
class House:
    """What a set-up may break."""

    stack: LocalStack
    dsn: str = field(repr=False)
    folder: Path
    broker: Broker

    def sql(self, *statements: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def dsn_of(self, role: str) -> str:
        parts = urlsplit(self.dsn)
        return parts._replace(netloc=f"{role}:doctor@{parts.hostname}:{parts.port}").geturl()


Break = Callable[[House], contextlib.AbstractContextManager[Settings]]


def given(**settings: str) -> Break:
    """Break by settings alone."""
    return lambda _house: contextlib.nullcontext(
        {f"WAYBILL_{name}": value for name, value in settings.items()}
    )


def after(*statements: str, undo: tuple[str, ...] = ()) -> Break:
    """Break the database by statements; ``{db}`` is its name."""

    @contextlib.contextmanager
    def broken(house: House) -> Iterator[Settings]:
        database = urlsplit(house.dsn).path.strip("/")
        house.sql(*(each.format(db=database) for each in statements))
        try:
            yield {}
        finally:
            if undo:
                house.sql(*(each.format(db=database) for each in undo))

    return broken


@contextlib.contextmanager
def role(house: House, *grants: str, variable: str) -> Iterator[Settings]:
    """A role of its own, with these grants, as whom the service comes."""
    house.sql("CREATE ROLE doctor_role LOGIN PASSWORD 'doctor'", *grants)
    try:
        yield {variable: house.dsn_of("doctor_role")}
    finally:
        house.sql("DROP OWNED BY doctor_role", "DROP ROLE doctor_role")


def as_role(*grants: str, variable: str = "WAYBILL_SOURCE_DSN") -> Break:
    return lambda house: role(house, *grants, variable=variable)


def pooled(direct: str | None = None) -> Break:
    @contextlib.contextmanager
    def broken(house: House) -> Iterator[Settings]:
        with pgbouncer(house.dsn, house.folder) as dsn:
            settings = {"WAYBILL_DATABASE_URL": dsn}
            if direct is not None:
                settings["WAYBILL_DATABASE_DIRECT_URL"] = house.stack.addresses.postgres_dsn
            yield settings

    return broken


def broker_with(*commands: tuple[str, ...], undo: tuple[tuple[str, ...], ...]) -> Break:
    @contextlib.contextmanager
    def broken(house: House) -> Iterator[Settings]:
        with house.broker.client() as client:
            for command in commands:
                client.execute_command(*command)
        try:
            yield {}
        finally:
            with house.broker.client(password="doctor") as client:
                for command in undo:
                    client.execute_command(*command)

    return broken


def denied(when: Callable[[Request], bool]) -> Break:
    """A bucket whose policy denies one right."""

    @contextlib.contextmanager
    def broken(house: House) -> Iterator[Settings]:
        port = urlsplit(house.stack.addresses.s3_endpoint_url).port
        assert port is not None
        refuse = answer(403, _DENIED, "Forbidden")
        with S3Proxy(port) as proxy:
            proxy.fault(lambda request: refuse(request) if when(request) else None)
            yield {"WAYBILL_S3_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}"}

    return broken


def doing(operation: str) -> Callable[[Request], bool]:
    return lambda request: request.operation == operation


def asking(method: str, word: str) -> Callable[[Request], bool]:
    return lambda request: request.method == method and word in request.query


def is_object_get(request: Request) -> bool:
    return request.method == "GET" and "waybill-doctor" in urlsplit(request.target).path


@contextlib.contextmanager
def storage_in_the_past(house: House) -> Iterator[Settings]:
    port = urlsplit(house.stack.addresses.s3_endpoint_url).port
    assert port is not None

    def rewrite(said: bytes) -> bytes:
        head, _, body = said.partition(b"\r\n\r\n")
        lines = [each for each in head.split(b"\r\n") if not each.lower().startswith(b"date:")]
        lines.append(b"Date: Mon, 05 Jan 2026 10:00:00 GMT")
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    with S3Proxy(port) as proxy:
        proxy.fault(operation="head", rewrite=rewrite)
        yield {"WAYBILL_S3_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}"}


def bucket(prepare: Callable[[Any, str], Any]) -> Break:
    """A bucket of its own, with rules."""

    @contextlib.contextmanager
    def broken(house: House) -> Iterator[Settings]:
        name = f"doctor-{prepare.__name__.strip('_')}".replace("_", "-")
        house.stack.seaweedfs.ensure_bucket(name)
        prepare(house.stack.seaweedfs.client(), name)
        yield {"WAYBILL_S3_BUCKET": name}

    return broken


def versioned(client: Any, name: str) -> None:
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})


def expiring(client: Any, name: str) -> None:
    rule = {"ID": "all", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [rule]})


def mail_server(**options: Any) -> Break:
    @contextlib.contextmanager
    def broken(house: House) -> Iterator[Settings]:
        from ..notify.conftest import MailSink, serving_mail

        with serving_mail(MailSink(), **options) as sink:
            yield {
                "WAYBILL_SMTP_HOST": "127.0.0.1",
                "WAYBILL_SMTP_PORT": str(sink.port),
                "WAYBILL_MAIL_FROM": "exports@example.com",
                "WAYBILL_PUBLIC_URL": "http://127.0.0.1:8000",
            }

    return broken


@contextlib.contextmanager
def traces_elsewhere(house: House) -> Iterator[Settings]:
    from ...collector import Collector

    with Collector() as collector:
        collector.status = 404
        yield {"WAYBILL_TRACES_ENDPOINT": collector.url}


class _Refusing:
    """An SMTP server that wants no mail of ours."""

    async def handle_MAIL(self, *_: Any) -> str:  # noqa: N802 - aiosmtpd's interface
        return "553 5.7.1 not from here"


@contextlib.contextmanager
def mail_refused(house: House) -> Iterator[Settings]:
    from ..notify.conftest import free_port

    controller = Controller(_Refusing(), hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        yield {
            "WAYBILL_SMTP_HOST": "127.0.0.1",
            "WAYBILL_SMTP_PORT": str(controller.port),
            "WAYBILL_SMTP_SECURITY": "none",
            "WAYBILL_MAIL_FROM": "exports@example.com",
            "WAYBILL_PUBLIC_URL": "http://127.0.0.1:8000",
        }
    finally:
        controller.stop()


def issuer(document: Any, status: int = 200) -> Break:
    """An issuer of tokens whose keys are served so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *_: Any) -> None: ...

    @contextlib.contextmanager
    def broken(house: House) -> Iterator[Settings]:
        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            try:
                yield {
                    "WAYBILL_DEVELOPMENT_TOKEN": "-",
                    "WAYBILL_JWT_JWKS_URL": f"http://127.0.0.1:{server.server_port}/keys",
                    "WAYBILL_JWT_AUDIENCES": "waybill",
                }
            finally:
                server.shutdown()

    return broken


def provider(document: Any) -> Break:
    """An OpenID provider that publishes this of itself."""

    @contextlib.contextmanager
    def broken(house: House) -> Iterator[Settings]:
        with issuer(document)(house) as settings:
            url = settings["WAYBILL_JWT_JWKS_URL"].removesuffix("/keys")
            yield {
                "WAYBILL_PAGES": "true",
                "WAYBILL_OIDC_ISSUER": url,
                "WAYBILL_OIDC_CLIENT_ID": "waybill",
            }

    return broken


def catalog(text: str) -> Break:
    @contextlib.contextmanager
    def broken(house: House) -> Iterator[Settings]:
        path = house.folder / "broken.toml"
        path.write_text(text)
        yield {"WAYBILL_CATALOG": str(path)}

    return broken


_READER = (
    "GRANT USAGE ON SCHEMA public TO doctor_role",
    "GRANT SELECT ON users TO doctor_role",
)
_ALL_TABLES = (
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public, waybill TO doctor_role"
)

BROKEN: dict[str, tuple[str, str, Break]] = {
    # what is broken: the check that finds it, its verdict, how
    "database that is away": (
        "database.reachable", "away", given(DATABASE_URL=f"postgresql://me@{AWAY}/x"),
    ),
    "database of another name": (
        "database.reachable", "error",
        lambda house: contextlib.nullcontext({"WAYBILL_DATABASE_URL": house.dsn + "x"}),
    ),
    "wrong password of the database": (
        "database.reachable", "error",
        lambda house: contextlib.nullcontext({"WAYBILL_DATABASE_URL": house.dsn_of("nobody")}),
    ),
    "database without tables": (
        "database.migrations", "error",
        lambda house: contextlib.nullcontext(
            {"WAYBILL_DATABASE_URL": urlsplit(house.dsn)._replace(path="/postgres").geturl()}
        ),
    ),
    "database of an earlier version": (
        "database.migrations", "error",
        after(
            "UPDATE waybill_migrations SET version_num = '0003'",
            undo=("UPDATE waybill_migrations SET version_num = (SELECT DISTINCT saved FROM was)",),
        ),
    ),
    "database that is read-only": (
        "database.writable", "error",
        after(
            "ALTER DATABASE {db} SET default_transaction_read_only = on",
            undo=(
                "SET default_transaction_read_only = off",
                "ALTER DATABASE {db} RESET default_transaction_read_only",
            ),
        ),
    ),
    "role that may not write one table": (
        "database.rights", "error",
        as_role(
            "GRANT USAGE ON SCHEMA waybill TO doctor_role",
            _ALL_TABLES, "REVOKE UPDATE ON export_jobs FROM doctor_role",
            variable="WAYBILL_DATABASE_URL",
        ),
    ),
    "pooler that lends per transaction": ("database.pooler", "warning", pooled()),
    "direct address of another database": ("database.direct", "error", pooled("other")),
    "source that is away": (
        "source.reachable", "away", given(SOURCE_DSN=f"postgresql://me@{AWAY}/x"),
    ),
    "source whose password is wrong": (
        "source.reachable", "error",
        lambda house: contextlib.nullcontext({"WAYBILL_SOURCE_DSN": house.dsn_of("nobody")}),
    ),
    "address of a source that the catalog does not declare": (
        "source.named", "error", given(SOURCE_DSN_REPORTING=f"postgresql://me@{AWAY}/x"),
    ),
    "source as a role that may write": (
        "source.role", "warning", as_role(*_READER, "GRANT DELETE ON users TO doctor_role"),
    ),
    "source that ends transactions early": (
        "source.time_limits", "error",
        as_role(*_READER, "ALTER ROLE doctor_role SET transaction_timeout = '5s'"),
    ),
    "source that ends idle transactions early": (
        "source.time_limits", "warning",
        as_role(
            *_READER, "ALTER ROLE doctor_role SET idle_in_transaction_session_timeout = '5s'"
        ),
    ),
    "source that the role may not read": (
        "catalog.select_denied", "error",
        as_role("GRANT USAGE ON SCHEMA public TO doctor_role"),
    ),
    "catalog of a table that is not there": (
        "catalog.table_missing", "error", catalog('[exports.x]\ntable = "public.nowhere"\n'),
    ),
    "catalog that is no TOML": ("catalog.loaded", "error", catalog("[exports.x\n")),
    "catalog that is not there": ("catalog.loaded", "error", given(CATALOG="nowhere.toml")),
    "broker that is away": ("broker.reachable", "away", given(REDIS_URL=f"redis://{AWAY}/0")),
    "broker whose password is wrong": (
        "broker.reachable", "error",
        broker_with(
            ("CONFIG", "SET", "requirepass", "doctor"),
            undo=(("CONFIG", "SET", "requirepass", ""),),
        ),
    ),
    "broker that evicts": (
        "broker.eviction", "error",
        broker_with(
            ("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"),
            undo=(("CONFIG", "SET", "maxmemory-policy", "noeviction"),),
        ),
    ),
    "broker that is full": (
        "broker.writable", "error",
        broker_with(
            ("CONFIG", "SET", "maxmemory", "1"), undo=(("CONFIG", "SET", "maxmemory", "0"),)
        ),
    ),
    "broker that is a replica": (
        "broker.writable", "error",
        broker_with(("REPLICAOF", "127.0.0.1", "9"), undo=(("REPLICAOF", "NO", "ONE"),)),
    ),
    "broker that others use": (
        "broker.shared", "note",
        broker_with(("SADD", "_kombu.binding.celery", "x"), undo=(("FLUSHALL",),)),
    ),
    "storage that is away": (
        "storage.bucket", "away", given(S3_ENDPOINT_URL=f"http://{AWAY}"),
    ),
    "bucket that is not there": ("storage.bucket", "error", given(S3_BUCKET="nowhere")),
    "secret key that is wrong": (
        "storage.put", "error", given(S3_SECRET_ACCESS_KEY="wrong"),
    ),
    "bucket that denies writing": ("storage.put", "error", denied(doing("put"))),
    "bucket that denies looking": ("storage.head", "error", denied(doing("head"))),
    "bucket that denies reading": ("storage.get", "error", denied(is_object_get)),
    "bucket that denies deleting": ("storage.delete", "error", denied(doing("delete"))),
    "bucket that denies uploads in parts": (
        "storage.multipart", "error", denied(doing("create")),
    ),
    "bucket that denies parts": ("storage.part", "error", denied(doing("part"))),
    "bucket that denies aborting": ("storage.abort", "error", denied(doing("abort"))),
    "bucket that denies listing": (
        "storage.list", "warning", denied(asking("GET", "list-type")),
    ),
    "bucket that denies listing uploads": (
        "storage.uploads", "warning", denied(asking("GET", "uploads")),
    ),
    "links that lead nowhere": (
        "storage.link", "error", given(S3_PUBLIC_ENDPOINT_URL=f"http://{AWAY}"),
    ),
    "storage whose clock is wrong": ("storage.clock", "error", storage_in_the_past),
    "bucket that keeps old versions": ("storage.versioning", "note", bucket(versioned)),
    "bucket that deletes files too soon": ("storage.lifecycle", "error", bucket(expiring)),
    "directory that is not there": (
        "storage.directory", "error", given(STORAGE="directory", STORAGE_DIRECTORY="nowhere"),
    ),
    "mail server that is away": (
        "mail.server", "away",
        given(
            SMTP_HOST="127.0.0.1", SMTP_PORT="9", MAIL_FROM="a@example.com",
            PUBLIC_URL="http://127.0.0.1:8000",
        ),
    ),
    "mail server without TLS": ("mail.server", "error", mail_server()),
    "mail server that refuses our sender": ("mail.server", "error", mail_refused),
    "collector of traces that is away": (
        "traces.collector", "away", given(TRACES_ENDPOINT="http://127.0.0.1:9/v1/traces"),
    ),
    "collector of traces at another path": ("traces.collector", "error", traces_elsewhere),
    "issuer that is away": (
        "sign_in.keys", "away",
        given(
            DEVELOPMENT_TOKEN="-", JWT_JWKS_URL=f"http://{AWAY}/keys", JWT_AUDIENCES="waybill"
        ),
    ),
    "issuer whose answer is no key set": ("sign_in.keys", "error", issuer([1])),
    "issuer without a key that counts": (
        "sign_in.keys", "error", issuer({"keys": [{"kty": "oct", "k": "AAAA"}]}),
    ),
    "people and tokens of two issuers": (
        "sign_in.settings", "error",
        given(
            DEVELOPMENT_TOKEN="-", PAGES="true", JWT_SECRETS="s" * 40, OIDC_ISSUER=f"http://{AWAY}",
            OIDC_CLIENT_ID="waybill",
        ),
    ),
    "OpenID provider that is away": (
        "sign_in.provider", "away",
        given(PAGES="true", OIDC_ISSUER=f"http://{AWAY}", OIDC_CLIENT_ID="waybill"),
    ),
    "OpenID provider that calls itself another": (
        "sign_in.provider", "error", provider({"issuer": "https://login.example.com"}),
    ),
    "nobody who could sign in": ("sign_in.settings", "error", given(DEVELOPMENT_TOKEN="-")),
    "variable that is misspelt": ("variables.unknown", "error", given(QOUTA_PER_DAY="5")),
    "setting that does not hold": ("settings.loaded", "error", given(PART_BYTES="1024")),
    "files that expire at once": (
        "settings.result_ttl", "error", given(RESULT_TTL_DAYS="0.0001"),
    ),
    "deadline beyond the broker's patience": (
        "settings.deadline", "error", given(DEADLINE_SECONDS="30000"),
    ),
    "uploads that are swept while they run": (
        "settings.stale_uploads", "error", given(STALE_UPLOAD_HOURS="0.01"),
    ),
    "grace longer than a stopping worker has": (
        "settings.shutdown_grace", "error", given(SHUTDOWN_GRACE_SECONDS="60"),
    ),
    "sweeps slower than leases": (
        "settings.sweep", "warning", given(SWEEP_SECONDS="90", LEASE_SECONDS="60"),
    ),
    "failed exports forgotten before replay": (
        "settings.retention", "warning", given(JOB_RETENTION_DAYS="5"),
    ),
    "half of the S3 credentials": (
        "settings.s3_credentials", "error", given(S3_SECRET_ACCESS_KEY="-"),
    ),
    "KMS key without KMS": ("settings.s3_encryption", "error", given(S3_KMS_KEY_ID="k")),
    "development token in public": (
        "settings.development_token", "error", given(PUBLIC_URL="https://exports.example.com"),
    ),
    "proxies that are everybody": (
        "settings.trusted_proxies", "error", given(TRUSTED_PROXIES="0.0.0.0/0"),
    ),
    "links to this machine itself": (
        "settings.s3_public_endpoint", "error", given(PUBLIC_URL="https://exports.example.com"),
    ),
    "fallback larger than its disk": (
        "settings.fallback", "warning", given(FALLBACK_TOTAL_BYTES="1000"),
    ),
    "clock that is moved": ("settings.clock_offset", "warning", given(CLOCK_OFFSET_SECONDS="60")),
    "role whose quota is lower": (
        "settings.quota_roles", "warning", given(QUOTA_ROLES='{"guest": 1}'),
    ),
    "mail set up in part": ("settings.smtp_host", "warning", given(MAIL_FROM="a@example.com")),
    "password of Sentinels, and no Sentinel": (
        "settings.redis_sentinel", "warning", given(REDIS_SENTINEL_PASSWORD="secret"),
    ),
}  # fmt: skip
