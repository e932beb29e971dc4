"""Whoever replaces a relation is waited for before the snapshot is taken, or the attempt fails.

Each change is open in another session when the export begins, and committed once the export waits
for it. An export that took its snapshot first would find none of the new rows.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import sql

from waybill.catalog.model import Column, ExportType, QuerySource, TableSource
from waybill.catalog.scope import RowScope
from waybill.errors import IncompleteExport, SourceRejected, SourceUnavailable
from waybill.formats import get_encoder, read_options
from waybill.formats.plan import ExportPlan
from waybill.formats.statement import copy_csv
from waybill.source import opening
from waybill.source.source import PostgresSnapshot, PostgresSource, Reads, SourceSettings

RunSql = Callable[..., list[tuple[Any, ...]]]

OLD = "SELECT n AS id, 'old' AS v FROM generate_series(1, 100) AS n"
NEW = "SELECT n AS id, 'new' AS v FROM generate_series(1, 1000) AS n"
TABLE = f"CREATE TABLE t AS {OLD}; ALTER TABLE t ADD PRIMARY KEY (id)"
REPLACE = f"TRUNCATE t; INSERT INTO t {NEW}"
PARTS = (
    "CREATE TABLE t (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);"
    "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (500);"
    "CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (500) TO (5000);"
    f"INSERT INTO t {OLD}"
)


def of(source: TableSource | QuerySource | None = None, **rest: Any) -> ExportType:
    return ExportType("things", source or TableSource("public", "t"), **rest)


T = of(key=("id",))
BY_QUERY = of(QuerySource("SELECT a.id, a.v FROM public.t AS a LEFT JOIN public.t b USING (id)"))
SCOPED = of(scope=RowScope("v IN (SELECT u.v FROM public.u AS u)"))
BY_COLUMN = of(columns=(Column("id"),), key=("id",))

CHANGES: dict[str, tuple[str, str, ExportType]] = {
    "truncate": (TABLE, REPLACE, T),
    "rewriting alter": (
        TABLE,
        f"DELETE FROM t; INSERT INTO t {NEW}; ALTER TABLE t ALTER id TYPE bigint",
        T,
    ),
    "swap by rename": (
        TABLE,
        f"CREATE TABLE t_new AS {NEW}; ALTER TABLE t RENAME TO t_old;"
        "ALTER TABLE t_new RENAME TO t",
        T,
    ),
    "drop and create": (TABLE, f"DROP TABLE t; CREATE TABLE t AS {NEW}", T),
    "cluster": (
        TABLE,
        f"DELETE FROM t; INSERT INTO t {NEW}; CLUSTER t USING t_pkey",
        T,
    ),
    "truncate of a partition": (PARTS, f"TRUNCATE t1, t2; INSERT INTO t {NEW}", T),
    "truncate of a child": (
        "CREATE TABLE t (id int, v text); CREATE TABLE child () INHERITS (t);"
        f"INSERT INTO child {OLD}",
        f"TRUNCATE child; INSERT INTO child {NEW}",
        T,
    ),
    "a view's table": (f"CREATE TABLE u AS {OLD}; CREATE VIEW t AS TABLE u",
                       f"TRUNCATE u; INSERT INTO u {NEW}", T),
    "a view's definition": (f"CREATE TABLE u AS {OLD}; CREATE VIEW t AS TABLE u",
                            f"CREATE TABLE w AS {NEW}; CREATE OR REPLACE VIEW t AS TABLE w", T),
    "a materialized view": (f"CREATE TABLE u AS {OLD}; CREATE MATERIALIZED VIEW t AS TABLE u",
                            f"TRUNCATE u; INSERT INTO u {NEW}; REFRESH MATERIALIZED VIEW t", T),
    "a materialized view behind a view": (
        f"CREATE TABLE u AS {OLD}; CREATE MATERIALIZED VIEW m AS TABLE u; CREATE VIEW t AS TABLE m",
        f"TRUNCATE u; INSERT INTO u {NEW}; REFRESH MATERIALIZED VIEW m", T),
    "a query's table": (TABLE, REPLACE, BY_QUERY),
    "a query's partition": (PARTS, f"TRUNCATE t1, t2; INSERT INTO t {NEW}", BY_QUERY),
    "a scope's table": (
        f"CREATE TABLE t AS {NEW}; CREATE TABLE u AS SELECT 'old' AS v",
        "TRUNCATE u; INSERT INTO u VALUES ('new')",
        SCOPED,
    ),
    "a policy's table": (
        f"CREATE TABLE t AS {NEW}; CREATE TABLE u AS SELECT 'old' AS v;"
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY p ON t USING (v IN (SELECT u.v FROM public.u))",
        "TRUNCATE u; INSERT INTO u VALUES ('new')",
        of(),
    ),
    "a table of which some columns may be read": (TABLE, REPLACE, BY_COLUMN),
}  # fmt: skip


@pytest.fixture
def reader(dsn: str, run_sql: RunSql) -> Iterator[Callable[[str], str]]:
    """Make a role that owns nothing; gives it what SQL says and returns its DSN."""
    role = f"reader_{secrets.token_hex(6)}"
    run_sql(f"CREATE ROLE {role} LOGIN PASSWORD 'secret-of-the-role'")

    def grant(statements: str) -> str:
        run_sql(statements.format(role=role))
        return psycopg.conninfo.make_conninfo(dsn, user=role, password="secret-of-the-role")

    yield grant
    run_sql(f"DROP OWNED BY {role}; DROP ROLE {role}")


def read(snapshot: PostgresSnapshot, export_type: ExportType) -> list[str]:
    plan = ExportPlan(
        export_type,
        snapshot.resolve(export_type),
        get_encoder("csv"),
        read_options("csv", {}),
        where=None if export_type.scope is None else sql.SQL(export_type.scope.sql),  # type: ignore[arg-type]
    )
    chunks = snapshot.copy(copy_csv(plan, delimiter=",", null_text=""))
    return b"".join(chunk.data for chunk in chunks).decode().splitlines()


def export(source: PostgresSource, control: Any, export_type: ExportType) -> list[str]:
    with source.open_snapshot(control.check, reads=Reads(export_type)) as snapshot:
        return read(snapshot, export_type)


def wait_until_somebody_waits(run_sql: RunSql, sessions: int = 1) -> None:
    ends_at = time.monotonic() + 30
    while len(run_sql("SELECT DISTINCT pid FROM pg_locks WHERE NOT granted")) < sessions:
        assert time.monotonic() < ends_at, "nobody waits for a lock"
        time.sleep(0.01)


@contextlib.contextmanager
def open_change(dsn: str, statements: str) -> Iterator[psycopg.Connection[Any]]:
    """A transaction of somebody else's that holds its locks; committed by the test."""
    with contextlib.closing(psycopg.connect(dsn)) as other:
        other.execute(statements.encode())
        yield other


@contextlib.contextmanager
def waiting_change(dsn: str, statements: str, run_sql: RunSql) -> Iterator[threading.Thread]:
    """Somebody who waits for a lock, and commits as soon as they have it."""

    def change() -> None:
        with psycopg.connect(dsn) as other:
            other.execute(statements.encode())

    thread = threading.Thread(target=change)
    thread.start()
    wait_until_somebody_waits(run_sql)
    yield thread
    thread.join(60)
    assert not thread.is_alive()


@pytest.mark.parametrize("change", CHANGES)
def test_change_that_is_open_is_waited_for_and_its_rows_are_whole(
    change: str, dsn: str, control: Any, run_sql: RunSql, reader: Callable[[str], str]
) -> None:
    before, meanwhile, export_type = CHANGES[change]
    run_sql(before)
    theirs = dsn
    if change == "a table of which some columns may be read":
        theirs = reader("GRANT SELECT (id) ON t TO {role}")
    if change == "a policy's table":
        theirs = reader("GRANT SELECT ON t, u TO {role}")
    source = PostgresSource(theirs, SourceSettings(lock_timeout_seconds=60))

    with open_change(dsn, meanwhile) as other, ThreadPoolExecutor(1) as threads:
        exported = threads.submit(export, source, control, export_type)
        wait_until_somebody_waits(run_sql)
        other.commit()
        rows = exported.result(60)

    assert len(rows) == 1000
    assert not [row for row in rows if "old" in row]


def test_change_that_comes_between_the_two_connections_goes_first(
    dsn: str, control: Any, run_sql: RunSql, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_sql(TABLE)
    source = PostgresSource(dsn, SourceSettings(lock_timeout_seconds=0.5))
    real = opening.Opening._lock_too
    came: list[contextlib.AbstractContextManager[Any]] = []

    def lock_too(self: opening.Opening, reads: Reads) -> None:
        if not came:
            came.append(waiting_change(dsn, REPLACE, run_sql))
            came[0].__enter__()
        real(self, reads)

    monkeypatch.setattr(opening.Opening, "_lock_too", lock_too)

    rows = export(source, control, BY_QUERY)

    came[0].__exit__(None, None, None)
    assert len(rows) == 1000


@pytest.mark.parametrize("export_type", [T, BY_QUERY], ids=["table", "query"])
def test_lock_that_outlasts_the_time_out_is_retryable_and_named(
    export_type: ExportType, dsn: str, control: Any, run_sql: RunSql
) -> None:
    run_sql(TABLE)
    source = PostgresSource(dsn, SourceSettings(lock_timeout_seconds=0.2))

    with (
        open_change(dsn, REPLACE),
        pytest.raises(SourceUnavailable, match=r"55P03 .*Another session locks the source"),
    ):
        export(source, control, export_type)


@pytest.mark.parametrize("export_type", [T, BY_QUERY], ids=["table", "query"])
def test_change_that_comes_later_waits_for_the_export(
    export_type: ExportType, dsn: str, control: Any, run_sql: RunSql
) -> None:
    run_sql(TABLE)
    source = PostgresSource(dsn)

    with source.open_snapshot(control.check, reads=Reads(export_type)) as snapshot:
        change = waiting_change(dsn, "DROP TABLE t", run_sql)
        change.__enter__()
        rows = read(snapshot, export_type)

    change.__exit__(None, None, None)
    assert len(rows) == 100
    with pytest.raises(SourceRejected, match=r"no table or view|42P01"):
        export(source, control, export_type)


def test_role_without_rights_is_told_which_it_lacks(
    dsn: str, control: Any, run_sql: RunSql, reader: Callable[[str], str]
) -> None:
    run_sql(TABLE)
    source = PostgresSource(reader("GRANT SELECT (id) ON t TO {role}"))

    with pytest.raises(SourceRejected, match=r"42501 .*Grant SELECT"):
        export(source, control, T)


# -- what cannot be locked beforehand -------------------------------------------------------------

HIDDEN = of(QuerySource("SELECT * FROM public.hidden()"))
HIDE = (
    "CREATE FUNCTION hidden() RETURNS SETOF t LANGUAGE plpgsql AS "
    "$$ BEGIN RETURN QUERY SELECT * FROM public.t; END $$"
)
LATE: dict[str, tuple[str, str, ExportType, int | None]] = {
    "a function's table is left alone": (f"{TABLE}; {HIDE}", "", HIDDEN, 100),
    "a function's table gets rows": (
        f"{TABLE}; {HIDE}", "INSERT INTO t VALUES (9999, 'late')", HIDDEN, 100),
    "a function's table is replaced": (f"{TABLE}; {HIDE}", REPLACE, HIDDEN, None),
    "a function's table is swapped": (
        f"{TABLE}; {HIDE}; CREATE TABLE other AS {NEW}",
        "ALTER TABLE t RENAME TO gone; ALTER TABLE other RENAME TO t", HIDDEN, None),
    "the schema is swapped": (
        f"CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE a.t AS {OLD}; CREATE TABLE b.t AS {NEW}",
        "ALTER SCHEMA a RENAME TO c; ALTER SCHEMA b RENAME TO a",
        of(TableSource("a", "t")), None),
    "a partition is attached": (
        f"{PARTS}; CREATE TABLE t3 AS SELECT n + 9000 AS id, 'x' AS v FROM generate_series(1, 9) n;"
        "ALTER TABLE t3 ALTER id SET NOT NULL",
        "ALTER TABLE t ATTACH PARTITION t3 FOR VALUES FROM (5000) TO (10000)", T, None),
    "a child is attached": (
        f"CREATE TABLE t AS {OLD}; CREATE TABLE c AS SELECT * FROM t",
        "ALTER TABLE c INHERIT t", of(), None),
    "a partition is made and filled": (
        PARTS, "CREATE TABLE t3 (LIKE t INCLUDING ALL);"
        "ALTER TABLE t ATTACH PARTITION t3 FOR VALUES FROM (5000) TO (10000);"
        "INSERT INTO t VALUES (6000, 'late')", T, 100),
    "a partition comes with frozen rows": (
        PARTS, "CREATE TABLE t3 (LIKE t); ALTER TABLE t3 ADD PRIMARY KEY (id);"
        "COPY t3 FROM PROGRAM 'echo 6000 late' WITH (FREEZE, DELIMITER ' ')", T, None),
    "an index is made": (f"{TABLE}; {HIDE}", "CREATE INDEX ON t (v)", HIDDEN, 100),
}  # fmt: skip


@pytest.mark.parametrize("situation", LATE)
def test_what_is_locked_after_the_snapshot_is_proven_or_fails(
    situation: str, dsn: str, control: Any, run_sql: RunSql
) -> None:
    before, meanwhile, export_type, rows = LATE[situation]
    run_sql(before)
    with PostgresSource(dsn).open_snapshot(control.check, reads=Reads(export_type)) as snapshot:
        with psycopg.connect(dsn) as other:
            for statement in filter(None, meanwhile.split(";")):
                other.execute(statement.encode())
            if "frozen" in situation:
                other.execute("ALTER TABLE t ATTACH PARTITION t3 FOR VALUES FROM (5000) TO (10000)")
        if rows is None:
            with pytest.raises(IncompleteExport, match="replaced or changed"):
                read(snapshot, export_type)
        else:
            assert len(read(snapshot, export_type)) == rows


def test_what_cannot_be_proven_for_want_of_a_connection_is_tried_again(
    dsn: str, control: Any, run_sql: RunSql, reader: Callable[[str], str]
) -> None:
    run_sql(f"{TABLE}; {HIDE}")
    theirs = reader("GRANT SELECT ON t TO {role}; ALTER ROLE {role} CONNECTION LIMIT 2")

    with (
        PostgresSource(theirs).open_snapshot(control.check, reads=Reads(HIDDEN)) as snapshot,
        contextlib.closing(psycopg.connect(theirs)),
        pytest.raises(SourceUnavailable, match="No connection"),
    ):
        read(snapshot, HIDDEN)


@pytest.fixture
def no_locks_to_see(run_sql: RunSql) -> None:
    """For this database alone: its copy of the function is everybody's no more."""
    run_sql("REVOKE EXECUTE ON FUNCTION pg_catalog.pg_lock_status() FROM PUBLIC")


@pytest.mark.usefixtures("no_locks_to_see")
def test_role_that_sees_no_locks_is_given_another_proof_or_told(
    dsn: str, control: Any, run_sql: RunSql, reader: Callable[[str], str]
) -> None:
    run_sql(PARTS)
    run_sql("CREATE TABLE t3 (LIKE t INCLUDING ALL)")
    source = PostgresSource(reader("GRANT SELECT ON t TO {role}"))
    assert len(export(source, control, T)) == 100

    with source.open_snapshot(control.check, reads=Reads(T)) as snapshot:
        run_sql("ALTER TABLE t ATTACH PARTITION t3 FOR VALUES FROM (5000) TO (9000)")
        with pytest.raises(IncompleteExport, match="replaced or changed"):
            read(snapshot, T)

    with pytest.raises(SourceRejected, match="GRANT EXECUTE ON FUNCTION"):
        export(source, control, BY_QUERY)


def test_table_takes_no_second_connection(
    control: Any, run_sql: RunSql, reader: Callable[[str], str]
) -> None:
    run_sql(TABLE)
    one = "GRANT SELECT ON t TO {role}; ALTER ROLE {role} CONNECTION LIMIT 1"
    source = PostgresSource(reader(one))
    with source.open_snapshot(control.check, reads=Reads(T)) as snapshot:
        snapshot.check_key(T)
        snapshot.count_rows(T)
        assert len(read(snapshot, T)) == 100


def test_time_out_of_idle_transactions_does_not_end_what_holds_the_locks(
    control: Any, run_sql: RunSql, reader: Callable[[str], str]
) -> None:
    run_sql(TABLE)
    source = PostgresSource(
        reader(
            "GRANT SELECT ON t TO {role};"
            "ALTER ROLE {role} SET idle_in_transaction_session_timeout = '1ms'"
        )
    )

    assert len(export(source, control, BY_QUERY)) == 100
