"""What the owners of a source's types, roles and triggers made there, and exports run into.

It raises or lies. A file is what the table holds all the same, or there is none and one sentence.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from waybill.catalog import Catalog, ExportType, Filter, QuerySource, RowScope, TableSource, foreign
from waybill.catalog.check import check_catalog
from waybill.catalog.filters import read_filters
from waybill.catalog.inspect import inspect_database
from waybill.catalog.where import where_clause
from waybill.errors import SourceRejected, SourceUnavailable
from waybill.formats import get_encoder, read_options
from waybill.formats.plan import ExportPlan
from waybill.pipeline.readers import ManyReaders, Parallel
from waybill.source.source import PostgresSnapshot, PostgresSource, Reads
from waybill.source.witness import Witness

from ..readers import read_table

RunSql = Callable[..., list[tuple[Any, ...]]]

RAISES = "LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE EXCEPTION 'planted code ran'; END $$"
LIES = "LANGUAGE sql IMMUTABLE AS $$ SELECT 'sad'::pg_catalog.text $$"


def read(snapshot: PostgresSnapshot, kind: ExportType) -> list[str]:
    encoder = get_encoder("ndjson")
    plan = ExportPlan(kind, snapshot.resolve(kind), encoder, read_options("ndjson", {}))
    encoding = encoder.open(plan)
    chunks = snapshot.copy(encoding.statement)
    return b"".join(encoding.encode(chunk) for chunk in chunks).decode().splitlines()


# -- casts -----------------------------------------------------------------------------------------

PEOPLE = TableSource("public", "people")
KEY = ("feeling", "id")
OF_PEOPLE = ExportType("people", PEOPLE, key=KEY, filters=(Filter("feeling", operators=("eq",)),))


@pytest.fixture
def people(run_sql: RunSql) -> None:
    run_sql("CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad')")
    run_sql("CREATE TABLE people (feeling mood, id int, felt mood[], PRIMARY KEY (feeling, id))")
    run_sql(
        "INSERT INTO people SELECT m, n, ARRAY[m, NULL, 'glad'] FROM generate_series(1, 700) AS n,"
        " unnest(enum_range(NULL::mood)) AS m"
    )
    run_sql("ANALYZE people")


@pytest.fixture
def parallel(dsn: str) -> Parallel:
    return Parallel(PostgresSource(dsn), 3, smallest_rows=1, first_rows=50, range_bytes=2000)


def cast(run_sql: RunSql, target: str, body: str, context: str = "") -> None:
    run_sql(f"CREATE FUNCTION converted(mood) RETURNS {target} {body}")
    run_sql(f"CREATE CAST (mood AS {target}) WITH FUNCTION converted(mood) {context}")


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("body", [RAISES, LIES], ids=["raises", "lies"])
def test_cast_to_text_is_called_by_no_key_and_no_format(
    body: str, run_sql: RunSql, dsn: str, export: Any, parallel: Parallel, control: Any
) -> None:
    before = export(PEOPLE, key=KEY).data
    as_table = read_table(export(PEOPLE, "parquet", key=KEY).data, "parquet")
    cast(run_sql, "text", body)

    assert export(PEOPLE, key=KEY, parallel=parallel).data == before
    assert read_table(export(PEOPLE, "parquet", key=KEY).data, "parquet") == as_table
    where = where_clause(
        conditions=read_filters(OF_PEOPLE.filters, {"feeling": {"eq": "ok"}}, "people")
    )
    with PostgresSource(dsn).open_snapshot(control.check, reads=Reads(OF_PEOPLE)) as snapshot:
        assert snapshot.key_order(OF_PEOPLE).is_reliable
        assert snapshot.count_rows(OF_PEOPLE, where).rows == 700


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("target", ["text", "int"])
def test_implicit_cast_that_would_decide_comparisons_is_told_and_not_relied_on(
    target: str,
    run_sql: RunSql,
    dsn: str,
    export: Any,
    parallel: Parallel,
    control: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = export(PEOPLE, key=KEY).data
    cast(run_sql, target, RAISES, "AS IMPLICIT")
    monkeypatch.setattr(ManyReaders, "__enter__", lambda _: pytest.fail("read in ranges"))

    assert export(PEOPLE, key=KEY, parallel=parallel).data == before
    with PostgresSource(dsn).open_snapshot(control.check, reads=Reads(OF_PEOPLE)) as snapshot:
        order = snapshot.key_order(OF_PEOPLE)
        assert not order.is_reliable  # nor resumed, then
        assert "mood AS" in order.reason()
        with pytest.raises(SourceRejected, match="implicit cast"):
            where_clause(
                conditions=read_filters(OF_PEOPLE.filters, {"feeling": {"eq": "ok"}}, "people"),
                comparisons=snapshot.comparisons(OF_PEOPLE),
            )
    found = {(f.severity, f.code) for f in check_catalog(Catalog([OF_PEOPLE]), dsn)}
    assert {("error", "filter_refused"), ("warning", "cast_compares")} <= found


# -- event triggers ON login (PostgreSQL 17) -------------------------------------------------------


@pytest.fixture
def on_login(run_sql: RunSql) -> Iterator[Callable[[str], None]]:
    """Have the database's sessions begin with statements of PL/pgSQL."""
    names: list[str] = []

    def make(body: str) -> None:
        name = f"at_login_{len(names)}"
        run_sql(
            f"CREATE FUNCTION {name}() RETURNS event_trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {body} END $$"
        )
        run_sql(f"CREATE EVENT TRIGGER {name} ON login EXECUTE FUNCTION {name}()")
        run_sql(f"ALTER EVENT TRIGGER {name} ENABLE ALWAYS")
        names.append(name)

    yield make
    for name in names:
        run_sql(f"DROP EVENT TRIGGER {name}")


def test_login_trigger_that_sets_the_session_up_changes_no_byte(
    run_sql: RunSql, dsn: str, export: Any, on_login: Callable[[str], None]
) -> None:
    run_sql("CREATE TABLE t (id int PRIMARY KEY, raw bytea, at timestamptz, f float8)")
    run_sql("INSERT INTO t VALUES (1, '\\x00ff', '2026-01-01', 0.1), (2, '', 'infinity', 1e-300)")
    run_sql("CREATE TABLE logins (at timestamptz)")
    formats = ("csv", "json")
    before = [export(TableSource("public", "t"), each, key=("id",)).data for each in formats]
    run_sql("CREATE SCHEMA theirs")
    for name, arguments in (("row_to_json", "record"), ("replace", "text, text, text")):
        run_sql(f"CREATE FUNCTION theirs.{name}({arguments}) RETURNS text {RAISES}")
    on_login(
        "INSERT INTO public.logins VALUES (pg_catalog.now());"
        "PERFORM pg_catalog.set_config(name, value, false) FROM (VALUES"
        " ('search_path', 'theirs, public'), ('bytea_output', 'escape'),"
        " ('TimeZone', 'Asia/Tokyo'),"
        " ('DateStyle', 'German'), ('extra_float_digits', '-15'), ('statement_timeout', '60000'),"
        " ('standard_conforming_strings', 'off'), ('default_transaction_isolation', 'serializable')"
        ") AS setting (name, value);"
        "CREATE TEMP TABLE pg_class (planted int); CREATE TEMP TABLE t (planted int);"
        "PREPARE planted AS SELECT 1;"
    )

    assert [
        export(TableSource("public", "t"), each, key=("id",)).data for each in formats
    ] == before
    kind = ExportType("t", TableSource("public", "t"), key=("id",), search_path=("public",))
    assert check_catalog(Catalog([kind]), dsn) == []
    assert {each.export_type.name for each in inspect_database(dsn, ["public"]).tables} == {
        "t",
        "logins",
    }
    # It is the database's own, and ran.
    assert run_sql("SELECT count(*) >= 4 FROM logins") == [(True,)]


def test_login_trigger_that_refuses_is_one_sentence(
    run_sql: RunSql, dsn: str, control: Any, on_login: Callable[[str], None]
) -> None:
    run_sql("CREATE TABLE t (id int PRIMARY KEY)")
    on_login("RAISE EXCEPTION 'secret of the trigger';")
    kind = ExportType("t", TableSource("public", "t"), key=("id",))
    with (
        pytest.raises(SourceUnavailable, match="accepts this role") as refused,
        PostgresSource(dsn).open_snapshot(control.check, reads=Reads(kind)),
    ):
        pass
    assert "secret" not in str(refused.value)
    with pytest.raises(SourceUnavailable, match="its log") as refused:
        check_catalog(Catalog([kind]), dsn)
    assert "secret" not in str(refused.value)


# -- policies, and schemas named like the role -----------------------------------------------------


@pytest.fixture
def reader(dsn: str, run_sql: RunSql) -> Iterator[tuple[str, str]]:
    """A role that may read ``t``, which holds 30 rows of three tenants: its name and DSN."""
    role = f"reader_{secrets.token_hex(6)}"
    run_sql("CREATE TABLE t (id int PRIMARY KEY, tenant varchar(9) NOT NULL)")
    run_sql("INSERT INTO t SELECT n, 'c' || n % 3 FROM generate_series(1, 30) AS n")
    run_sql(f"CREATE ROLE {role} LOGIN PASSWORD 'secret-of-the-role'")
    run_sql(f"GRANT SELECT ON t TO {role}")
    yield role, psycopg.conninfo.make_conninfo(dsn, user=role, password="secret-of-the-role")
    run_sql(f"DROP OWNED BY {role} CASCADE")
    run_sql(f"DROP ROLE {role}")


def test_function_of_a_policy_finds_no_operator_of_public(
    run_sql: RunSql, reader: tuple[str, str], control: Any
) -> None:
    run_sql(
        "CREATE FUNCTION public.may_see(varchar) RETURNS bool LANGUAGE plpgsql STABLE AS"
        " $$ BEGIN RETURN $1 = 'c1'::varchar; END $$"
    )
    run_sql("ALTER TABLE t ENABLE ROW LEVEL SECURITY")
    run_sql("CREATE POLICY p ON t USING (public.may_see(tenant))")
    # Made later, so that the policy's own text has PostgreSQL's.
    run_sql(f"CREATE FUNCTION public.never(varchar, varchar) RETURNS bool {RAISES}")
    run_sql(
        "CREATE OPERATOR public.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = public.never)"
    )
    kind = ExportType("t", TableSource("public", "t"), key=("id",))
    with PostgresSource(reader[1]).open_snapshot(control.check, reads=Reads(kind)) as snapshot:
        assert len(read(snapshot, kind)) == 10
        assert not snapshot.has_key_index(kind)


def test_policy_whose_function_relies_on_the_path_fails_by_a_clear_error(
    run_sql: RunSql, reader: tuple[str, str], control: Any
) -> None:
    run_sql(
        "CREATE FUNCTION public.may_see(varchar) RETURNS bool LANGUAGE plpgsql STABLE AS"
        " $$ BEGIN RETURN EXISTS (SELECT FROM allowed); END $$"
    )
    run_sql("CREATE TABLE public.allowed ()")
    run_sql("ALTER TABLE t ENABLE ROW LEVEL SECURITY")
    run_sql("CREATE POLICY p ON t USING (public.may_see(tenant))")
    kind = ExportType("t", TableSource("public", "t"), key=("id",))
    with (
        PostgresSource(reader[1]).open_snapshot(control.check, reads=Reads(kind)) as snapshot,
        pytest.raises(SourceRejected, match=r"42P01 .*search_path"),
    ):
        read(snapshot, kind)


def test_schema_named_like_the_role_stands_in_for_nothing(
    run_sql: RunSql, reader: tuple[str, str], control: Any
) -> None:
    role, dsn = reader
    run_sql(f"CREATE SCHEMA {role} AUTHORIZATION {role}")
    run_sql(f"CREATE TABLE {role}.t (id int PRIMARY KEY, tenant varchar(9))")
    run_sql(f"CREATE TABLE {role}.pg_class (relname name)")
    for name in ("row_to_json(record)", "to_json(varchar)", "concat(varchar)"):
        run_sql(f"CREATE FUNCTION {role}.{name} RETURNS text {RAISES}")
    run_sql(f"CREATE FUNCTION {role}.never(varchar, varchar) RETURNS bool {RAISES}")
    for sign in ("=", "<>", "<", ">", "~", "||"):
        run_sql(
            f"CREATE OPERATOR {role}.{sign}"
            f" (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = {role}.never)"
        )
    scope = RowScope("tenant = :principal.tenant::varchar")
    of_table = ExportType("t", TableSource("public", "t"), key=("id",), scope=scope)
    of_query = ExportType("q", QuerySource("SELECT * FROM t"), key=("id",), search_path=("public",))
    where = where_clause(scope=scope, principal={"tenant": "c1"})
    with PostgresSource(dsn).open_snapshot(control.check, reads=Reads(of_table)) as snapshot:
        assert snapshot.count_rows(of_table, where).rows == 10
        assert len(read(snapshot, of_table)) == 30
    with PostgresSource(dsn).open_snapshot(control.check, reads=Reads(of_query)) as snapshot:
        assert len(read(snapshot, of_query)) == 30
    assert [
        f for f in check_catalog(Catalog([of_table, of_query]), dsn) if f.severity == "error"
    ] == []


# -- what is asked only rarely ---------------------------------------------------------------------


def _hostile(run_sql: RunSql, monkeypatch: pytest.MonkeyPatch) -> None:
    """A schema that is searched first, with twins of what the rare questions call."""
    run_sql("CREATE SCHEMA hostile")
    for table in ("pg_class", "pg_namespace"):
        run_sql(f"CREATE TABLE hostile.{table} (planted int)")
    for signature in (
        "concat(text, text, text)", "quote_ident(text)", "pg_relation_filenode(regclass)",
        "pg_partition_root(regclass)",
    ):  # fmt: skip
        run_sql(f"CREATE FUNCTION hostile.{signature} RETURNS text {RAISES}")
    for kind, sign in (("oid", "="), ("name", "="), ("text", "=")):
        run_sql(f"CREATE FUNCTION hostile.never({kind}, {kind}) RETURNS bool {RAISES}")
        run_sql(
            f"CREATE OPERATOR hostile.{sign}"
            f" (LEFTARG = {kind}, RIGHTARG = {kind}, FUNCTION = hostile.never)"
        )
    monkeypatch.setattr(foreign, "OWN_PATH", ("hostile", "pg_catalog", "pg_temp"))


def test_rare_question_without_a_second_connection_calls_nothing_planted(
    run_sql: RunSql, reader: tuple[str, str], control: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was locked beforehand, and no connection is left: the session's own caches answer."""
    role, dsn = reader
    run_sql(f"ALTER ROLE {role} CONNECTION LIMIT 1")
    _hostile(run_sql, monkeypatch)
    kind = ExportType("t", TableSource("public", "t"), key=("id",))
    with PostgresSource(dsn).open_snapshot(control.check) as snapshot:
        assert len(read(snapshot, kind)) == 30
    with PostgresSource(dsn).open_snapshot(control.check) as snapshot:
        run_sql("TRUNCATE t")
        with pytest.raises(SourceUnavailable):
            read(snapshot, kind)


def test_rare_question_of_a_new_partition_calls_nothing_planted(
    run_sql: RunSql, dsn: str, control: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_sql("CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id)")
    run_sql("CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100)")
    run_sql("INSERT INTO p SELECT generate_series(1, 9)")
    _hostile(run_sql, monkeypatch)
    asked: list[bool] = []
    real = Witness._has_rows
    monkeypatch.setattr(Witness, "_has_rows", lambda *a: (asked.append(real(*a)), asked[-1])[1])
    kind = ExportType("p", TableSource("public", "p"), key=("id",))
    with PostgresSource(dsn).open_snapshot(control.check, reads=Reads(kind)) as snapshot:
        run_sql("CREATE TABLE p2 (LIKE p INCLUDING ALL)")
        run_sql("ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (100) TO (200)")
        run_sql("INSERT INTO p VALUES (150)")
        assert len(read(snapshot, kind)) == 9
    assert asked
    assert not any(asked)
