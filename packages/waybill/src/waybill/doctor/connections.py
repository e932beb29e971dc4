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


def not_reached(report: Report, exc: psycopg.OperationalError, dsn: str, variable: str) -> Finding:
    """Return the finding for a connection that did not come about."""
    try:
        meaning = refusal(exc, dsn)
    except ConfigurationError as malformed:
        return report.error("reachable", str(malformed), f"Correct {variable}.")
    if isinstance(meaning, ConfigurationError):
        return report.error("reachable", str(meaning), f"Correct {variable}.")
    return report.away("reachable", str(meaning), f"Look at the server, or at {variable}.")
