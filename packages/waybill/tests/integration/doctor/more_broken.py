"""More set-ups that are broken on purpose; see ``broken``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from .broken import _ALL_TABLES, _READER, Break, House, Settings, after, as_role, given, issuer

_OWN = ("GRANT USAGE ON SCHEMA waybill TO doctor_role", _ALL_TABLES)


def asking(of: Callable[[House], str], variable: str) -> Break:
    """An address that is made from those of the house."""
    return lambda house: contextlib.nullcontext({variable: of(house)})


def with_parameter(parameter: str) -> Callable[[House], str]:
    def address(house: House) -> str:
        parts = urlsplit(house.dsn)
        query = f"{parts.query}&{parameter}" if parts.query else parameter
        return parts._replace(query=query).geturl()

    return address


def own_role(*statements: str, undo: tuple[str, ...] = ()) -> Break:
    """A role that may all that the service needs, but for these statements."""

    @contextlib.contextmanager
    def broken(house: House) -> Iterator[Settings]:
        with as_role(*_OWN, *statements, variable="WAYBILL_DATABASE_URL")(house) as settings:
            try:
                yield settings
            finally:
                if undo:
                    house.sql(*undo)

    return broken


def s3_at_the_database(house: House) -> str:
    return f"http://127.0.0.1:{urlsplit(house.dsn).port}"


MORE: dict[str, tuple[str, str, Break]] = {
    "address of the database with a word that is none": (
        "database.address", "error",
        asking(with_parameter("sslmod=require"), "WAYBILL_DATABASE_URL"),
    ),
    "address of the database with a sslmode that is none": (
        "database.reachable", "error",
        asking(with_parameter("sslmode=requir"), "WAYBILL_DATABASE_URL"),
    ),
    "database that offers no TLS": (
        "database.reachable", "error",
        asking(with_parameter("sslmode=require"), "WAYBILL_DATABASE_URL"),
    ),
    "table of ours that is gone": (
        "database.tables", "error",
        after(
            "ALTER TABLE waybill.dry_runs RENAME TO was_dry_runs",
            undo=("ALTER TABLE waybill.was_dry_runs RENAME TO dry_runs",),
        ),
    ),
    "role that may not use our schema": (
        "database.rights", "error", as_role(_ALL_TABLES, variable="WAYBILL_DATABASE_URL"),
    ),
    "role that may not call our functions": (
        "database.rights", "error",
        own_role(
            "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA waybill FROM PUBLIC",
            undo=("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA waybill TO PUBLIC",),
        ),
    ),
    "role whose transactions are ended early": (
        "database.time_limits", "error",
        own_role("ALTER ROLE doctor_role SET idle_in_transaction_session_timeout = '200ms'"),
    ),
    "role with few connections": (
        "database.connections", "warning", own_role("ALTER ROLE doctor_role CONNECTION LIMIT 5"),
    ),
    "address of a source that is none": (
        "source.address", "error", given(SOURCE_DSN="mysql://me:doctor@h/x"),
    ),
    "source as a role that may make tables": (
        "source.role", "warning",
        as_role(*_READER, "GRANT CREATE ON SCHEMA public TO doctor_role"),
    ),
    "storage that is no S3": (
        "storage.bucket", "away", asking(s3_at_the_database, "WAYBILL_S3_ENDPOINT_URL"),
    ),
    "bucket of a name that none has": ("storage.bucket", "error", given(S3_BUCKET="My_Bucket!")),
    "issuer whose address leads to another page": (
        "sign_in.keys", "error", issuer("moved", status=302),
    ),
    "issuer that has a fault": ("sign_in.keys", "away", issuer("fault", status=503)),
    "variable whose prefix is misspelt": (
        "variables.unknown", "error",
        lambda _: contextlib.nullcontext({"WAYBIL_REDIS_URL": "redis://127.0.0.1:9/0"}),
    ),
    "address of the service without its scheme": (
        "settings.public_url", "error", given(PUBLIC_URL="exports.example.com"),
    ),
}  # fmt: skip
