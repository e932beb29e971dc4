"""Kept connections: what they leave behind, and everything that speaks against taking one."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from waybill.catalog.model import ExportType, QuerySource, TableSource
from waybill.catalog.scope import RowScope
from waybill.errors import SourceRejected, SourceUnavailable
from waybill.local.faults.poolers import pgbouncer
from waybill.local.faults.tcp_proxy import TcpProxy
from waybill.source.kept import ConnectionKeeper
from waybill.source.source import PostgresSource, Reads

RunSql = Callable[..., list[tuple[Any, ...]]]

T = Reads(ExportType("t", TableSource("public", "t"), key=("id",)))
PID = sql.SQL("SELECT pg_backend_pid()")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def role(dsn: str, run_sql: RunSql) -> Iterator[str]:
    name = f"keeper_{secrets.token_hex(6)}"
    run_sql("CREATE TABLE t (id int PRIMARY KEY)")
    run_sql("INSERT INTO t SELECT generate_series(1, 100)")
    run_sql(f"CREATE ROLE {name} LOGIN PASSWORD 'secret-of-the-role'")
    run_sql(f"GRANT SELECT ON t TO {name}")
    yield name
    run_sql(f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.fixture
def clock_of_age() -> Clock:
    return Clock()


@pytest.fixture
def keeper(clock_of_age: Clock) -> Iterator[ConnectionKeeper]:
    keeper = ConnectionKeeper(clock=clock_of_age)
    yield keeper
    keeper.close()


@pytest.fixture
def source(dsn: str, role: str, keeper: ConnectionKeeper) -> PostgresSource:
    theirs = make_conninfo(dsn, user=role, password="secret-of-the-role")
    return PostgresSource(theirs, keeper=keeper)


def export(source: PostgresSource, reads: Reads = T, *others: str) -> str:
    """Read once; return the number of the server's process that did."""
    with source.open_snapshot(lambda: None, reads=reads, application_name="one") as snapshot:
        for statement in others:
            snapshot.fetch(sql.SQL(statement))  # type: ignore[arg-type]
        assert snapshot.count_rows(reads.export_type).rows == 100
        return snapshot.fetch(PID)[0][0] or ""


def wait_until_gone(run_sql: RunSql, pid: str) -> None:
    """Return when the server's process has ended; fail after the server's own time-out."""
    run_sql("SET statement_timeout = '20s'")
    run_sql(
        "DO $$ BEGIN WHILE EXISTS (SELECT FROM pg_stat_activity WHERE pid = "
        f"{int(pid)}) LOOP PERFORM pg_stat_clear_snapshot(), pg_sleep(0.02); END LOOP; END $$"
    )


# -- what is kept ---------------------------------------------------------------------------------


def test_next_export_reads_on_the_same_connection_which_rests_bare(
    source: PostgresSource, run_sql: RunSql
) -> None:
    first = export(
        source,
        T,
        "SELECT set_config('waybill.of_the_first', 'mine', false)",
        "SELECT set_config('default_transaction_isolation', 'serializable', false)",
        "SELECT pg_advisory_lock_shared(77)",
        "PREPARE left_behind AS SELECT 1",
        "DECLARE held CURSOR WITH HOLD FOR SELECT 1",
    )
    resting = run_sql(
        "SELECT state, application_name, backend_xmin FROM pg_stat_activity WHERE pid = %s",
        int(first),
    )
    locks = run_sql("SELECT locktype FROM pg_locks WHERE pid = %s", int(first))
    with source.open_snapshot(lambda: None, reads=T, application_name="the second") as snapshot:
        found = snapshot.fetch(
            sql.SQL(
                "SELECT pg_backend_pid(),"
                " coalesce(current_setting('waybill.of_the_first', true), ''),"
                " current_setting('default_transaction_isolation'),"
                " current_setting('application_name'),"
                " (SELECT count(*) FROM pg_prepared_statements),"
                " (SELECT count(*) FROM pg_cursors WHERE name = 'held')"
            )
        )

    assert resting == [("idle", "waybill export", None)]
    assert locks == []
    assert found == [(first, "", "read committed", "the second", "0", "0")]


def test_next_export_sees_what_was_committed_in_between(
    source: PostgresSource, run_sql: RunSql
) -> None:
    first = export(source)
    run_sql("ALTER TABLE t ADD COLUMN late text DEFAULT 'new'")
    run_sql("TRUNCATE t")
    run_sql("INSERT INTO t SELECT generate_series(201, 300)")

    with source.open_snapshot(lambda: None, reads=T) as snapshot:
        names = [column.name for column in snapshot.resolve(T.export_type)]
        read = snapshot.fetch(sql.SQL("SELECT min(id), max(late), pg_backend_pid() FROM public.t"))

    assert names == ["id", "late"]
    assert read == [("201", "new", first)]


def both(source: PostgresSource) -> list[str]:
    """Read twice at the same time; return the numbers of the server's processes that did."""
    with (
        source.open_snapshot(lambda: None, reads=T) as first,
        source.open_snapshot(lambda: None, reads=T) as second,
    ):
        return [each.fetch(PID)[0][0] or "" for each in (first, second)]


def test_as_many_are_kept_as_there_are_places_and_none_has_two_users(
    dsn: str, role: str, clock_of_age: Clock, run_sql: RunSql
) -> None:
    keeper = ConnectionKeeper(places=2, clock=clock_of_age)
    source = PostgresSource(dsn, keeper=keeper)
    made = both(source)
    assert len(set(made)) == 2

    assert sorted(both(source)) == sorted(made)
    with source.open_snapshot(lambda: None, reads=T) as third:
        others = both(source)
        of_the_third = third.fetch(PID)[0][0] or ""

    assert of_the_third in made
    assert len({*others, of_the_third}) == 3
    # Two came back before it, so there was no place for it any more.
    wait_until_gone(run_sql, of_the_third)
    assert sorted(both(source)) == sorted(others)
    clock_of_age.now += 30
    assert set(both(source)).isdisjoint(others)
    for pid in others:
        wait_until_gone(run_sql, pid)
    keeper.close()


def test_one_that_cannot_be_used_is_passed_over_for_another(
    dsn: str, role: str, run_sql: RunSql
) -> None:
    keeper = ConnectionKeeper(places=2)
    source = PostgresSource(dsn, keeper=keeper)
    made = both(source)
    last = export(source)
    run_sql("SELECT pg_terminate_backend(%s, 10000)", int(last))

    (other,) = set(made) - {last}
    assert export(source) == other
    keeper.close()


def test_all_that_rest_too_long_are_closed_by_themselves(
    dsn: str, role: str, run_sql: RunSql
) -> None:
    keeper = ConnectionKeeper(places=2, most_seconds=0.5)

    for pid in both(PostgresSource(dsn, keeper=keeper)):
        wait_until_gone(run_sql, pid)
    assert keeper.take() is None


# -- what is not kept -----------------------------------------------------------------------------

VIEW = Reads(ExportType("v", TableSource("public", "v"), key=("id",)))
QUERY = Reads(ExportType("q", QuerySource("SELECT * FROM public.t"), key=("id",)))
GUARDED = Reads(ExportType("g", TableSource("public", "g"), key=("id",)))
SCOPED = Reads(
    ExportType(
        "s",
        TableSource("public", "t"),
        key=("id",),
        scope=RowScope("id IN (SELECT t.id FROM public.t)"),
    )
)


def test_connection_that_ran_code_of_others_is_not_kept(
    source: PostgresSource, keeper: ConnectionKeeper, role: str, run_sql: RunSql
) -> None:
    run_sql("CREATE VIEW v AS SELECT * FROM t; CREATE TABLE g AS SELECT * FROM t")
    run_sql("ALTER TABLE g ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON g USING (true)")
    run_sql(f"GRANT SELECT ON v, g TO {role}")

    for reads in (VIEW, QUERY, GUARDED, SCOPED):
        export(source, reads)
        assert keeper.take() is None, reads.export_type.name
    export(source)
    kept = keeper.take()
    assert kept is not None
    kept.connection.close()


def test_connection_of_a_failed_export_is_not_kept(source: PostgresSource, run_sql: RunSql) -> None:
    first = export(source)

    with pytest.raises(SourceRejected, match="22012"):
        export(source, T, "SELECT 1 / 0")

    assert export(source) != first


def test_connection_whose_last_copy_was_large_is_not_kept(source: PostgresSource) -> None:
    statement = sql.SQL("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 5000)) TO STDOUT")
    with source.open_snapshot(lambda: None, reads=T) as snapshot:
        first = snapshot.fetch(PID)[0][0]
        assert sum(len(chunk.data) for chunk in snapshot.copy(statement)) > 5_000_000

    assert export(source) != first


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_connection_through_a_pooler_is_not_kept(
    mode: Any, dsn: str, role: str, keeper: ConnectionKeeper, server_directory: Path
) -> None:
    with pgbouncer(dsn, server_directory, mode=mode) as pooled:
        export(PostgresSource(pooled, keeper=keeper))

    assert keeper.take() is None


# -- what speaks against taking it ----------------------------------------------------------------


def test_connection_that_was_ended_while_it_rested_is_made_anew(
    source: PostgresSource, run_sql: RunSql
) -> None:
    first = export(source)
    run_sql("SELECT pg_terminate_backend(%s, 10000)", int(first))

    assert export(source) != first


def test_connection_that_breaks_when_it_is_taken_is_made_anew(
    dsn: str, role: str, keeper: ConnectionKeeper
) -> None:
    """A peer that vanished without a word is found out only by asking it."""
    breaks = [True]

    def break_once(_: bytes) -> None:
        if breaks.pop() if breaks else False:
            raise ConnectionResetError

    with TcpProxy(int(str(psycopg.conninfo.conninfo_to_dict(dsn)["port"]))) as proxy:
        source = PostgresSource(make_conninfo(dsn, port=proxy.port), keeper=keeper)
        first = export(source)
        proxy.on_client_bytes(break_once)

        assert export(source) != first

        assert breaks == []


MAY_NOT_CONNECT = {
    "ALTER ROLE {role} NOLOGIN": "ALTER ROLE {role} LOGIN",
    "ALTER ROLE {role} VALID UNTIL '2001-01-01'": "ALTER ROLE {role} VALID UNTIL 'infinity'",
    "REVOKE CONNECT ON DATABASE {database} FROM PUBLIC": (
        "GRANT CONNECT ON DATABASE {database} TO PUBLIC"
    ),
}


def test_role_that_may_no_longer_connect_is_refused(
    source: PostgresSource, role: str, dsn: str, run_sql: RunSql
) -> None:
    database = str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])
    for change, back in MAY_NOT_CONNECT.items():
        export(source)
        run_sql(change.format(role=role, database=database))

        with pytest.raises((SourceUnavailable, SourceRejected)):
            export(source)

        run_sql(back.format(role=role, database=database))


def test_role_or_database_that_changed_gets_a_new_connection(
    source: PostgresSource, role: str, dsn: str, run_sql: RunSql
) -> None:
    database = str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])
    first = export(source)
    for change in (
        "ALTER ROLE {role} SET work_mem = '3MB'",
        "ALTER DATABASE {database} SET work_mem = '4MB'",
        "ALTER ROLE {role} BYPASSRLS",
    ):
        run_sql(change.format(role=role, database=database))

        second = export(source)

        assert second != first, change
        assert export(source) == second
        first = second


def test_right_that_was_taken_is_missed_at_once(
    source: PostgresSource, role: str, run_sql: RunSql
) -> None:
    export(source)
    run_sql(f"REVOKE SELECT ON t FROM {role}")

    with pytest.raises(SourceRejected, match="42501"):
        export(source)


def test_role_that_may_not_ask_who_it_is_keeps_none(
    source: PostgresSource, keeper: ConnectionKeeper, run_sql: RunSql
) -> None:
    run_sql("REVOKE EXECUTE ON FUNCTION pg_catalog.pg_control_system() FROM PUBLIC")

    export(source)

    assert keeper.take() is None


def test_changed_password_is_missed_when_the_connection_is_old(
    source: PostgresSource, role: str, clock_of_age: Clock, run_sql: RunSql
) -> None:
    first = export(source)
    run_sql(f"ALTER ROLE {role} PASSWORD 'another'")
    clock_of_age.now += 29.9
    assert export(source) == first

    clock_of_age.now += 0.2

    with pytest.raises(SourceUnavailable, match="No connection"):
        export(source)
    wait_until_gone(run_sql, first)


def test_connection_that_rests_too_long_is_closed_by_itself(
    dsn: str, role: str, run_sql: RunSql
) -> None:
    keeper = ConnectionKeeper(most_seconds=0.5)

    pid = export(PostgresSource(dsn, keeper=keeper))

    wait_until_gone(run_sql, pid)
    assert keeper.take() is None


def test_child_leaves_its_parents_connection_alone(dsn: str, role: str) -> None:
    source = PostgresSource(dsn, keeper=ConnectionKeeper(places=2))
    parents = both(source)
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        with theirs:
            theirs.sendall(f"{export(source)} {export(source)}".encode())
        os._exit(0)
    theirs.close()
    with ours:
        answer = ours.recv(100).decode().split()
    os.waitpid(child, 0)

    assert answer[0] == answer[1]
    assert answer[0] not in parents
    assert sorted(both(source)) == sorted(parents)
    source.close()
