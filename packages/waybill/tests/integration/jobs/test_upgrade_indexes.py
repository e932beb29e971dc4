"""Indexes of large tables are built while the tables are used; here any table counts as large."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from waybill.config import Settings
from waybill.errors import ConfigurationError
from waybill.local.faults.poolers import pgbouncer
from waybill.local.stack import LocalStack
from waybill.local.testing import temporary_database
from waybill.migrations import indexes, turn
from waybill.migrations.run import known_revisions, migrate

BEFORE = "0019"
"""The last revision before one that builds indexes on the table of jobs."""
ADD = (
    b"INSERT INTO waybill.export_jobs (id, export_type, format, requested_by, tenant,"
    b" max_attempts)"
    b" VALUES (gen_random_uuid(), 'users', 'csv', gen_random_uuid()::text,"
    b" gen_random_uuid()::text, 3)"
)
Ask = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def at(
    settings: Settings, local_stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Settings]]:
    """Make a database of an earlier version, which has large tables."""
    with contextlib.ExitStack() as stack:

        def make(revision: str) -> Settings:
            dsn = stack.enter_context(temporary_database(local_stack))
            made = settings.model_copy(update={"database_url": type(settings.database_url)(dsn)})
            migrate(made, revision)
            monkeypatch.setattr(indexes, "SMALL_BYTES", -1)
            return made

        yield make


@contextlib.contextmanager
def asking(settings: Settings) -> Iterator[Ask]:
    with psycopg.connect(settings.database_dsn, autocommit=True) as connection:
        connection.execute("SET lock_timeout = '3s'")
        yield lambda statement: connection.execute(statement.encode()).fetchall()


def building(ask: Ask) -> int:
    """Wait until an index is being built that waits for somebody, and return whose process does."""
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at:
        found = ask(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND query LIKE 'CREATE INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'"
        )
        if found:
            return int(found[0][0])
        time.sleep(0.05)
    raise AssertionError("No index is being built.")


def in_another_process(settings: Settings) -> int:
    """Migrate there, and return the exit status."""
    migrating = (
        "import sys; from waybill.cli import main; from waybill.migrations import indexes;"
        " indexes.SMALL_BYTES = -1; sys.argv[1:] = ['migrate']; main()"
    )
    environment = {**os.environ, "WAYBILL_DATABASE_URL": settings.database_dsn}
    done = subprocess.run([sys.executable, "-c", migrating], env=environment)  # noqa: PLW1510
    return done.returncode


def test_jobs_are_written_while_an_index_waits_for_who_wrote_before(
    at: Callable[[str], Settings],
) -> None:
    earlier = at(BEFORE)
    with (
        psycopg.connect(earlier.database_dsn) as slow,
        asking(earlier) as ask,
        ThreadPoolExecutor(2) as threads,
    ):
        slow.execute(ADD)
        # Two deploys at once, as well.
        both = [threads.submit(in_another_process, earlier) for _ in range(2)]
        try:
            building(ask)
            with psycopg.connect(earlier.database_dsn) as other:
                other.execute("SET LOCAL lock_timeout = '3s'")
                other.execute(ADD)
        finally:
            slow.commit()
        assert [each.result() for each in both] == [0, 0]
        assert migrate(earlier) == known_revisions()[-1]
        assert ask("SELECT count(*) FROM waybill.export_jobs") == [(2,)]


def test_build_that_was_cut_is_said_and_built_anew(at: Callable[[str], Settings]) -> None:
    earlier = at(BEFORE)
    states = (
        "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
        " WHERE relname = 'ix_export_jobs_files'"
    )
    with (
        psycopg.connect(earlier.database_dsn) as slow,
        asking(earlier) as ask,
        ThreadPoolExecutor(1) as threads,
    ):
        slow.execute(ADD)
        cut = threads.submit(migrate, earlier)
        try:
            ask(f"SELECT pg_cancel_backend({building(ask)})")
            with pytest.raises(ConfigurationError) as caught:
                cut.result()
        finally:
            slow.commit()
        assert "ix_export_jobs_files could not be built: canceling" in str(caught.value)
        assert f"The database is at {BEFORE}, which serves." in str(caught.value)
        assert ask(states) == [("ix_export_jobs_files", False)]
        assert migrate(earlier) == known_revisions()[-1]
        assert ask(states) == [("ix_export_jobs_files", True)]


def test_pooler_that_lends_one_connection_is_enough_where_no_large_index_is_built(
    at: Callable[[str], Settings],
    settings: Settings,
    server_directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    earlier = at(BEFORE)
    monkeypatch.setattr(turn, "SECOND_CONNECTION_SECONDS", 0.5)
    with pgbouncer(earlier.database_dsn, server_directory, pool_size=1) as dsn:
        # Not of ``earlier``, which has read its own address already.
        pooled = settings.model_copy(update={"database_url": type(settings.database_url)(dsn)})
        with pytest.raises(ConfigurationError) as caught:
            migrate(pooled)
        assert "second connection" in str(caught.value)
        assert "Nothing was changed. Have the pooler lend two" in str(caught.value)
        with asking(earlier) as ask:
            assert ask("SELECT version_num FROM waybill.waybill_migrations") == [(BEFORE,)]
        monkeypatch.setattr(indexes, "SMALL_BYTES", 1 << 30)
        assert migrate(pooled) == known_revisions()[-1]


def test_indexes_are_the_same_however_they_were_built(
    at: Callable[[str], Settings], settings: Settings
) -> None:
    earlier = at("0002")
    migrate(earlier)
    found = []
    for each in (earlier, settings):
        with asking(each) as ask:
            found.append(ask("SELECT indexdef FROM pg_indexes WHERE schemaname = 'waybill'"))
            assert ask("SELECT indexrelid FROM pg_index WHERE NOT indisvalid") == []
    assert sorted(found[0]) == sorted(found[1])
