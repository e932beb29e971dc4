"""Inspecting a real PostgreSQL: what is proposed, and that the rendered file works at once."""

from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from waybill.catalog import Column, TableSource, load_catalog
from waybill.catalog.check import check_catalog
from waybill.catalog.inspect import Inspection, inspect_database
from waybill.catalog.render import READER_ROLE, render_toml
from waybill.errors import ConfigurationError

Execute = Callable[..., None]

HOSTILE_NAMES = [
    "Users", "UPPER", "mixedCase", "with space", " padded ", "a.b", ".", "a.b.c", 'qu"ote', '"',
    '""', '"both"', "it's", "'", "back\\slash", "\\", "\\u0041", "new\nline", "cr\rlf\n", "tab\t",
    "\x01", "\x7f", "\x1b[31mred", "größe", "naïve café", "таблица", "表", "🎉",
    "👩\u200d👩\u200d👧", "\u202egnp.exe",
    "\ufeffbom", "\u2028", "\u0085", "a\u00a0b", "e\u0301", "é", "ﬁ", "select", "user", "order",
    "exports", "audit", "admin", "1st", "$1", "%s", "{}", "a=b", "[x]", "#c", ";--", "/* */", "*",
    "-", "_", "null", "true", "x" * 63, "é" * 31, '"""', "'''", "${HOME}", "`id`", "a,b",
]  # fmt: skip


def _round_trip(inspection: Inspection, folder: Path) -> None:
    file = folder / "waybill.toml"
    file.write_text(render_toml(inspection), encoding="utf-8")
    assert load_catalog(file) == inspection.catalog


def test_names_of_any_spelling_come_back_exactly(
    dsn: str, execute: Execute, tmp_path: Path
) -> None:
    for index, name in enumerate(HOSTILE_NAMES):
        # Each name serves once as a schema, a table and a column, beside another hostile one.
        other = HOSTILE_NAMES[index - 1]
        execute(
            sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)),
            sql.SQL("CREATE TABLE {} ({} int PRIMARY KEY, {} text)").format(
                sql.Identifier(name, other), sql.Identifier(name), sql.Identifier(other)
            ),
        )
    inspection = inspect_database(dsn)
    assert len(inspection.tables) == len(HOSTILE_NAMES)
    found = {t.export_type.source: t.export_type for t in inspection.tables}
    for index, name in enumerate(HOSTILE_NAMES):
        other = HOSTILE_NAMES[index - 1]
        export_type = found[TableSource(name, other)]
        assert export_type.key == (name,)
        assert [column.name for column in export_type.columns] == [name, other]
    _round_trip(inspection, tmp_path)
    findings = check_catalog(inspection.catalog, dsn)
    assert {finding.code for finding in findings} == {"no_rows"}


def test_every_kind_of_table_is_proposed_once(dsn: str, execute: Execute, tmp_path: Path) -> None:
    execute(
        "CREATE TABLE plain (id bigint PRIMARY KEY, email text)",
        "CREATE TABLE measured (day date NOT NULL, n int, PRIMARY KEY (day, n))"
        " PARTITION BY RANGE (day)",
        "CREATE TABLE measured_2024 PARTITION OF measured"
        " FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')",
        "CREATE TABLE measured_rest PARTITION OF measured DEFAULT",
        "CREATE VIEW seen AS SELECT * FROM plain",
        "CREATE MATERIALIZED VIEW stored AS SELECT * FROM plain",
        "CREATE MATERIALIZED VIEW unfilled AS SELECT * FROM plain WITH NO DATA",
        "CREATE TABLE alembic_version (version_num text)",
        "CREATE TABLE nothing ()",
        "CREATE SEQUENCE counter",
        "CREATE TYPE pair AS (a int, b int)",
        "INSERT INTO measured SELECT date '2024-06-01' + n, n FROM generate_series(1, 500) n",
        "ANALYZE",
    )
    inspection = inspect_database(dsn)
    assert {name: t.key for name, t in inspection.catalog.items()} == {
        "plain": ("id",),
        "measured": ("day", "n"),
        "seen": (),
        "stored": (),
    }
    text = render_toml(inspection)
    assert 'REFRESH MATERIALIZED VIEW "public"."unfilled";' in text
    assert "# partitioned table, about 500 rows" in text
    assert "# bigint, not null\n" in text
    assert "pii = true" in text
    _round_trip(inspection, tmp_path)


def test_key_is_a_unique_index_only_where_it_binds_every_row(dsn: str, execute: Execute) -> None:
    execute(
        "CREATE TABLE good (a int NOT NULL UNIQUE, b text)",
        "CREATE TABLE nullable (a int UNIQUE)",
        "CREATE TABLE partial (a int NOT NULL)",
        "CREATE UNIQUE INDEX ON partial (a) WHERE a > 5",
        "CREATE TABLE expression (a text NOT NULL)",
        "CREATE UNIQUE INDEX ON expression (lower(a))",
        "CREATE TABLE covering (a int NOT NULL, b int NOT NULL)",
        "CREATE UNIQUE INDEX ON covering (a) INCLUDE (b)",
        "CREATE TABLE parent (id int PRIMARY KEY)",
        "CREATE TABLE child () INHERITS (parent)",
        "CREATE TABLE unproven (a int UNIQUE)",
        "INSERT INTO unproven VALUES (NULL)",
        "ALTER TABLE unproven ADD CONSTRAINT later NOT NULL a NOT VALID",
    )
    keys = {name: t.key for name, t in inspect_database(dsn).catalog.items()}
    assert keys == {
        "good": ("a",), "nullable": (), "partial": (), "expression": (), "covering": ("a",),
        "parent": (), "child": (), "unproven": (),
    }  # fmt: skip


def test_tables_of_extensions_are_left_out(dsn: str, execute: Execute) -> None:
    execute("CREATE EXTENSION pg_stat_statements", "CREATE TABLE mine (id int)")
    assert list(inspect_database(dsn).catalog) == ["mine"]


def test_only_the_schemas_asked_for_are_inspected(dsn: str, execute: Execute) -> None:
    execute("CREATE SCHEMA crm", "CREATE TABLE crm.users (id int)", "CREATE TABLE users (id int)")
    both = inspect_database(dsn)
    assert {n: t.source for n, t in both.catalog.items()} == {
        "users": TableSource("public", "users"),
        "crm_users": TableSource("crm", "users"),
    }
    assert any("is called 'crm_users'" in note for note in both.notes)
    assert list(inspect_database(dsn, schemas=["crm"]).catalog) == ["users"]


def test_unknown_schema_is_refused_with_the_known_ones(dsn: str, execute: Execute) -> None:
    execute("CREATE SCHEMA crm")
    with pytest.raises(ConfigurationError, match=r"Did you mean 'crm'\? Schemas: crm, public"):
        inspect_database(dsn, schemas=["crn"])


def test_what_the_role_may_not_read_is_left_out_with_its_grant(
    dsn: str, reader: str, execute: Execute
) -> None:
    execute(
        "CREATE TABLE open (id int PRIMARY KEY)",
        "CREATE TABLE closed (id int PRIMARY KEY)",
        "CREATE TABLE half (id int PRIMARY KEY, salary int)",
        "GRANT SELECT ON open TO PUBLIC",
        "GRANT SELECT (id) ON half TO PUBLIC",
    )
    inspection = inspect_database(reader)
    assert set(inspection.catalog) == {"open", "half"}
    assert inspection.catalog["half"].columns == (Column("id", "id"),)
    notes = "\n".join(inspection.notes)
    assert f'GRANT SELECT ON "public"."closed" TO "{inspection.role}";' in notes
    assert '"salary"' in notes
    errors = [f for f in check_catalog(inspection.catalog, reader) if f.severity == "error"]
    assert errors == []


def test_grants_in_the_file_make_a_role_that_can_read_just_that(dsn: str, execute: Execute) -> None:
    execute(
        'CREATE SCHEMA "new\nline"',
        'CREATE TABLE "new\nline"."qu""ote" (id int PRIMARY KEY)',
        "CREATE TABLE users (id int PRIMARY KEY)",
        "CREATE TABLE later_unlisted (id int)",
    )
    inspection = inspect_database(dsn, schemas=["public", "new\nline"])
    statements = [
        line.removeprefix("#   ")
        for line in render_toml(inspection).splitlines()
        if line.startswith("#   ") and line.endswith(";") and "later_unlisted" not in line
    ]
    try:
        execute(*statements)
        restricted = make_conninfo(dsn, user=READER_ROLE, password="choose-one")
        assert set(inspect_database(restricted).catalog) == {"users", "qu_ote"}
        findings = check_catalog(inspection.catalog, restricted)
        denied = [f.export_type for f in findings if f.severity == "error"]
        assert denied == ["later_unlisted"]
    finally:
        execute(f"DROP OWNED BY {READER_ROLE}", f"DROP ROLE {READER_ROLE}")


def test_empty_database_gives_a_file_that_loads_and_says_so(dsn: str, tmp_path: Path) -> None:
    inspection = inspect_database(dsn)
    assert any("Nothing to export" in note for note in inspection.notes)
    _round_trip(inspection, tmp_path)
