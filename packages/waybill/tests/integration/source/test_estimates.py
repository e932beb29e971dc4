"""What is told of how many rows tables have, without looking at any of them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from waybill.catalog import TableSource
from waybill.source.source import PostgresSource

RunSql = Callable[..., list[tuple[Any, ...]]]

TABLES = """
CREATE TABLE counted AS SELECT n FROM generate_series(1, 700) AS n;
CREATE TABLE "Counted, too: {}'" AS SELECT n FROM generate_series(1, 50) AS n;
CREATE TABLE empty (n int);
CREATE TABLE parent AS SELECT n FROM generate_series(1, 30) AS n;
CREATE TABLE child () INHERITS (parent);
INSERT INTO child SELECT generate_series(1, 4);
CREATE TABLE parted (n int) PARTITION BY RANGE (n);
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (100) TO (1000) PARTITION BY RANGE (n);
CREATE TABLE parted_highest PARTITION OF parted_high FOR VALUES FROM (100) TO (1000);
INSERT INTO parted SELECT generate_series(1, 900);
CREATE TABLE halfway (n int) PARTITION BY RANGE (n);
CREATE TABLE halfway_low PARTITION OF halfway FOR VALUES FROM (0) TO (100);
INSERT INTO halfway SELECT generate_series(1, 90);
CREATE MATERIALIZED VIEW kept AS SELECT n FROM counted WHERE n <= 60;
CREATE VIEW seen AS SELECT n FROM counted;
CREATE TABLE hidden AS SELECT n FROM generate_series(1, 80) AS n;
ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON hidden USING (n <= 3);
CREATE TABLE denied AS SELECT n FROM generate_series(1, 90) AS n;
CREATE TABLE in_part AS SELECT n, n AS secret FROM generate_series(1, 20) AS n;
ANALYZE;
CREATE TABLE halfway_high PARTITION OF halfway FOR VALUES FROM (100) TO (1000);
CREATE TABLE not_yet WITH (autovacuum_enabled = false) AS SELECT n FROM generate_series(1, 9) AS n
"""
TOLD = {
    "counted": 700,
    "Counted, too: {}'": 50,
    "parent": 34,
    "parted": 900,
    "kept": 60,
    "in_part": 20,
}
NOT_TOLD = ("empty", "halfway", "seen", "hidden", "denied", "not_yet", "missing", 'a"b\\')


@pytest.fixture
def reader(dsn: str, run_sql: RunSql) -> Iterator[str]:
    """The DSN of a role that may read all but one table, and one in part."""
    role = f"reader_{secrets.token_hex(6)}"
    run_sql(TABLES)
    run_sql(f"CREATE ROLE {role} LOGIN PASSWORD 'secret-of-the-role'")
    run_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    run_sql(f"REVOKE SELECT ON denied, in_part FROM {role}")
    run_sql(f"GRANT SELECT (n) ON in_part TO {role}")
    yield make_conninfo(dsn, user=role, password="secret-of-the-role")
    run_sql(f"DROP OWNED BY {role}")
    run_sql(f"DROP ROLE {role}")


def test_tables_that_were_counted_and_may_be_read_are_told_and_no_others(
    reader: str, dsn: str, control: Any
) -> None:
    tables = [TableSource("public", name) for name in (*NOT_TOLD, *TOLD)]
    with (
        psycopg.connect(dsn) as other,
        PostgresSource(reader).open_snapshot(
            control.check, statement_timeout_seconds=60
        ) as snapshot,
    ):
        # Nobody's lock is waited for.
        other.execute("LOCK TABLE counted, parted, hidden IN ACCESS EXCLUSIVE MODE")
        found = snapshot.estimate_rows(tables)
        assert found == {TableSource("public", name): rows for name, rows in TOLD.items()}
        assert snapshot.estimate_rows([TableSource("other", "counted")]) == {}
