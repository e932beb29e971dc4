"""What others plant into a source's schemas is never called by what waybill runs there itself.

Every function and operator of the test's list is planted as somebody's overload that fits better
than ``pg_catalog``'s, or in front of it, and raises. A role or database that searches ``public``
first is part of the game.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from waybill.catalog import Catalog, Column, ExportType, Filter, QuerySource, RowScope, TableSource
from waybill.catalog.check import check_catalog
from waybill.catalog.filters import read_filters
from waybill.catalog.inspect import inspect_database
from waybill.catalog.where import where_clause
from waybill.errors import SourceRejected
from waybill.formats import get_encoder, read_options
from waybill.formats.plan import ExportPlan
from waybill.pipeline.readers import Parallel
from waybill.source.kept import ConnectionKeeper
from waybill.source.source import PostgresSource, Reads

RunSql = Callable[..., list[tuple[Any, ...]]]

# Exact and better fits for what PostgreSQL's own take only by a conversion.
FUNCTIONS = [
    "to_json(timestamptz)", "to_json(text)", "to_json(varchar)", "left(name, int)",
    "left(varchar, int)", "right(varchar, int)", "pg_table_size(oid)", "ascii(varchar)",
    "length(varchar)", "octet_length(varchar)", "replace(varchar, varchar, varchar)",
    "btrim(varchar, varchar)", "concat(varchar)", "concat(text)", "row_to_json(things)",
    "min(real)", "sum(real)", "sum(bigint)", "row_security_active(oid)",
    "has_any_column_privilege(oid, text)", "has_schema_privilege(oid, text)", "unnest(int2vector)",
    "format_type(oid, int)", "has_table_privilege(oid, text)", "current_database()",
    "current_setting(text)", "set_config(text, text, boolean)", "repeat(text, int)",
    "pg_is_in_recovery()", "pg_current_snapshot()", "pg_current_wal_lsn()",
    "statement_timestamp()", "pg_export_snapshot()", "pg_backend_pid()",
    "generate_series(int, int)", "json_array_length(json)", "json_array_elements_text(json)",
    "lag(varchar)", "lag(bigint)",
]  # fmt: skip
TYPES = ["varchar", "text", "name", "bigint", "int", "oid", '"char"', "timestamptz", "bool"]
SIGNS = ["=", "<>", "<", "<=", ">", ">=", "||", "~", "~~", "~<~", "~>=~"]


@pytest.fixture
def planted(dsn: str, run_sql: RunSql) -> None:
    run_sql(
        "CREATE TABLE things (code varchar(20) NOT NULL, id bigint NOT NULL, note text,"
        " at timestamptz NOT NULL, at_local timestamp, ok bool, fixed char(3), tags text[],"
        " raw bytea, PRIMARY KEY (code, id))"
    )
    run_sql(
        "INSERT INTO things SELECT 'c' || n % 7, n, '=1+' || n, now(), now(), true, 'a', '{x}', 'r'"
        " FROM generate_series(1, 500) AS n"
    )
    run_sql("ANALYZE things")
    body = "LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted code ran'; END $$"
    for signature in FUNCTIONS:
        run_sql(f"CREATE FUNCTION public.{signature} RETURNS text {body}")
    for left in TYPES:
        for right in TYPES:
            run_sql(f"CREATE FUNCTION public.planted({left}, {right}) RETURNS bool {body}")
            for sign in SIGNS:
                run_sql(
                    f"CREATE OPERATOR public.{sign} "
                    f"(LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = public.planted)"
                )
    (name,) = run_sql("SELECT pg_catalog.current_database()")[0]
    run_sql(f'ALTER DATABASE "{name}" SET search_path = public, pg_catalog')


@pytest.mark.usefixtures("planted")
def test_the_traps_are_sharp(dsn: str) -> None:
    """Whoever searches as the database says steps into them."""
    with psycopg.connect(dsn) as connection, pytest.raises(psycopg.Error, match="planted"):
        connection.execute("SELECT count(*) FROM things WHERE code = 'c1'::varchar")


@pytest.mark.usefixtures("planted")
def test_init_and_check_call_nothing_planted(dsn: str) -> None:
    inspection = inspect_database(dsn)
    (table,) = [each for each in inspection.tables if each.export_type.name == "things"]
    assert table.relation.estimated_rows == 500
    with PostgresSource(dsn).open_snapshot(lambda: None) as snapshot:
        source = table.export_type.source
        assert isinstance(source, TableSource)
        assert snapshot.estimate_rows([source]) == {source: 500}
    assert table.export_type.key == ("code", "id")

    kind = of(search_path=("public",))
    assert [f for f in check_catalog(Catalog([kind]), dsn) if f.severity == "error"] == []


def of(**rest: Any) -> ExportType:
    return ExportType(
        "things",
        TableSource("public", "things"),
        key=("code", "id"),
        columns=tuple(map(Column, ("code", "id", "note", "at", "at_local", "ok", "fixed", "tags"))),
        filters=(
            Filter("code"),
            Filter("id", "integer"),
            Filter("at", "timestamptz"),
        ),
        since="at",
        **rest,
    )


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize("search_path", [(), ("public",)], ids=["own path", "their path"])
@pytest.mark.parametrize("format_name", ["csv", "json", "ndjson", "parquet", "xlsx"])
def test_export_calls_nothing_planted(
    format_name: str, search_path: tuple[str, ...], dsn: str, control: Any
) -> None:
    kind = of(search_path=search_path)
    wanted: dict[str, dict[str, Any]] = {
        "code": {"ne": "c9", "in": ["c1", "c2", 'c"3', "c4"], "prefix": "c", "gte": "c1"},
        "id": {"lte": 400, "in": [*range(1, 400)]},
        "at": {"lt": "2126-01-01T00:00:00Z"},
    }
    keeper = ConnectionKeeper()
    source = PostgresSource(dsn, keeper=keeper)
    with source.open_snapshot(control.check, reads=Reads(kind)) as snapshot:
        where = where_clause(
            conditions=read_filters(kind.filters, wanted, "things"),
            since=("at", datetime(2000, 1, 1, tzinfo=UTC)),
            comparisons=snapshot.comparisons(kind),
        )
        plan = ExportPlan(
            kind,
            snapshot.resolve(kind),
            get_encoder(format_name),
            read_options(format_name, {}),
            where=where,
        )
        snapshot.check_key(kind, where)
        count = snapshot.count_rows(kind, where)
        assert snapshot.has_key_index(kind)
        assert snapshot.key_order(kind) is not None
        assert (count.rows, count.is_exact) == (171, True)
        encoding = get_encoder(format_name).open(plan)
        for chunk in snapshot.copy(encoding.statement):
            encoding.encode(chunk)
        assert snapshot.copied_rows == 171
    kept = keeper.take()
    assert kept is not None
    kept.connection.close()


@pytest.mark.usefixtures("planted")
def test_ranges_call_nothing_planted_and_lose_no_row(dsn: str, export: Any) -> None:
    parallel = Parallel(PostgresSource(dsn), 3, smallest_rows=1, first_rows=50, range_bytes=2000)

    exported = export(TableSource("public", "things"), key=("code", "id"), parallel=parallel)

    assert exported.manifest.rows == 500


@pytest.mark.usefixtures("planted")
def test_scope_and_query_of_the_operator_search_what_the_type_says(
    dsn: str, control: Any, run_sql: RunSql
) -> None:
    source = PostgresSource(dsn)
    scope = RowScope("code = :principal.tenant")
    where = where_clause(scope=scope, principal={"tenant": "c1"})
    kind = of(scope=scope)
    with source.open_snapshot(control.check, reads=Reads(kind)) as snapshot:
        assert snapshot.count_rows(kind, where).rows == 72

    bare = ExportType("things", QuerySource("SELECT id FROM things"))
    with (
        source.open_snapshot(control.check, reads=Reads(bare)) as snapshot,
        pytest.raises(SourceRejected, match=r"42P01 .*search_path"),
    ):
        snapshot.resolve(bare)

    told = ExportType("things", bare.source, search_path=("public",))
    with source.open_snapshot(control.check, reads=Reads(told)) as snapshot:
        assert snapshot.count_rows(told).rows == 500


def test_keys_and_filters_compare_as_the_types_own_index_does(
    dsn: str, control: Any, run_sql: RunSql, export: Any
) -> None:
    """citext in a schema that nobody searches: without its operators, a text's order is taken."""
    run_sql("CREATE SCHEMA extensions")
    run_sql("CREATE EXTENSION citext SCHEMA extensions")
    run_sql(
        "CREATE TABLE people (email extensions.citext PRIMARY KEY);"
        "INSERT INTO people SELECT CASE WHEN n % 2 = 0 THEN 'U' ELSE 'u' END"
        " || lpad(n::text, 5, '0') FROM generate_series(1, 2000) AS n"
    )
    parallel = Parallel(PostgresSource(dsn), 3, smallest_rows=1, first_rows=50, range_bytes=2000)
    exported = export(TableSource("public", "people"), key=("email",), parallel=parallel)
    assert exported.manifest.rows == 2000

    kind = ExportType(
        "people", TableSource("public", "people"), key=("email",), filters=(Filter("email"),)
    )
    with PostgresSource(dsn).open_snapshot(control.check, reads=Reads(kind)) as snapshot:
        for wanted, rows in (
            ({"eq": "U00001"}, 1), ({"in": ["U00001", "u00002"]}, 2), ({"prefix": "u0000"}, 9),
            ({"ne": "u00002"}, 1999), ({"gt": "U01990"}, 10),
        ):  # fmt: skip
            where = where_clause(
                conditions=read_filters(kind.filters, {"email": wanted}, "people"),
                comparisons=snapshot.comparisons(kind),
            )
            assert snapshot.count_rows(kind, where).rows == rows, wanted
    assert [f for f in check_catalog(Catalog([kind]), dsn) if f.severity == "error"] == []


@pytest.mark.parametrize(
    ("index", "proves", "is_ordered"),
    [
        ("UNIQUE INDEX ON t (k)", True, True),
        ("UNIQUE INDEX ON t (k text_pattern_ops)", True, False),
        ("UNIQUE INDEX ON t (k DESC)", True, False),
        ("UNIQUE INDEX ON t (k NULLS FIRST)", True, False),
        ('UNIQUE INDEX ON t (k COLLATE "POSIX")', True, False),
        ("UNIQUE INDEX ON t (k) WHERE k <> 'x'", False, False),
        ("UNIQUE INDEX ON t (lower(k))", False, False),
        ("INDEX ON t USING hash (k)", False, False),
    ],
)
def test_index_that_gives_another_order_is_not_read_in_ranges(
    index: str, proves: bool, is_ordered: bool, dsn: str, control: Any, run_sql: RunSql
) -> None:
    run_sql('CREATE TABLE t (k text COLLATE "C" NOT NULL)')
    run_sql(f"CREATE {index}")
    kind = ExportType("t", TableSource("public", "t"), key=("k",))
    with PostgresSource(dsn).open_snapshot(control.check, reads=Reads(kind)) as snapshot:
        assert snapshot.has_key_index(kind) is is_ordered
        if proves:
            snapshot.require_unique_key(kind)
        else:
            with pytest.raises(SourceRejected, match="unique index"):
                snapshot.require_unique_key(kind)


def test_index_that_was_never_finished_proves_and_orders_nothing(
    dsn: str, control: Any, run_sql: RunSql
) -> None:
    run_sql("CREATE TABLE t (k int NOT NULL)")
    run_sql("INSERT INTO t VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        run_sql("CREATE UNIQUE INDEX CONCURRENTLY half ON t (k)")
    assert run_sql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'half'::regclass") == [
        (False,)
    ]
    kind = ExportType("t", TableSource("public", "t"), key=("k",))
    with PostgresSource(dsn).open_snapshot(control.check, reads=Reads(kind)) as snapshot:
        assert not snapshot.has_key_index(kind)
        with pytest.raises(SourceRejected, match="unique index"):
            snapshot.require_unique_key(kind)


def test_index_that_tells_apart_more_than_the_order_does_proves_no_key(
    dsn: str, control: Any, run_sql: RunSql
) -> None:
    run_sql("CREATE EXTENSION citext")
    run_sql("CREATE TABLE t (k citext NOT NULL)")
    run_sql("CREATE UNIQUE INDEX ON t (k text_ops)")
    run_sql("INSERT INTO t VALUES ('a'), ('A')")
    kind = ExportType("t", TableSource("public", "t"), key=("k",))
    with (
        PostgresSource(dsn).open_snapshot(control.check, reads=Reads(kind)) as snapshot,
        pytest.raises(SourceRejected, match="unique index"),
    ):
        snapshot.require_unique_key(kind)
