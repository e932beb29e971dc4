"""A standby that lags, and a pooler that lends connections per transaction."""

from __future__ import annotations

import contextlib
import itertools
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from waybill.catalog import Catalog, ExportType, NamedSource, QuerySource, TableSource
from waybill.catalog.check import _check_version, check_catalog
from waybill.catalog.filters import Filter
from waybill.catalog.sources import Standby
from waybill.catalog.where import where_clause
from waybill.config import Settings
from waybill.doctor.findings import Finding, Patient, Verdict
from waybill.doctor.source import examine
from waybill.errors import SourceUnavailable, StandbyConflict
from waybill.formats import get_encoder, read_options
from waybill.formats.plan import ExportPlan
from waybill.formats.statement import copy_csv
from waybill.jobs.attempts import Cause, cause_of
from waybill.local.faults.poolers import pgbouncer
from waybill.local.faults.servers import Programs, Server
from waybill.pipeline.many_readers import ManyReaders
from waybill.pipeline.ranges import Parallel
from waybill.source.named import with_wish
from waybill.source.source import PostgresSnapshot, PostgresSource, Reads, SnapshotFacts

THINGS = ExportType("things", TableSource("public", "things"), key=("id",), since="at")


@pytest.fixture
def primary(server_directory: Path) -> Iterator[Server]:
    server = Server(Programs.of_the_wheel(), server_directory / "primary")
    server.make("--locale=C", "--encoding=UTF8")
    server.start()
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE things (id int PRIMARY KEY, raw bytea, day interval,"
            " at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )
        connection.execute(
            "INSERT INTO things SELECT n, '\\x41ff', '1 day 2 hours' FROM generate_series(1, 9) n"
        )
    yield server
    server.stop(signal.SIGQUIT)


def plan_of(
    snapshot: PostgresSnapshot, kind: ExportType, where: sql.Composable | None = None
) -> ExportPlan:
    options = read_options("csv", {})
    return ExportPlan(kind, snapshot.resolve(kind), get_encoder("csv"), options, where=where)


def rows_of(dsn: str, since: datetime | None = None) -> tuple[SnapshotFacts, list[str]]:
    source = PostgresSource(dsn)
    with source.open_snapshot(lambda: None, reads=Reads(THINGS)) as snapshot:
        where = where_clause(since=("at", since) if since else None)
        plan = plan_of(snapshot, THINGS, where)
        chunks = snapshot.copy(copy_csv(plan, delimiter=",", null_text=""))
        return snapshot.facts, b"".join(chunk.data for chunk in chunks).decode().splitlines()


def wait_until(condition: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.02)


def test_row_that_a_standby_had_not_replayed_is_in_the_next_incremental_export(
    primary: Server, server_directory: Path
) -> None:
    standby = Server(Programs.of_the_wheel(), server_directory / "standby")
    standby.copy_of(primary)
    standby.start()
    with (
        psycopg.connect(primary.dsn(), autocommit=True) as there,
        psycopg.connect(standby.dsn(), autocommit=True) as here,
    ):
        before, _ = rows_of(standby.dsn())  # nothing was replayed yet but a checkpoint
        there.execute("INSERT INTO things (id) VALUES (100)")
        wait_until(lambda: here.execute("SELECT count(*) FROM things").fetchone() == (10,))
        here.execute("SELECT pg_wal_replay_pause()")
        wait_until(
            lambda: here.execute("SELECT pg_get_wal_replay_pause_state()").fetchone() == ("paused",)
        )
        there.execute("INSERT INTO things (id) VALUES (101)")

        first, rows = rows_of(standby.dsn())
        here.execute("SELECT pg_wal_replay_resume()")
        wait_until(lambda: here.execute("SELECT count(*) FROM things").fetchone() == (11,))
        _, later = rows_of(standby.dsn(), since=first.taken_at)

    standby.stop(signal.SIGQUIT)
    assert before.taken_at < first.taken_at
    assert len(rows) == 10
    assert [row.split(",")[0] for row in later if row.startswith("101,")] == ["101"]
    assert first.lag_seconds is not None
    assert first.lag_seconds > 0


def test_primary_has_no_lag(primary: Server) -> None:
    facts, _ = rows_of(primary.dsn())

    assert facts.lag_seconds is None


def test_fact_that_the_server_keeps_to_itself_fails_nothing(primary: Server) -> None:
    dsn = psycopg.conninfo.make_conninfo(primary.dsn(), user="curious")
    with psycopg.connect(primary.dsn(), autocommit=True) as connection:
        connection.execute("CREATE ROLE curious LOGIN; GRANT SELECT ON things TO curious")
        for function in ("pg_current_snapshot()", "pg_current_wal_lsn()", "pg_lock_status()"):
            revoke = f"REVOKE EXECUTE ON FUNCTION pg_catalog.{function} FROM PUBLIC"
            connection.execute(revoke.encode())

            facts, rows = rows_of(dsn)

            assert len(rows) == 9
            assert facts.id == ""
            assert (facts.wal_lsn is None) is (function != "pg_current_snapshot()")


@pytest.fixture
def pooler(primary: Server, server_directory: Path) -> Iterator[str]:
    """PgBouncer in front of the server, few connections for all its clients."""
    with pgbouncer(primary.dsn(), server_directory) as dsn:
        yield dsn


def test_pooler_by_transaction_gives_the_same_bytes_and_keeps_nothing(
    primary: Server, pooler: str
) -> None:
    theirs = {
        "bytea_output": "escape",
        "IntervalStyle": "sql_standard",
        "search_path": "public",
        # Their defaults, which ours may not replace.
        "statement_timeout": "'77s'",
        "lock_timeout": "'78s'",
        "jit": "on",
        "idle_in_transaction_session_timeout": "'79s'",
    }
    with psycopg.connect(primary.dsn(), autocommit=True) as connection:
        for name, value in theirs.items():
            connection.execute(f"ALTER DATABASE postgres SET {name} = {value}".encode())
    _, direct = rows_of(primary.dsn())

    _, pooled = rows_of(pooler)

    assert pooled == direct
    assert pooled[0].startswith("1,\\x41ff,P1DT2H,")
    query = ExportType("q", QuerySource("SELECT * FROM public.things"), key=("id",))
    with PostgresSource(pooler).open_snapshot(lambda: None, reads=Reads(query)) as snapshot:
        assert snapshot.count_rows(query).rows == len(direct)
    with (
        psycopg.connect(pooler, prepare_threshold=None) as one,
        psycopg.connect(pooler, prepare_threshold=None) as other,
    ):
        one.execute("BEGIN")  # so that the other has the other connection of the two
        for connection in (one, other):
            for name, value in theirs.items():
                found: Any = connection.execute(f"SHOW {name}".encode()).fetchone()
                assert found == (value.strip("'"),)


def test_what_another_client_left_on_a_poolers_connection_chooses_no_rows_and_prints_none(
    primary: Server, pooler: str, server_directory: Path
) -> None:
    primary.execute(
        "CREATE ROLE one LOGIN",
        "CREATE ROLE tenant",
        "GRANT tenant TO one",
        "GRANT SELECT ON things TO one, tenant",
        "ALTER TABLE things ENABLE ROW LEVEL SECURITY",
        # Who exports has all; who says which tenant it is, or becomes one, has that one's.
        "CREATE POLICY by_setting ON things FOR SELECT TO one"
        " USING (coalesce(nullif(current_setting('app.id', true), ''), id::text) = id::text)",
        "CREATE POLICY by_role ON things FOR SELECT TO tenant USING (id = 7)",
    )
    for left in ("SET ROLE tenant", "SET app.id = 7"):
        with (
            pgbouncer(make_conninfo(primary.dsn(), user="one"), server_directory) as dsn,
            psycopg.connect(dsn, prepare_threshold=None) as client,
            psycopg.connect(dsn, prepare_threshold=None) as other,
        ):
            for each in (client, other):  # at once, so on both connections that there are
                each.execute(left.encode())
                assert each.execute("SELECT count(*) FROM things").fetchone() == (1,)
            for each in (client, other):
                each.commit()
            _, rows = rows_of(dsn)
        assert len(rows) == 9

    # A connection that was made before the database said so, and one that was made after.
    with psycopg.connect(pooler, prepare_threshold=None) as client:
        client.execute("SELECT 1")
    primary.execute(
        "ALTER DATABASE postgres SET lc_monetary = 'POSIX'",
        "ALTER TABLE things DISABLE ROW LEVEL SECURITY",
    )
    source = PostgresSource(pooler)
    asked = sql.SQL("SELECT pg_catalog.pg_backend_pid(), pg_catalog.current_setting('lc_monetary')")
    with (
        source.open_snapshot(lambda: None, reads=Reads(THINGS)) as snapshot,
        source.open_snapshot(lambda: None, exported=snapshot.export()) as reader,
    ):
        ((one, its_own),), ((other, shared),) = snapshot.fetch(asked), reader.fetch(asked)
    assert one != other
    assert its_own == shared == "C"


class Replicas(PostgresSource):
    """An address that leads to one server after the other."""

    def __init__(self, *dsns: str) -> None:
        super().__init__(dsns[0])
        self._next = itertools.cycle(dsns)

    def _connect(self, application_name: str) -> psycopg.Connection[tuple[object, ...]]:
        self._dsn = next(self._next)
        return super()._connect(application_name)


def test_connection_that_comes_to_another_replica_takes_no_part_and_proves_nothing(
    primary: Server, server_directory: Path
) -> None:
    query = ExportType("q", QuerySource("SELECT * FROM public.things"), key=("id",))
    with Server(Programs.of_the_wheel(), server_directory / "standby") as standby:
        standby.copy_of(primary)
        standby.start()
        here, there = primary.dsn(), standby.dsn()
        elsewhere = PostgresSource(there)
        with (
            PostgresSource(here).open_snapshot(lambda: None, reads=Reads(THINGS)) as snapshot,
            elsewhere.open_snapshot(lambda: None, reads=Reads(THINGS)) as another,
        ):
            shared = snapshot.export()
            # A name that the other server gave too, to another moment.
            same_name = replace(shared, name=another.export().name)
            for each in (shared, same_name):
                with (
                    pytest.raises(SourceUnavailable, match="several servers"),
                    elsewhere.open_snapshot(lambda: None, exported=each),
                ):
                    raise AssertionError("it took part")

            # Where there are few replicas, the right one is found.
            with Replicas(there, there, here).open_snapshot(
                lambda: None, exported=shared
            ) as joined:
                assert joined.place == snapshot.place

            plan = plan_of(snapshot, THINGS)
            encoding = plan.encoder.open(plan)
            readers = ManyReaders(plan, snapshot, encoding, lambda: None, Parallel(elsewhere, 2))
            with readers:
                data = b"".join(readers.pieces())
            assert (data.count(b"\n"), readers.copied_rows) == (9, 9)

        # What holds the locks is elsewhere, and so is the first who looks whether they mattered.
        for dsns, is_seen in (((here, there, there, here), True), ((here, *[there] * 99), False)):
            with Replicas(*dsns).open_snapshot(lambda: None, reads=Reads(query)) as snapshot:
                copied = snapshot.copy(copy_csv(plan_of(snapshot, query), delimiter=",",
                                                null_text=""))  # fmt: skip
                with (
                    contextlib.nullcontext()
                    if is_seen
                    else pytest.raises(SourceUnavailable, match="several servers")
                ):
                    assert sum(chunk.rows for chunk in copied) == 9


def test_check_through_a_pooler_prepares_nothing_on_its_connections(
    primary: Server, pooler: str
) -> None:
    query = ExportType(
        "q",
        QuerySource("SELECT id, raw, day, at FROM public.things"),
        key=("id",),
        since="at",
        filters=(Filter("id", "integer"),),
    )

    findings = check_catalog(Catalog([query, THINGS]), pooler)

    assert [finding for finding in findings if finding.severity == "error"] == []
    prepared = "SELECT count(*) FROM pg_prepared_statements"
    with (
        psycopg.connect(pooler, prepare_threshold=None) as one,
        psycopg.connect(pooler, prepare_threshold=None) as other,
    ):
        for connection in (one, other):
            assert connection.execute(prepared.encode()).fetchone() == (0,)


def test_conflict_with_what_a_standby_replays_is_told_with_the_remedy(
    primary: Server, server_directory: Path
) -> None:
    with Server(Programs.of_the_wheel(), server_directory / "standby") as standby:
        standby.copy_of(primary)
        standby.start("max_standby_streaming_delay=0")
        source = PostgresSource(standby.dsn())
        with source.open_snapshot(lambda: None, reads=Reads(THINGS)) as snapshot:
            primary.execute("TRUNCATE things")
            standby.wait_replayed(primary)
            with pytest.raises(StandbyConflict, match="hot_standby_feedback = on") as caught:
                snapshot.fetch(sql.SQL("SELECT pg_catalog.count(*) FROM public.things"))
    assert caught.value.sqlstate == "40001"
    assert caught.value.patience > SourceUnavailable.patience
    assert cause_of(caught.value) is Cause.TRANSIENT


def test_wish_for_a_standby_is_kept_and_where_there_is_none_is_told(
    primary: Server, server_directory: Path
) -> None:
    kind = replace(THINGS, source_name="eu")
    with Server(Programs.of_the_wheel(), server_directory / "standby") as standby:
        standby.copy_of(primary)
        standby.start()
        several = {"host": "127.0.0.1,127.0.0.1", "port": f"{primary.port},{standby.port}"}
        both = make_conninfo(primary.dsn(), **several)

        def lag(wish: Standby) -> float | None:
            source = PostgresSource(with_wish(both, NamedSource("eu", standby=wish)))
            with source.open_snapshot(lambda: None, reads=Reads(kind)) as snapshot:
                return snapshot.facts.lag_seconds

        def found(wish: Standby) -> dict[str, Finding]:
            catalog = Catalog([kind], sources=[NamedSource("eu", standby=wish)])
            settings = Settings(database_url=both, source_dsns={"eu": both})
            return {each.check: each for each in examine(Patient(settings, catalog))}

        assert lag("prefer") is not None
        assert lag("require") is not None
        assert found("require")["source.eu.standby"].verdict is not Verdict.AWAY
        standby.stop(signal.SIGQUIT)
        assert lag("prefer") is None
        with pytest.raises(SourceUnavailable):
            lag("require")
        preferred = found("prefer")["source.eu.standby"]
        assert (preferred.verdict, "prefers a standby" in preferred.sentence) == ("warning", True)
        required = found("require")["source.eu.reachable"]
        assert required.verdict is Verdict.AWAY


def test_times_that_a_role_or_database_sets_end_no_export(primary: Server) -> None:
    for name in (
        "statement_timeout",
        "transaction_timeout",
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
        "lock_timeout",
    ):
        primary.execute(f"ALTER DATABASE postgres SET {name} = '300ms'")
    source = PostgresSource(primary.dsn())
    query = ExportType("q", QuerySource("SELECT * FROM public.things"), key=("id",))
    with source.open_snapshot(lambda: None, reads=Reads(query)) as snapshot:
        shared = snapshot.export()
        with source.open_snapshot(lambda: None, exported=shared) as reader:
            # Longer than any of them, once at work and once idle.
            assert snapshot.fetch(sql.SQL("SELECT pg_catalog.pg_sleep(0.5)")) == [("",)]
            for each in (snapshot, reader):
                assert each.fetch(sql.SQL("SELECT pg_catalog.count(*) FROM public.things")) == [
                    ("9",)
                ]


def test_version_that_is_too_old_or_not_known_is_said_in_a_sentence() -> None:
    (old,) = _check_version(110_022)
    (new,) = _check_version(190_000)

    assert (old.severity, old.code) == ("error", "version_unsupported")
    assert str(old).startswith("error: The source is PostgreSQL 11; waybill exports from 12")
    assert (new.severity, new.code) == ("warning", "version_untested")
    assert [*_check_version(120_000), *_check_version(180_004)] == []
