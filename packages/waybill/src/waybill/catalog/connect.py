"""A short, read-only connection for looking at a database, with errors people can act on."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from waybill.catalog import foreign
from waybill.errors import ConfigurationError, SourceRejected, SourceUnavailable

CONNECT_TIMEOUT_SECONDS = 5
LOCK_TIMEOUT_SECONDS = 5

# Each statement sees what is committed when it runs: what holds the longest is a question of
# seconds, and nobody's vacuum waits for it.
_BEGIN = sql.SQL("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY")

_DSN_FORM = "postgresql://user:password@host:5432/database"
_OTHER_DATABASES: Final = frozenset(
    {
        "bigquery", "clickhouse", "cockroachdb", "duckdb", "mariadb", "mongodb", "mssql", "mysql",
        "oracle", "redis", "redshift", "snowflake", "sqlite", "sqlserver",
    }
)  # fmt: skip
"""Of these a URL may be given by mistake."""

# What libpq and the server say when no connection comes about (they give no SQLSTATE then), and
# what to do. The first group is configuration; the second may pass.
_WRONG = (
    ("password authentication failed", "user or password is wrong"),
    ("no password supplied", f"it wants a password; set PGPASSWORD, or write {_DSN_FORM}"),
    ("no pg_hba.conf entry", "its pg_hba.conf does not let this user in from here"),
    ("resolve host", "there is no host of that name; check its spelling"),
    ("translate host name", "there is no host of that name; check its spelling"),
    ("not permitted to log in", "the role may not log in; ALTER ROLE … LOGIN"),
    ("permission denied for database", "the role may not connect; GRANT CONNECT ON DATABASE …"),
    (
        "not currently accepting connections",
        "the database takes none; ALTER DATABASE … ALLOW_CONNECTIONS true",
    ),
    ("invalid sslmode value", "its sslmode is none; use one such as require or verify-full"),
    ("does not support SSL", "it offers no TLS; remove sslmode or use another server"),
    ("certificate verify failed", "its certificate is not trusted; check sslrootcert"),
)
_PASSING = (
    ("Connection refused", "nothing listens there; check host and port, and that it is running"),
    ("timeout", f"no answer within {CONNECT_TIMEOUT_SECONDS} s; check host, port and firewalls"),
    (
        "not in hot standby mode",
        "it is a primary, and the catalog asks for a standby; name one among its hosts",
    ),
    ("starting up", "it is still starting; try again shortly"),
    ("shutting down", "it is shutting down; try again shortly"),
    ("connection slots", "all of its connections are taken; raise max_connections or wait"),
    ("too many", "all of its connections are taken; raise the limit or wait"),
)


@contextmanager
def connect_read_only(
    dsn: str, *, statement_timeout_seconds: float
) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Open one ``READ ONLY`` transaction that ends with the block, and the connection with it.

    Raises:
        ConfigurationError: the DSN is malformed, or the server refuses it for good.
        SourceUnavailable: the server does not answer, or went away meanwhile.
        SourceRejected: a statement in the block was refused.
    """
    server = _describe(dsn)
    try:
        connection = psycopg.connect(
            dsn,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            client_encoding="UTF8",
            application_name="waybill catalog",
            # BEGIN is ours, so that nothing runs before it.
            autocommit=True,
            prepare_threshold=None,
        )
    except psycopg.OperationalError as exc:
        raise refusal(exc, dsn) from exc
    try:
        with contextlib.closing(connection):
            connection.execute(
                foreign.opening(
                    _BEGIN,
                    server_version=connection.info.server_version,
                    lock_timeout_seconds=LOCK_TIMEOUT_SECONDS,
                    statement_timeout_seconds=statement_timeout_seconds,
                )
            )
            yield connection
    except psycopg.Error as exc:
        if connection.broken or exc.sqlstate is None:
            raise SourceUnavailable(
                f"PostgreSQL at {server} closed the connection. Check its log, then try again."
            ) from exc
        raise SourceRejected(
            f"PostgreSQL at {server} refused a statement (SQLSTATE {exc.sqlstate})."
        ) from exc


def only_one(
    connection: psycopg.Connection[tuple[object, ...]], statement: sql.Composed
) -> psycopg.Cursor[tuple[object, ...]]:
    """Run a statement with an operator's text in it, of which there may be one: the extended
    protocol takes no second behind a ``;``. A prepared statement would do that too, but stay on
    a pooler's connection, where the next client's of the same name meets it."""
    return connection.execute(statement, binary=True)


def read_dsn(dsn: str) -> dict[str, Any]:
    """Return what a DSN says, by libpq's names.

    Raises:
        ConfigurationError: libpq cannot read it. Nothing of it is quoted but another database's
            name in front, as any part may be the password.
    """
    try:
        return conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # Not chained: libpq quotes the part it stumbled over.
        raise ConfigurationError(
            f"The DSN cannot be read. {_remedy(dsn)}Write {_DSN_FORM}. "
            "Percent-encode @ : / ? # % and spaces in user and password."
        ) from None


def _remedy(dsn: str) -> str:
    scheme = dsn.partition("://")[0].lower() if "://" in dsn else ""
    names = re.split("[+:]", scheme)
    if not {"postgresql", "postgres"}.isdisjoint(names):
        return "Leave the driver (+psycopg, jdbc:) out. "
    others = _OTHER_DATABASES.intersection(names)
    return f"waybill exports from PostgreSQL alone, and not from {min(others)}. " if others else ""


def _describe(dsn: str) -> str:
    """Return ``host:port`` of a DSN, never more of it."""
    parameters = read_dsn(dsn)
    hosts = str(parameters.get("host") or parameters.get("hostaddr") or "").split(",")
    ports = str(parameters.get("port") or "").split(",")
    if any("@" in host for host in hosts) or not all(p.isdigit() for p in ports if p):
        # An unescaped @ or / in a password moves part of it into the host or port.
        raise ConfigurationError(
            f"The host or port of the DSN cannot be right. Write {_DSN_FORM}. "
            "Percent-encode @ : / ? # % and spaces in user and password."
        )
    return ", ".join(
        f"{host or 'the local socket'}:{(ports[i] if i < len(ports) else ports[-1]) or '5432'}"
        for i, host in enumerate(hosts)
    )


def refusal(exc: psycopg.OperationalError, dsn: str) -> ConfigurationError | SourceUnavailable:
    """Return what it means that a connection did not come about, in words of ours.

    Raises:
        ConfigurationError: the DSN itself is malformed.
    """
    text, server = str(exc), _describe(dsn)
    database = conninfo_to_dict(dsn).get("dbname")
    if "does not exist" in text and "database" in text and database:
        return ConfigurationError(
            f"PostgreSQL at {server} has no database {database!r}. "
            "Create it, or name another at the end of the DSN."
        )
    if "role" in text and "does not exist" in text:
        return ConfigurationError(
            f"PostgreSQL at {server} has no such role. CREATE ROLE … LOGIN, or use another user."
        )
    for mark, meaning in _WRONG:
        if mark in text:
            return ConfigurationError(f"PostgreSQL at {server} cannot be used: {meaning}.")
    for mark, meaning in _PASSING:
        if mark in text:
            return SourceUnavailable(f"PostgreSQL at {server} does not answer: {meaning}.")
    return SourceUnavailable(
        f"PostgreSQL at {server} does not answer. Check host, port and its log; "
        "`psql` with the same DSN says more."
    )
