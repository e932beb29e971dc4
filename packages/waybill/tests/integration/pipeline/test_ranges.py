"""Several readers on one snapshot write the very bytes of one, or end as one would."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from waybill.catalog.model import ExportType, TableSource
from waybill.catalog.scope import RowScope
from waybill.errors import IncompleteExport, LeaseLost, SourceUnavailable
from waybill.formats import ENCODERS, get_encoder, read_options
from waybill.formats.plan import ExportPlan
from waybill.pipeline import ranges
from waybill.pipeline.readers import ManyReaders, OneReader, Parallel, open_reader
from waybill.source.source import PostgresSource

from ..readers import read_table

THINGS = TableSource("public", "things")
ROWS = 4_000
Export = Callable[..., Any]
RunSql = Callable[..., list[tuple[Any, ...]]]

# Ranges of a few hundred rows, so that small tables have many.
SMALL = {"smallest_rows": 1, "range_bytes": 16_384, "first_rows": 37}


@pytest.fixture
def parallel(dsn: str) -> Parallel:
    return Parallel(PostgresSource(dsn), 3, **SMALL)


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> list[ManyReaders]:
    """The parallel readers that were opened."""
    opened: list[ManyReaders] = []
    enter = ManyReaders.__enter__

    def noted(self: ManyReaders) -> ManyReaders:
        opened.append(self)
        return enter(self)

    monkeypatch.setattr(ManyReaders, "__enter__", noted)
    return opened


KEYS = {
    "bigint": ("id bigint", "i", ("id",)),
    "sparse and skewed": (
        "id bigint",
        "CASE WHEN i < 3500 THEN i ELSE i * 1000003::bigint END",
        ("id",),
    ),
    "negative numeric": ("id numeric", "(i - 2000) / 7.0", ("id",)),
    "uuid": ("id uuid", "md5(i::text)::uuid", ("id",)),
    "text": ("id text", "chr(33 + i % 90) || 'é''\"\\,' || md5(i::text)", ("id",)),
    "text that is sorted by a language": ('id text COLLATE "C.utf8"', "md5(i::text)", ("id",)),
    "timestamptz": (
        "id timestamptz",
        "timestamptz 'epoch' + i * interval '7 us'",
        ("id",),
    ),
    "float": ("id float8", "sqrt(i)", ("id",)),
    "composite": ("a text, b int", "(i % 3)::text, i", ("a", "b")),
    "composite of few and many": (
        "a bool, b int, c date",
        "i > 10, i % 7, date '2000-01-01' + i",
        ("a", "b", "c"),
    ),
}


def make(run_sql: RunSql, columns: str, values: str, key: tuple[str, ...]) -> None:
    run_sql(f"CREATE TABLE things ({columns}, v text, j json, PRIMARY KEY ({', '.join(key)}))")
    run_sql(
        f"INSERT INTO things SELECT {values}, repeat('x', i % 50) || E'\\n\"' || i, "
        f"json_build_object('i', i) FROM generate_series(1, {ROWS}) i ORDER BY md5(i::text)"
    )
    run_sql("ANALYZE things")


@pytest.mark.parametrize("shape", KEYS)
def test_bytes_are_those_of_one_reader_whatever_the_key(
    run_sql: RunSql, export: Export, parallel: Parallel, many: list[ManyReaders], shape: str
) -> None:
    columns, values, key = KEYS[shape]
    make(run_sql, columns, values, key)

    one = export(THINGS, key=key)
    several = export(THINGS, key=key, parallel=parallel)

    assert len(many) == 1
    assert several.data == one.data
    assert several.manifest.rows == ROWS


@pytest.mark.parametrize(
    ("format_name", "compression"),
    [(name, None) for name in ENCODERS]
    + [(name, "zstd") for name in ENCODERS if not get_encoder(name).is_compressed],
)
def test_bytes_are_those_of_one_reader_in_every_format(
    run_sql: RunSql,
    export: Export,
    parallel: Parallel,
    format_name: str,
    compression: str | None,
) -> None:
    make(run_sql, *KEYS["bigint"])
    how: dict[str, Any] = {"key": ("id",), "compression": compression}

    one = export(THINGS, format_name, **how)
    several = export(THINGS, format_name, parallel=parallel, **how)

    if format_name in {"parquet", "xlsx"}:
        # Such a file names its snapshot, which another export has not; its rows are the same.
        assert read_table(several.data, format_name) == read_table(one.data, format_name)
        assert several.manifest.rows == one.manifest.rows == ROWS
    else:
        assert several.data == one.data


@pytest.mark.parametrize("rows", [0, 1, 36, 37, 38, 74])
def test_bounds_that_meet_the_end_lose_and_double_nothing(
    run_sql: RunSql, export: Export, parallel: Parallel, rows: int
) -> None:
    run_sql(f"CREATE TABLE things AS SELECT i AS id FROM generate_series(1, {rows}) i")
    run_sql("ALTER TABLE things ADD PRIMARY KEY (id)")
    parallel = dataclasses.replace(parallel, smallest_rows=0)
    assert export(THINGS, "json", key=("id",), parallel=parallel).data == (
        export(THINGS, "json", key=("id",)).data
    )


def test_chosen_rows_are_those_of_one_reader(
    run_sql: RunSql, export: Export, parallel: Parallel, many: list[ManyReaders]
) -> None:
    make(run_sql, *KEYS["text"])
    where = sql.SQL("waybill_source.v LIKE 'xxxx%' OR false")
    one = export(THINGS, key=("id",), where=where)
    assert export(THINGS, key=("id",), where=where, parallel=parallel).data == one.data
    assert 0 < one.manifest.rows < ROWS
    assert many


def test_rows_written_meanwhile_do_not_show(
    run_sql: RunSql, dsn: str, parallel: Parallel, control: Any
) -> None:
    make(run_sql, *KEYS["bigint"])
    with opened(dsn, parallel, control) as reader:
        pieces = reader.pieces()
        data = bytearray(next(pieces))
        run_sql("INSERT INTO things SELECT i, 'late', NULL FROM generate_series(-500, -1) i")
        run_sql("UPDATE things SET v = 'late'")
        run_sql("DELETE FROM things WHERE id > 2000")
        for piece in pieces:
            data += piece
    assert b"late" not in data
    assert reader.rows == reader.copied_rows == ROWS


@contextlib.contextmanager
def opened(dsn: str, parallel: Parallel, control: Any, **changes: Any) -> Any:
    export_type = ExportType("things", THINGS, key=("id",), **changes)
    with PostgresSource(dsn).open_snapshot(control.check) as snapshot:
        plan = ExportPlan(
            export_type,
            snapshot.resolve(export_type),
            get_encoder("ndjson"),
            read_options("ndjson", {}),
        )
        encoding = get_encoder("ndjson").open(plan)
        with open_reader(
            plan, snapshot, encoding, control.check, expected_rows=ROWS, parallel=parallel
        ) as reader:
            yield reader


def assert_no_session_is_left(run_sql: RunSql) -> None:
    ends_at = time.monotonic() + 20
    while run_sql(
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name LIKE 'waybill%'"
    ):
        assert time.monotonic() < ends_at
        time.sleep(0.02)


def test_an_order_to_stop_ends_every_reader_and_its_connection(
    run_sql: RunSql, dsn: str, parallel: Parallel, control: Any
) -> None:
    make(run_sql, *KEYS["bigint"])
    threads = threading.active_count()
    with pytest.raises(LeaseLost), opened(dsn, parallel, control) as reader:  # noqa: PT012
        next(reader.pieces())
        raise LeaseLost
    assert threading.active_count() == threads
    assert_no_session_is_left(run_sql)


def test_a_check_that_raises_while_readers_wait_ends_the_run(
    run_sql: RunSql, dsn: str, parallel: Parallel, control: Any
) -> None:
    make(run_sql, *KEYS["bigint"])
    with psycopg.connect(dsn) as blocker:
        blocker.execute("LOCK TABLE things")
        with opened(dsn, parallel, control) as reader:
            control.reason = LeaseLost()
            with pytest.raises(LeaseLost):
                next(reader.pieces())
        assert_no_session_is_left(run_sql)


def test_a_reader_whose_backend_is_killed_ends_the_run(
    run_sql: RunSql, dsn: str, parallel: Parallel, control: Any
) -> None:
    make(run_sql, *KEYS["bigint"])
    run_sql("UPDATE things SET v = repeat('y', 20000)")
    with opened(dsn, parallel, control) as reader:
        pieces = reader.pieces()
        next(pieces)
        killed = run_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'waybill reader'"
        )
        assert killed
        with pytest.raises(SourceUnavailable):
            list(pieces)
        assert reader.copied_rows is None
    assert_no_session_is_left(run_sql)


def test_a_range_that_brings_another_number_of_rows_is_noticed(
    run_sql: RunSql,
    dsn: str,
    parallel: Parallel,
    control: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make(run_sql, *KEYS["bigint"])
    monkeypatch.setattr(ranges, "rows_up_to", lambda where, names, key: where or sql.SQL("id < 9"))
    with opened(dsn, parallel, control) as reader, pytest.raises(IncompleteExport, match="brought"):
        list(reader.pieces())


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_source_with_few_connections_is_read_with_those(
    run_sql: RunSql, dsn: str, parallel: Parallel, control: Any, limit: int
) -> None:
    make(run_sql, *KEYS["bigint"])
    role = f"limited_{urlsplit(dsn).path[1:]}"
    run_sql(f"CREATE ROLE {role} LOGIN PASSWORD 'limited' CONNECTION LIMIT {limit}")
    try:
        run_sql(f"GRANT SELECT ON things TO {role}")
        where = urlsplit(dsn)
        limited = f"postgresql://{role}:limited@{where.hostname}:{where.port}{where.path}"
        few = dataclasses.replace(parallel, source=PostgresSource(limited))
        with opened(limited, few, control) as reader:
            data = b"".join(reader.pieces())
        assert data.count(b"\n") == reader.rows == reader.copied_rows == ROWS
    finally:
        run_sql(f"DROP OWNED BY {role}")
        run_sql(f"DROP ROLE {role}")


@pytest.mark.parametrize(
    ("prepare", "changes"),
    [
        ("ALTER TABLE things DROP CONSTRAINT things_pkey", {}),
        (
            "ALTER TABLE things DROP CONSTRAINT things_pkey; "
            "CREATE UNIQUE INDEX ON things (id DESC)",
            {},
        ),
        (
            "ALTER TABLE things DROP CONSTRAINT things_pkey; "
            "CREATE UNIQUE INDEX ON things (id) WHERE id > 0",
            {},
        ),
        ("ALTER TABLE things ENABLE ROW LEVEL SECURITY", {}),
        ("ALTER TABLE things RENAME TO base; CREATE VIEW things AS SELECT * FROM base", {}),
        ("SELECT 1", {"order": "none"}),
        ("SELECT 1", {"scope": RowScope("created_at > now()")}),
    ],
    ids=["no index", "descending", "partial", "row security", "view", "unordered", "now"],
)
def test_one_reader_reads_what_ranges_do_not_suit(
    run_sql: RunSql,
    dsn: str,
    parallel: Parallel,
    control: Any,
    prepare: str,
    changes: dict[str, Any],
) -> None:
    run_sql("CREATE TABLE things (id int PRIMARY KEY)")
    run_sql(prepare)
    with opened(dsn, parallel, control, **changes) as reader:
        assert isinstance(reader, OneReader)


def test_one_reader_reads_what_is_small(run_sql: RunSql, dsn: str, control: Any) -> None:
    run_sql("CREATE TABLE things (id int PRIMARY KEY)")
    with opened(dsn, Parallel(PostgresSource(dsn), 3), control) as reader:
        assert isinstance(reader, OneReader)


@pytest.mark.parametrize("format_name", ["csv", "ndjson"])
def test_hostile_rows_are_those_of_one_reader(
    run_sql: RunSql, export: Export, parallel: Parallel, many: list[ManyReaders], format_name: str
) -> None:
    # A huge value between small ones, values that have no Python form, JSON that is no Unicode.
    run_sql(
        "CREATE TABLE things (id int PRIMARY KEY, huge jsonb, n numeric, f float8, at timestamptz, "
        "raw json)"
    )
    run_sql(
        "INSERT INTO things SELECT i, CASE i WHEN 200 THEN jsonb_build_object('v', repeat('ab', "
        "10000000)) END, CASE i % 3 WHEN 0 THEN 'NaN' WHEN 1 THEN '-Infinity' ELSE 1e100 END, "
        "CASE i % 2 WHEN 0 THEN float8 'NaN' ELSE 'Infinity' END, "
        "CASE i % 3 WHEN 0 THEN 'infinity' "
        "WHEN 1 THEN timestamptz '0044-03-15 10:00+00 BC' ELSE timestamptz '294276-12-31' END, "
        '\'{"a":\n"\\ud800"}\' FROM generate_series(1, 400) i'
    )

    one = export(THINGS, format_name, key=("id",))
    several = export(THINGS, format_name, key=("id",), parallel=parallel)
    packed = export(THINGS, format_name, key=("id",), parallel=parallel, compression="gzip")

    assert several.data == one.data
    assert len(one.data) > 20_000_000
    assert packed.manifest.uncompressed_bytes == len(one.data)
    assert packed.manifest.rows == several.manifest.rows == 400
    assert len(many) == 2


def test_1600_columns_are_those_of_one_reader(
    run_sql: RunSql, export: Export, parallel: Parallel, many: list[ManyReaders]
) -> None:
    columns = ", ".join(f"c{n} \"char\" DEFAULT '{n % 7}'" for n in range(1_599))
    run_sql(f"CREATE TABLE things (id int PRIMARY KEY, {columns})")
    run_sql("INSERT INTO things (id) SELECT i FROM generate_series(1, 150) i")
    one = export(THINGS, key=("id",))
    assert export(THINGS, key=("id",), parallel=parallel).data == one.data
    assert many


def test_row_that_no_range_reads_fails_the_export(
    run_sql: RunSql, export: Export, parallel: Parallel, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(run_sql, *KEYS["bigint"])
    real = ranges.rows_behind

    def without_the_last(*arguments: Any, **options: Any) -> sql.Composable:
        # What an index in another order does: the open end of the last range begins too late.
        return sql.SQL("{} AND waybill_source.id <> {}").format(
            real(*arguments, **options), sql.Literal(ROWS)
        )

    monkeypatch.setattr(ranges, "rows_behind", without_the_last)
    with pytest.raises(IncompleteExport, match=f"{ROWS - 1} rows of {ROWS}"):
        export(THINGS, key=("id",), parallel=parallel)
