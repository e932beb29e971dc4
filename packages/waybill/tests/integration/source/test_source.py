"""The source: what it resolves, counts, proves and refuses; and that it stops when told to."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from waybill.catalog.model import Column, ExportType, QuerySource, TableSource
from waybill.errors import (
    ConfigurationError,
    KeyNotUnique,
    LeaseLost,
    SourceRejected,
    SourceUnavailable,
)
from waybill.formats.statement import copy_csv
from waybill.local.stack import LocalStack
from waybill.source.source import PostgresSnapshot, PostgresSource, SourceSettings

TABLE = TableSource("public", "t")


@pytest.fixture
def snapshot(dsn: str, control: Any, run_sql: Any) -> Iterator[Callable[[], PostgresSnapshot]]:
    """Opens a snapshot, after the test has made its tables."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(PostgresSource(dsn).open_snapshot(control.check))


def things(source: TableSource | QuerySource = TABLE, **rest: Any) -> ExportType:
    return ExportType("things", source, **rest)


# -- resolving --------------------------------------------------------------------------------


def test_declared_columns_resolve_to_types_in_their_order(snapshot: Any, run_sql: Any) -> None:
    run_sql("CREATE DOMAIN moment AS timestamptz(3)")
    run_sql("CREATE TABLE t (id bigint NOT NULL, gone int, price numeric(12,2), at moment)")
    run_sql("ALTER TABLE t DROP COLUMN gone")

    columns = snapshot().resolve(things(columns=(Column("at", "When"), Column("id"))))

    assert [(c.name, c.header, c.type_name, c.nullable) for c in columns] == [
        ("at", "When", "public.moment", True),
        ("id", "id", "bigint", False),
    ]
    assert columns[0].base_type_oid == 1184
    assert columns[0].type_oid != 1184


def test_all_columns_of_a_query_resolve(snapshot: Any) -> None:
    columns = snapshot().resolve(things(QuerySource("SELECT 1::numeric(5,1) AS a, now() AS b")))

    assert [(c.name, c.type_name) for c in columns] == [
        ("a", "numeric(5,1)"),
        ("b", "timestamp with time zone"),
    ]


@pytest.mark.parametrize(
    ("export_type", "names"),
    [
        (things(TableSource("public", "T")), "'T' in schema 'public'"),
        (things(columns=(Column("wrong"),)), "no column 'wrong'. It has: id, a"),
        (things(key=("wrong",)), "no column 'wrong'"),
        (things(TableSource("public", "bare")), "no columns"),
        (things(QuerySource("SELECT 1 AS a, 2 AS a")), "more than one column 'a'"),
        (things(QuerySource("SELECT 1 FROM nowhere")), "42P01 UndefinedTable"),
    ],
)
def test_source_that_does_not_hold_is_rejected_with_names(
    export_type: ExportType, names: str, snapshot: Any, run_sql: Any
) -> None:
    run_sql("CREATE TABLE t (id int, a text)")
    run_sql("CREATE TABLE bare ()")

    with pytest.raises(SourceRejected) as caught:
        snapshot().resolve(export_type)

    assert names in str(caught.value)
    assert run_sql("SELECT count(*) FROM t") == [(0,)]


def test_missing_right_is_rejected_with_its_remedy(
    local_stack: LocalStack, dsn: str, control: Any, run_sql: Any
) -> None:
    role = f"reader_{secrets.token_hex(6)}"
    run_sql("CREATE TABLE t (id int)")
    run_sql(f"CREATE ROLE {role} LOGIN PASSWORD 'secret-of-the-role'")
    try:
        theirs = psycopg.conninfo.make_conninfo(dsn, user=role, password="secret-of-the-role")
        with PostgresSource(theirs).open_snapshot(control.check) as snapshot:
            assert snapshot.facts.wal_lsn is not None
            with pytest.raises(SourceRejected, match=r"42501 .*Grant SELECT"):
                snapshot.count_rows(things())
    finally:
        run_sql(f"DROP ROLE {role}")


# -- counting ---------------------------------------------------------------------------------


def test_small_table_is_counted_exactly(snapshot: Any, run_sql: Any) -> None:
    run_sql("CREATE TABLE t AS SELECT generate_series(1, 1234) AS id")

    count = snapshot().count_rows(things())

    assert (count.rows, count.is_exact) == (1234, True)


def test_large_table_is_estimated_and_says_so(snapshot: Any, run_sql: Any) -> None:
    run_sql("CREATE TABLE t AS SELECT generate_series(1, 300000) AS id")
    run_sql("ANALYZE t")

    count = snapshot().count_rows(things())

    assert not count.is_exact
    assert count.rows == pytest.approx(300_000, rel=0.05)


# -- the key ----------------------------------------------------------------------------------

UNIQUE = [
    "CREATE TABLE t (id int PRIMARY KEY, a text)",
    "CREATE TABLE t (id int NOT NULL UNIQUE, a text)",
    "CREATE TABLE t (id int, a text); INSERT INTO t VALUES (1), (2)",
    "CREATE TABLE t (id int, a text) PARTITION BY RANGE (id)",
    "CREATE VIEW t AS SELECT 1 AS id, 'x' AS a",
]
NOT_UNIQUE = [
    "CREATE TABLE t (id int, a text); INSERT INTO t VALUES (1), (1)",
    "CREATE TABLE t (id int, a text); INSERT INTO t VALUES (1), (NULL)",
    "CREATE TABLE t (id int UNIQUE, a text); INSERT INTO t VALUES (NULL)",
    "CREATE TABLE t (id int NOT NULL, a text); CREATE UNIQUE INDEX ON t (id) WHERE a = 'x';"
    "INSERT INTO t VALUES (1, 'y'), (1, 'y')",
    "CREATE TABLE t (id int PRIMARY KEY, a text); CREATE TABLE child () INHERITS (t);"
    "INSERT INTO t VALUES (1); INSERT INTO child VALUES (1)",
    "CREATE TABLE t (id int NOT NULL, a text NOT NULL, UNIQUE (id, a));"
    "INSERT INTO t VALUES (1, 'x'), (1, 'y')",
]


@pytest.mark.parametrize("statements", UNIQUE)
def test_key_that_identifies_rows_is_accepted(statements: str, snapshot: Any, run_sql: Any) -> None:
    run_sql(statements)

    snapshot().check_key(things(key=("id",)))


@pytest.mark.parametrize("statements", NOT_UNIQUE)
def test_key_with_a_duplicate_or_null_is_refused(
    statements: str, snapshot: Any, run_sql: Any
) -> None:
    run_sql(statements)

    with pytest.raises(KeyNotUnique):
        snapshot().check_key(things(key=("id",)))


def test_key_of_a_query_is_checked_by_its_rows(snapshot: Any) -> None:
    query = QuerySource("SELECT n / 2 AS id, n FROM generate_series(1, 4) AS n")
    opened = snapshot()

    opened.check_key(things(query, key=("n",)))
    with pytest.raises(KeyNotUnique):
        opened.check_key(things(query, key=("id",)))


# -- the snapshot -----------------------------------------------------------------------------


def test_rows_committed_later_are_not_seen(snapshot: Any, run_sql: Any) -> None:
    run_sql("CREATE TABLE t (id int PRIMARY KEY)")
    run_sql("INSERT INTO t VALUES (1)")
    opened = snapshot()
    run_sql("INSERT INTO t VALUES (2)")

    assert opened.count_rows(things()).rows == 1


def test_session_cannot_write(snapshot: Any, run_sql: Any) -> None:
    run_sql("CREATE TABLE t (id int)")
    run_sql(
        "CREATE FUNCTION sneak() RETURNS int LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO public.t VALUES (1); RETURN 1; END $$"
    )

    with pytest.raises(SourceRejected, match="25006 ReadOnlySqlTransaction"):
        snapshot().check_key(things(QuerySource("SELECT public.sneak() AS id"), key=("id",)))


# -- faults -----------------------------------------------------------------------------------


def _sleeping_copy() -> sql.Composable:
    return sql.SQL("COPY (SELECT pg_sleep(60)) TO STDOUT")


def test_lost_lease_ends_a_wait_for_a_silent_server(dsn: str, control: Any, run_sql: Any) -> None:
    started = time.monotonic()
    stopper = threading.Thread(target=lambda: _stop_once_waiting(control))
    stopper.start()

    with (
        pytest.raises(LeaseLost),
        PostgresSource(dsn).open_snapshot(control.check, application_name="silent") as snapshot,
    ):
        list(snapshot.copy(_sleeping_copy()))
    stopper.join()

    # Far from the 60 s the statement would take, whatever the machine is doing meanwhile.
    assert time.monotonic() - started < 20
    _wait_until(
        lambda: run_sql("SELECT 1 FROM pg_stat_activity WHERE application_name = 'silent'") == []
    )


def _stop_once_waiting(control: Any) -> None:
    assert control.checked.wait(30)
    control.reason = LeaseLost("The lease was lost.")


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.05)


def test_connection_killed_in_mid_copy_is_retryable(dsn: str, control: Any, run_sql: Any) -> None:
    export_type = things(
        QuerySource("SELECT n, repeat('x', 10000) AS a FROM generate_series(1, 1000000) AS n")
    )
    with PostgresSource(dsn).open_snapshot(control.check, application_name="victim") as snapshot:
        columns = snapshot.resolve(export_type)
        plan = _plan(export_type, columns)
        chunks = snapshot.copy(copy_csv(plan, delimiter=",", null_text=""))
        next(chunks)
        run_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'victim'"
        )
        with pytest.raises(SourceUnavailable):
            list(chunks)
        assert snapshot.copied_rows is None


def _plan(export_type: ExportType, columns: Any) -> Any:
    from waybill.formats import get_encoder, read_options
    from waybill.formats.plan import ExportPlan

    return ExportPlan(export_type, columns, get_encoder("csv"), read_options("csv", {}))


def test_rows_are_the_same_however_they_pile_up(snapshot: Any) -> None:
    opened = snapshot()
    statement = sql.SQL(
        "COPY (SELECT n, repeat(md5(n::text), n % 40) FROM generate_series(1, 20000) AS n) "
        "TO STDOUT (FORMAT csv)"
    )

    read = [b"".join(c.data for c in opened.copy(statement, is_large=large)) for large in (0, 1)]

    assert read[0] == read[1]
    assert len(read[0].splitlines()) == opened.copied_rows == 20_000


def test_server_of_the_tests_is_beside_them(snapshot: Any) -> None:
    assert snapshot().is_on_this_machine


def test_data_in_an_error_of_postgresql_never_reach_ours(snapshot: Any, run_sql: Any) -> None:
    run_sql("CREATE TABLE t AS SELECT 'private-datum' AS a")
    query = QuerySource("SELECT a::int AS a FROM public.t")

    with pytest.raises(SourceRejected) as caught:
        snapshot().check_key(things(query, key=("a",)))

    assert "22P02 InvalidTextRepresentation" in str(caught.value)
    chain: BaseException | None = caught.value
    while chain is not None:
        assert "private-datum" not in repr(chain)
        chain = chain.__cause__ or chain.__context__


def test_locked_table_is_given_up_after_the_lock_timeout(
    dsn: str, control: Any, run_sql: Any
) -> None:
    run_sql("CREATE TABLE t (id int)")
    source = PostgresSource(dsn, SourceSettings(lock_timeout_seconds=0.2))
    with psycopg.connect(dsn) as blocker:
        blocker.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        with (
            source.open_snapshot(control.check) as snapshot,
            pytest.raises(SourceUnavailable, match="55P03"),
        ):
            snapshot.count_rows(things())


def test_statement_timeout_is_retryable_and_named(dsn: str, control: Any) -> None:
    with (
        PostgresSource(dsn).open_snapshot(control.check, statement_timeout_seconds=0.2) as snapshot,
        pytest.raises(SourceUnavailable, match="57014 QueryCanceled"),
    ):
        list(snapshot.copy(_sleeping_copy()))


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_text_of_other_encodings_is_utf8_or_refused(
    encoding: str, local_stack: LocalStack, dsn: str, control: Any, run_sql: Any
) -> None:
    name = f"test_{secrets.token_hex(6)}"
    run_sql(
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' "
        "LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    theirs = psycopg.conninfo.make_conninfo(dsn, dbname=name)
    try:
        with psycopg.connect(theirs, autocommit=True) as connection:
            # chr() of a single byte database makes that byte: no UTF-8 in either.
            connection.execute("CREATE TABLE t AS SELECT 'a' || chr(228) AS a")
        with PostgresSource(theirs).open_snapshot(control.check) as snapshot:
            plan = _plan(things(), snapshot.resolve(things()))
            chunks = snapshot.copy(copy_csv(plan, delimiter=",", null_text=""))
            if encoding == "LATIN1":
                assert b"".join(chunk.data for chunk in chunks) == "aä\n".encode()
            else:
                with pytest.raises(SourceRejected, match=r"22021 .*not valid UTF-8"):
                    list(chunks)
    finally:
        run_sql(f"DROP DATABASE {name} WITH (FORCE)")


def test_server_that_does_not_answer_is_named_without_the_password(control: Any) -> None:
    source = PostgresSource("postgresql://someone:hunter2@127.0.0.1:1/shop")

    with (
        pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1:1/shop") as caught,
        source.open_snapshot(control.check),
    ):
        pass

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("dsn", "words"),
    [
        ("host=a s3cret", "cannot be read"),
        ("s3cret", "cannot be read"),
        ("s3cret://", "cannot be read"),
        ("postgresql://shop:s3cret@h:port:1/%zz", "cannot be read"),
        ("mysql://root:s3cret@h/d", "from PostgreSQL alone, and not from mysql"),
        ("mssql+pyodbc://sa:s3cret@h/d", "from PostgreSQL alone, and not from mssql"),
        ("postgresql+psycopg://shop:s3cret@h/d", r"Leave the driver \(\+psycopg, jdbc:\) out"),
        ("jdbc:postgresql://h/d?user=shop&password=s3cret", "Leave the driver"),
    ],
)
def test_dsn_of_another_kind_is_one_sentence_at_the_start(dsn: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as refused:
        PostgresSource(dsn)
    assert "postgresql://user:password@host:5432" in str(refused.value)
    assert "s3cret" not in "".join(traceback.format_exception(refused.value))
