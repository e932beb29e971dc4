"""Checking a catalog against a real PostgreSQL: one situation, one finding, one remedy."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import sql

from waybill.catalog import (
    Catalog,
    Column,
    ExportType,
    Filter,
    QuerySource,
    RowScope,
    TableSource,
)
from waybill.catalog.check import Finding, check_catalog

Execute = Callable[..., None]


def _table(
    table: str, *, key: tuple[str, ...] = (), columns: tuple[str, ...] = (), schema: str = "public"
) -> ExportType:
    return ExportType(
        "it", TableSource(schema, table), key=key, columns=tuple(Column(name) for name in columns)
    )


def _query(text: str, *, key: tuple[str, ...] = (), columns: tuple[str, ...] = ()) -> ExportType:
    return ExportType(
        "it", QuerySource(text), key=key, columns=tuple(Column(name) for name in columns)
    )


def _check(dsn: str, export_type: ExportType, **options: float) -> list[Finding]:
    return check_catalog(Catalog([export_type]), dsn, **options)


def _codes(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.severity, finding.code) for finding in findings]


@pytest.fixture
def users(execute: Execute) -> None:
    execute(
        "CREATE TABLE users (id bigint PRIMARY KEY, email text, team int, data json)",
        "INSERT INTO users VALUES (1, 'a@example.com', 1), (2, 'b@example.com', 1)",
    )


@pytest.mark.usefixtures("users")
def test_sound_table_has_no_findings(dsn: str) -> None:
    assert _check(dsn, _table("users", key=("id",), columns=("id", "email"))) == []


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize(
    ("export_type", "code", "says"),
    [
        (_table("Users"), "table_missing", 'Did you mean "public"."users"?'),
        (_table("user"), "table_missing", 'Did you mean "public"."users"?'),
        (_table("users", schema="crm"), "table_missing", 'Did you mean "public"."users"?'),
        (_table("users_pkey"), "not_a_table", "whose rows"),
        (_table("users", columns=("ID",)), "column_missing", "Did you mean 'id'?"),
        (_table("users", columns=("e-mail",)), "column_missing", "Did you mean 'email'?"),
        (_table("users", key=("uid",)), "key_column_missing", "It has: id, email"),
        (_table("users", key=("team",)), "key_not_unique", "tell those rows apart"),
        (_table("users", key=("data",)), "key_not_orderable", "another type"),
    ],
)
def test_table_that_does_not_fit_is_an_error(
    dsn: str, export_type: ExportType, code: str, says: str
) -> None:
    (finding,) = _check(dsn, export_type)
    assert (finding.severity, finding.code, finding.export_type) == ("error", code, "it")
    assert says in finding.remedy
    assert str(finding).startswith("error: [exports.it] ")


@pytest.mark.usefixtures("users")
def test_table_without_rows_or_key_is_noted(dsn: str, execute: Execute) -> None:
    execute("TRUNCATE users")
    assert _codes(_check(dsn, _table("users"))) == [("note", "no_rows"), ("note", "no_key")]


@pytest.mark.usefixtures("users")
def test_remedy_for_a_key_nothing_enforces_is_sql_that_works(dsn: str, execute: Execute) -> None:
    (finding,) = _check(dsn, _table("users", key=("email", "team")))
    assert (finding.severity, finding.code) == ("warning", "key_unenforced")
    execute(*finding.remedy.rstrip(";").split("; "))
    assert _check(dsn, _table("users", key=("email", "team"))) == []


@pytest.mark.usefixtures("users")
def test_null_in_the_key_is_an_error(dsn: str, execute: Execute) -> None:
    execute("INSERT INTO users VALUES (3, NULL)")
    assert _codes(_check(dsn, _table("users", key=("email",)))) == [("error", "key_null")]


def test_key_of_a_parent_of_inheriting_tables_is_checked_in_the_data(
    dsn: str, execute: Execute
) -> None:
    execute(
        "CREATE TABLE parent (id int PRIMARY KEY)",
        "CREATE TABLE child () INHERITS (parent)",
        "INSERT INTO parent VALUES (1)",
        "INSERT INTO child VALUES (1)",
    )
    assert _codes(_check(dsn, _table("parent", key=("id",)))) == [("error", "key_not_unique")]


def test_superset_of_a_unique_key_needs_no_look_at_the_data(dsn: str, execute: Execute) -> None:
    execute("CREATE TABLE t (a int PRIMARY KEY, b int NOT NULL)", "INSERT INTO t VALUES (1, 1)")
    assert _check(dsn, _table("t", key=("b", "a"))) == []


def test_data_too_large_to_check_in_time_is_a_warning(dsn: str, execute: Execute) -> None:
    execute("CREATE TABLE big AS SELECT n AS a FROM generate_series(1, 2000000) n")
    findings = _check(dsn, _table("big", key=("a",)), data_check_seconds=0.05)
    assert _codes(findings) == [("warning", "key_unproven")]
    assert 'CREATE UNIQUE INDEX CONCURRENTLY ON "public"."big" ("a");' in findings[0].remedy


def test_materialized_view_never_filled_is_an_error(dsn: str, execute: Execute) -> None:
    execute("CREATE MATERIALIZED VIEW m AS SELECT 1 AS a WITH NO DATA")
    (finding,) = _check(dsn, _table("m"))
    assert (finding.severity, finding.code) == ("error", "not_populated")
    execute(finding.remedy)
    assert _codes(_check(dsn, _table("m"))) == [("note", "no_key")]


@pytest.mark.usefixtures("users")
def test_missing_rights_name_the_grants_that_help(dsn: str, reader: str, execute: Execute) -> None:
    execute("CREATE SCHEMA crm", "CREATE TABLE crm.people (id int PRIMARY KEY, pay int)")
    export_type = _table("people", key=("id",), schema="crm")
    findings = _check(reader, export_type)
    assert _codes(findings) == [("error", "schema_denied"), ("error", "select_denied")]
    execute(*(finding.remedy for finding in findings))
    assert _codes(_check(reader, export_type)) == [("note", "no_rows")]


@pytest.mark.usefixtures("users")
def test_right_to_the_exported_columns_is_enough(reader: str, execute: Execute) -> None:
    execute("GRANT SELECT (id, email) ON users TO PUBLIC")
    assert _check(reader, _table("users", key=("id",), columns=("email",))) == []
    denied = _check(reader, _table("users", key=("id",), columns=("email", "team")))
    assert _codes(denied) == [("error", "select_denied")]
    assert '"team"' in denied[0].message
    assert _codes(_check(reader, _table("users", key=("id",)))) == [("error", "select_denied")]


@pytest.mark.usefixtures("users")
def test_view_over_what_the_role_may_not_read_is_an_error(reader: str, execute: Execute) -> None:
    execute(
        "CREATE VIEW seen WITH (security_invoker) AS SELECT id FROM users",
        "GRANT SELECT ON seen TO PUBLIC",
    )
    findings = _check(reader, _table("seen", key=("id",)))
    assert _codes(findings) == [("error", "select_denied")]
    assert "behind it" in findings[0].remedy


@pytest.mark.usefixtures("users")
def test_row_level_security_that_hides_rows_is_a_warning(reader: str, execute: Execute) -> None:
    execute(
        "GRANT SELECT ON users TO PUBLIC",
        "ALTER TABLE users ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY one ON users USING (id = 1)",
    )
    assert _codes(_check(reader, _table("users", key=("id",)))) == [("warning", "row_security")]


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize(
    "text",
    [
        "SELECT id, email FROM public.users",
        "SELECT id, email FROM public.users -- the end",
        "SELECT id, email FROM public.users; /* the end */",
        "WITH u AS (SELECT * FROM public.users) SELECT * FROM u",
        "VALUES (1), (2)",
        "TABLE public.users",
        "(SELECT 1 AS id) UNION (SELECT 2) ORDER BY 1 LIMIT 1",
        "SELECT '%s {}' AS id, 5 % 3 AS email",
        "SELECT $$;--$$ AS id",
    ],
)
def test_query_with_any_ending_is_accepted(dsn: str, text: str) -> None:
    assert _codes(_check(dsn, _query(text))) == [("note", "no_key")]


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize(
    ("export_type", "code", "says"),
    [
        (
            _query("SELECT nothing FROM public.users"),
            "query_refused",
            'column "nothing" does not exist',
        ),
        (_query("SELECT id\nFROM public.users\nWHERE x"), "query_refused", "line 3 of the query"),
        (_query("SELECT * FROM nowhere"), "query_refused", 'relation "nowhere"'),
        (_query("SELECT FROM FROM"), "query_refused", "syntax error"),
        (_query("SELECT $1"), "query_refused", "$1"),
        (
            _query("WITH d AS (DELETE FROM public.users RETURNING id) SELECT * FROM d"),
            "query_refused",
            "top level",
        ),
        (_query("SELECT * FROM public.users FOR UPDATE"), "query_writes", "write or lock"),
        (_query("SELECT 1 AS a, 2 AS a"), "column_ambiguous", "'a'"),
        (_query("SELECT id FROM public.users", columns=("email",)), "column_missing", "'email'"),
        (_query("SELECT id FROM public.users", key=("email",)), "key_column_missing", "'email'"),
        (_query("SELECT team FROM public.users", key=("team",)), "key_not_unique", "not unique"),
        (_query("SELECT NULL::int AS a", key=("a",)), "key_null", "NULL"),
        (_query("SELECT id / 0 AS a FROM public.users", key=("a",)), "unreadable", "22012"),
    ],
)
def test_query_that_does_not_hold_is_an_error(
    dsn: str, export_type: ExportType, code: str, says: str
) -> None:
    (finding,) = [f for f in _check(dsn, export_type) if f.severity == "error"]
    assert finding.code == code
    assert says in finding.message


@pytest.mark.usefixtures("users")
def test_query_that_writes_through_a_function_writes_nothing(dsn: str, execute: Execute) -> None:
    execute(
        "CREATE FUNCTION wipe() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1'",
    )
    findings = _check(dsn, _query("SELECT wipe() AS a", key=("a",)))
    assert any(f.severity == "error" for f in findings)
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (2,)


@pytest.mark.usefixtures("users")
def test_unnamed_column_of_a_query_is_a_warning(dsn: str) -> None:
    assert ("warning", "column_unnamed") in _codes(_check(dsn, _query("SELECT 1 + 1")))


def test_empty_catalog_is_a_warning(dsn: str) -> None:
    assert _codes(check_catalog(Catalog(), dsn)) == [("warning", "catalog_empty")]


@pytest.mark.usefixtures("users")
def test_errors_come_first_and_every_type_is_checked(dsn: str) -> None:
    catalog = Catalog([ExportType("a", TableSource("public", "users"))])
    catalog.add(ExportType("b", TableSource("public", "nowhere")))
    findings = check_catalog(catalog, dsn)
    assert [(f.severity, f.export_type) for f in findings] == [("error", "b"), ("note", "a")]


def test_many_findings_survive_hostile_names(dsn: str, execute: Execute) -> None:
    name = 'we"ird\n%s.{}'
    execute(
        sql.SQL("CREATE TABLE {} ({} int)").format(sql.Identifier(name), sql.Identifier(name)),
        sql.SQL("INSERT INTO {} VALUES (1), (1)").format(sql.Identifier(name)),
    )
    assert _codes(_check(dsn, _table(name, key=(name,)))) == [("error", "key_not_unique")]


# -- which rows -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("users")
def test_sound_scope_filters_and_since_have_no_findings(dsn: str, execute: Execute) -> None:
    execute(
        "ALTER TABLE users ADD COLUMN tenant uuid, ADD COLUMN at timestamptz",
        "CREATE TYPE mood AS ENUM ('glad', 'sad')",
        "ALTER TABLE users ADD COLUMN mood mood",
    )
    export_type = replace(
        _table("users", key=("id",)),
        scope=RowScope("tenant = :principal.tenant -- theirs"),
        filters=(
            Filter("id", "integer"),
            Filter("mail", "text", "email"),
            Filter("mood", values=("glad", "sad"), operators=("eq", "in")),
            Filter("tenant", "uuid"),
            Filter("at", "timestamptz"),
        ),
        since="at",
    )
    assert _check(dsn, export_type) == []


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"scope": RowScope("tenant = :principal.tenant")}, "scope_refused", '"tenant"'),
        ({"scope": RowScope("id + 1")}, "scope_refused", "boolean"),
        ({"scope": RowScope("id = = 1")}, "scope_refused", "syntax error"),
        ({"filters": (Filter("mail"),)}, "filter_refused", "mail"),
        ({"filters": (Filter("id"),)}, "filter_refused", "'id'"),
        ({"filters": (Filter("email", "integer"),)}, "filter_refused", "operator"),
        ({"filters": (Filter("data"),)}, "filter_refused", "'data'"),
        ({"filters": (Filter("mood"),)}, "filter_refused", "list its values"),
        ({"since": "changed_at"}, "since_refused", "changed_at"),
        ({"since": "team"}, "since_refused", "timestamptz column"),
    ],
)
def test_rows_that_cannot_be_chosen_so_are_an_error(
    dsn: str, execute: Execute, changes: dict[str, Any], code: str, says: str
) -> None:
    execute("CREATE TYPE mood AS ENUM ('glad', 'sad')", "ALTER TABLE users ADD COLUMN mood mood")
    findings = _check(dsn, replace(_table("users", key=("id",)), **changes))
    assert _codes(findings) == [("error", code)]
    assert says in str(findings[0])


@pytest.mark.usefixtures("users")
def test_resumable_needs_an_index_that_keeps_the_key_unique(dsn: str, execute: Execute) -> None:
    by_id = replace(_table("users", key=("id",)), consistency="resumable")
    by_mail = replace(_table("users", key=("email",)), consistency="resumable")
    assert _check(dsn, by_id) == []
    (finding,) = _check(dsn, by_mail)
    assert (finding.severity, finding.code) == ("error", "not_resumable")
    assert "SET NOT NULL" in finding.remedy
    execute("ALTER TABLE users ALTER email SET NOT NULL", "CREATE UNIQUE INDEX ON users (email)")
    assert _check(dsn, by_mail) == []


@pytest.mark.usefixtures("users")
def test_what_no_lock_covers_is_told(dsn: str, execute: Execute) -> None:
    body = "LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT * FROM public.users; END $$"
    execute(
        f"CREATE FUNCTION hidden() RETURNS SETOF users {body}",
        "CREATE FUNCTION inlined() RETURNS SETOF users LANGUAGE sql STABLE"
        " AS 'SELECT * FROM public.users'",
        "CREATE VIEW seen AS SELECT * FROM hidden()",
    )
    by_function = _check(dsn, _query("SELECT * FROM public.hidden()", key=("id",)))
    assert ("note", "tables_hidden") in _codes(by_function)
    assert "public.hidden" in str(by_function)
    searched = replace(_query("SELECT * FROM hidden()"), search_path=("public",))
    for export_type in (searched, _table("seen")):
        assert ("note", "tables_hidden") in _codes(_check(dsn, export_type))
    seen_through = _check(dsn, _query("SELECT * FROM public.inlined()"))
    assert "tables_hidden" not in [code for _, code in _codes(seen_through)]


def test_rows_of_another_server_are_told(dsn: str, execute: Execute) -> None:
    execute(
        "CREATE EXTENSION file_fdw",
        "CREATE SERVER elsewhere FOREIGN DATA WRAPPER file_fdw",
        "CREATE FOREIGN TABLE lines (line text) SERVER elsewhere OPTIONS (program 'echo one')",
        "CREATE VIEW seen AS SELECT * FROM lines",
    )
    for export_type in (_table("lines"), _table("seen"), _query("SELECT * FROM public.lines")):
        (finding,) = [f for f in _check(dsn, export_type) if f.code == "foreign_rows"]
        assert "public.lines" in finding.message
