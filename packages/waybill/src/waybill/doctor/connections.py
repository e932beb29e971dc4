"""Connections to PostgreSQL for one look, and what it means when there is none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from waybill.catalog.connect import refusal
from waybill.doctor.findings import Finding, Report
from waybill.errors import ConfigurationError
from waybill.own_database import connection_arguments

Connection = psycopg.Connection[tuple[Any, ...]]

STATEMENT_SECONDS = 10

MOST_CONNECTIONS = """
    SELECT (SELECT least(nullif(rolconnlimit, -1), nullif(datconnlimit, -1),
                         current_setting('max_connections')::int
                         - current_setting('superuser_reserved_connections')::int)
            FROM pg_catalog.pg_roles, pg_catalog.pg_database
            WHERE rolname = current_user AND datname = current_database())"""
"""How many connections the role may have at a time, whoever limits them."""
_GONE = ("08", "57P")
_REMEDIES = {
    "53": "It has no room or memory left, or a limit of the role's allows no more "
    "(temp_file_limit, work_mem): see its log.",
    "57": f"The question took longer than {STATEMENT_SECONDS} s: see what the server is busy with.",
}


@contextmanager
def connected(dsn: str, *, read_only: bool = False) -> Iterator[Connection]:
    """Yield a connection that commits each statement by itself, and closes with the block.

    Raises:
        psycopg.OperationalError: there is none.
    """
    arguments = connection_arguments(dsn, application_name="waybill doctor")
    with contextlib.closing(psycopg.connect(**arguments, autocommit=True)) as connection:
        connection.read_only = read_only
        yield connection


def ask(connection: Connection, question: str, *values: object) -> tuple[Any, ...]:
    """Return the first row of the answer to a question of ours; empty if there is none."""
    with connection.transaction():
        # Behind a pooler, what is set for the session would stay on somebody else's connection.
        connection.execute(f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'".encode())
        return connection.execute(question.encode(), values or None).fetchone() or ()


def refused(report: Report, exc: psycopg.Error) -> Finding:
    """Return the finding for a question of ours that the server refused."""
    return report.error(
        "answers", f"It refused a question of the doctor's (SQLSTATE {exc.sqlstate}).",
        _REMEDIES.get((exc.sqlstate or "")[:2], "See its log."),
    )  # fmt: skip


def not_reached(report: Report, exc: psycopg.OperationalError, dsn: str, variable: str) -> Finding:
    """Return the finding for a connection that did not come about, or did not last."""
    if exc.sqlstate is not None and not exc.sqlstate.startswith(_GONE):
        return refused(report, exc)
    try:
        meaning = refusal(exc, dsn)
    except ConfigurationError as malformed:
        return report.error("reachable", str(malformed), f"Correct {variable}.")
    if isinstance(meaning, ConfigurationError):
        return report.error("reachable", str(meaning), f"Correct {variable}.")
    return report.away("reachable", str(meaning), f"Look at the server, or at {variable}.")
