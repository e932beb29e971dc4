"""Each test has a database of its own on the session's PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from waybill.local.stack import LocalStack
from waybill.local.testing import temporary_database

Execute = Callable[..., None]


@pytest.fixture
def dsn(local_stack: LocalStack) -> Iterator[str]:
    """Return the DSN of an empty database."""
    with temporary_database(local_stack) as dsn:
        yield dsn


@pytest.fixture
def execute(dsn: str) -> Iterator[Execute]:
    """Run statements in the test's database, each committed by itself."""
    with psycopg.connect(dsn, autocommit=True) as connection:

        def run(*statements: Any) -> None:
            for statement in statements:
                connection.execute(statement)

        yield run


@pytest.fixture
def reader(dsn: str, execute: Execute) -> Iterator[str]:
    """Return the DSN of a role without any right of its own."""
    role = f"reader_{secrets.token_hex(4)}"
    name = sql.Identifier(role)
    execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(role)))
    yield make_conninfo(dsn, user=role, password=role)
    execute(sql.SQL("DROP OWNED BY {}").format(name), sql.SQL("DROP ROLE {}").format(name))
