"""Filters and scopes on a real PostgreSQL: a value is a value, whatever it looks like.

The oracle is PostgreSQL itself with the same value as a bound parameter, which no text can leave.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from psycopg import sql

from waybill.catalog import Column, ExportType, Filter, QuerySource, RowScope, TableSource
from waybill.catalog.filters import read_filters
from waybill.catalog.relation_sql import from_source
from waybill.catalog.selection import JsonText, Selection
from waybill.catalog.where import where_clause
from waybill.filter_types import FilterType
from waybill.formats import get_encoder, read_options
from waybill.formats.plan import ExportPlan
from waybill.local.stack import LocalStack
from waybill.local.testing import temporary_database
from waybill.source.source import PostgresSource

HOSTILE = [
    "'; DROP TABLE things; --",
    "' OR '1'='1",
    "\\'; DROP TABLE things; --",
    "\\",
    "%",
    "_",
    "\\%",
    "$1",
    "%s",
    "%(x)s",
    "{}",
    "{0}",
    ":principal.tenant",
    "/*",
    "--",
    "$$",
    "E'\\x27'",
    "\n",
    "\r\n",
    "\x01\x02",
    '"',
    "''",
    "''''",
    "ʼ",
    "\ufeff",
    "NULL",
    "null",
    "",
    " ",
    "%c0%a7",
    "𝕏",
    "\\.",
    "\x1a",
]
_FIXED = hypothesis_settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
texts = st.sampled_from(HOSTILE) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12
)
THINGS = TableSource("public", "things")


@pytest.fixture(scope="module")
def things(local_stack: LocalStack) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with (
        temporary_database(local_stack) as dsn,
        psycopg.connect(dsn, autocommit=True) as connection,
    ):
        connection.execute(
            "CREATE TABLE things (id int PRIMARY KEY, name text, code varchar(40), tenant text,"
            " n int, amount numeric, ok bool, day date, at timestamptz, local_at timestamp,"
            " ref uuid)"
        )
        start = datetime(2026, 1, 1, tzinfo=UTC)
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO things VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    (
                        i,
                        text,
                        text,
                        text,
                        i - 3,
                        Decimal(i) / 4,
                        i % 3 == 0,
                        date(2026, 1, 1) + timedelta(days=i),
                        start + timedelta(hours=i),
                        (start + timedelta(hours=i)).replace(tzinfo=None),
                        UUID(int=i),
                    )
                    for i, text in enumerate([*HOSTILE, *(f"{text}x" for text in HOSTILE)])
                ],
            )
        connection.execute("INSERT INTO things (id) VALUES (1000)")  # NULL everywhere else
        yield connection


def chosen(
    connection: psycopg.Connection[tuple[Any, ...]], where: sql.Composable | None
) -> list[int]:
    """Return the ids that a COPY with this WHERE gives."""
    statement = sql.SQL("COPY (SELECT id {} ORDER BY id) TO STDOUT").format(
        from_source(THINGS, where)
    )
    with connection.cursor().copy(statement) as copy:
        copy.set_types(["int4"])
        return [row[0] for row in copy.rows()]


def expected(
    connection: psycopg.Connection[tuple[Any, ...]], condition: str, value: object
) -> list[int]:
    """Return the ids for the same condition with a bound parameter."""
    query = f"SELECT id FROM things WHERE {condition} ORDER BY id"
    return [row[0] for row in connection.execute(query.encode(), {"value": value})]


BOUND = {
    "eq": "{} = %(value)s",
    "ne": "{} IS DISTINCT FROM %(value)s",
    "lt": "{} < %(value)s",
    "lte": "{} <= %(value)s",
    "gt": "{} > %(value)s",
    "gte": "{} >= %(value)s",
    "prefix": "starts_with({}, %(value)s)",
}


@pytest.mark.parametrize("conforming", ["on", "off"])
@given(
    text=texts,
    operator=st.sampled_from(sorted(BOUND)),
    column=st.sampled_from(["name", "code"]),
)
@example(text="\\'; DROP TABLE things; --", operator="prefix", column="name")
@_FIXED
def test_any_text_chooses_what_it_chooses_as_a_bound_parameter(
    things: psycopg.Connection[tuple[Any, ...]],
    conforming: str,
    text: str,
    operator: str,
    column: str,
) -> None:
    things.execute(f"SET standard_conforming_strings = {conforming}".encode())
    things.execute("SET escape_string_warning = off")
    conditions = read_filters([Filter("f", column=column)], {"f": {operator: text}}, "things")
    got = chosen(things, where_clause(conditions=conditions))
    assert got == expected(things, BOUND[operator].format(f"{column}::text"), text)
    assert expected(things, "%(value)s", True)[-1] == 1000  # the table is as it was


@given(values=st.lists(texts, min_size=1, max_size=30))
@_FIXED
def test_list_of_any_texts_chooses_what_it_chooses_bound(
    things: psycopg.Connection[tuple[Any, ...]], values: list[str]
) -> None:
    conditions = read_filters([Filter("name")], {"name": {"in": values}}, "things")
    got = chosen(things, where_clause(conditions=conditions))
    assert got == expected(things, "name = ANY(%(value)s)", values)


@given(tenant=texts, subject=texts)
@_FIXED
def test_scope_holds_for_any_principal(
    things: psycopg.Connection[tuple[Any, ...]], tenant: str, subject: str
) -> None:
    scope = RowScope("tenant = :principal.tenant OR name = :principal.subject -- comment")
    # A caller's filter stands beside the scope and cannot widen it.
    conditions = read_filters([Filter("n", "integer")], {"n": {"gte": -100}}, "things")
    where = where_clause(
        scope=scope, principal={"tenant": tenant, "subject": subject}, conditions=conditions
    )
    bound = {
        *expected(things, "tenant = %(value)s", tenant),
        *expected(things, "name = %(value)s", subject),
    }
    assert chosen(things, where) == sorted(bound)


def test_principal_without_a_tenant_gets_no_rows_of_anyone(
    things: psycopg.Connection[tuple[Any, ...]],
) -> None:
    scope = RowScope("tenant = :principal.tenant")
    assert chosen(things, where_clause(scope=scope, principal={"tenant": None})) == []
    assert chosen(things, where_clause(scope=scope)) == []


@pytest.mark.parametrize(
    ("column", "filter_type", "value"),
    [
        ("n", "integer", 3),
        ("n", "integer", -3),
        ("n", "integer", 2**62),
        ("n", "number", "2.5"),
        ("amount", "number", "1.25"),
        ("amount", "number", "-1e-9"),
        ("amount", "number", "1e20"),
        ("amount", "integer", 2),
        ("day", "date", "2026-01-05"),
        ("at", "timestamptz", "2026-01-01T05:00:00+01:00"),
        ("local_at", "timestamp", "2026-01-01T04:00:00"),
        ("at", "date", "2026-01-02"),
    ],
)
@pytest.mark.parametrize("operator", ["eq", "ne", "lt", "lte", "gt", "gte"])
def test_typed_value_compares_as_a_bound_parameter(
    things: psycopg.Connection[tuple[Any, ...]],
    column: str,
    filter_type: FilterType,
    value: object,
    operator: str,
) -> None:
    things.execute("SET TimeZone = 'UTC'")
    declared = [Filter("f", filter_type, column)]
    conditions = read_filters(declared, {"f": {operator: value}}, "things")
    got = chosen(things, where_clause(conditions=conditions))
    assert got == expected(things, BOUND[operator].format(column), conditions[0].value)


def test_null_boolean_and_uuid_filters_choose_their_rows(
    things: psycopg.Connection[tuple[Any, ...]],
) -> None:
    declared = [Filter("name"), Filter("ok", "boolean"), Filter("ref", "uuid")]

    def rows(filters: dict[str, dict[str, Any]]) -> list[int]:
        return chosen(things, where_clause(conditions=read_filters(declared, filters, "things")))

    assert rows({"name": {"is_null": True}}) == [1000]
    assert 1000 not in rows({"name": {"is_null": False}})
    assert rows({"ok": {"eq": True}}) == expected(things, "ok = %(value)s", True)
    assert rows({"ref": {"in": [str(UUID(int=3)), str(UUID(int=5))]}}) == [3, 5]
    assert rows({"ref": {"eq": str(UUID(int=4))}, "name": {"is_null": True}}) == []
    # Texts stay untyped: the column says what they are.
    untyped = read_filters(
        [Filter("ref", "text")], {"ref": {"in": [str(UUID(int=3)), str(UUID(int=9))]}}, "things"
    )
    assert chosen(things, where_clause(conditions=untyped)) == [3, 9]


def test_rows_that_a_program_chose_are_narrowed_by_all_else_and_widen_nothing(
    things: psycopg.Connection[tuple[Any, ...]],
) -> None:
    things.execute("SET TimeZone = 'UTC'")
    keys = "SELECT id, n FROM public.things WHERE id = ANY (?) AND name <> ?"
    numbers = Selection(tuple(keys.split("?")), ((1, 2, 3, 7), "_"), ("id", "n"))
    assert chosen(things, where_clause(selection=numbers)) == [
        row for row in (1, 2, 3, 7) if row != HOSTILE.index("_")
    ]

    hours = "SELECT id FROM public.things WHERE at < ? + ?"
    instant = datetime(2026, 1, 1, tzinfo=UTC)
    early = Selection(tuple(hours.split("?")), (instant, timedelta(hours=5)), ("id",))
    assert chosen(things, where_clause(selection=early)) == [0, 1, 2, 3, 4]
    # Of its type, not a text's, where nothing beside it says so.
    text = "SELECT id FROM public.things WHERE pg_catalog.jsonb_typeof(pg_catalog.to_jsonb(?))"
    kinds = f"{text} OPERATOR(pg_catalog.=) 'object'"
    json = Selection(tuple(kinds.split("?")), (JsonText('{"a": "it\'s"}'),), ("id",))
    assert len(chosen(things, where_clause(selection=json))) == len(chosen(things, None))
    few = read_filters([Filter("id", "integer")], {"id": {"gte": 3}}, "things")
    assert chosen(things, where_clause(selection=early, conditions=few)) == [3, 4]
    scope = RowScope("name = :principal.subject")
    own = where_clause(
        selection=early, conditions=few, scope=scope, principal={"subject": HOSTILE[4]}
    )
    assert chosen(things, own) == [4]
    since = where_clause(selection=early, since=("at", instant + timedelta(hours=2)))
    assert chosen(things, since) == [2, 3, 4]


def test_since_takes_rows_from_that_instant_on(
    things: psycopg.Connection[tuple[Any, ...]],
) -> None:
    instant = datetime(2026, 1, 1, 4, tzinfo=UTC)
    everything = chosen(things, None)
    for column in ("at", "local_at"):
        got = chosen(things, where_clause(since=(column, instant)))
        assert got == [row for row in everything if 4 <= row < 1000]


@pytest.mark.parametrize("format_name", ["csv", "json", "ndjson"])
@pytest.mark.parametrize(
    "source",
    [THINGS, QuerySource("SELECT * FROM public.things -- all of them")],
    ids=["table", "query"],
)
def test_plan_with_rows_chosen_writes_those_rows(
    things: psycopg.Connection[tuple[Any, ...]],
    format_name: str,
    source: TableSource | QuerySource,
) -> None:
    # The label is another column's name: WHERE and ORDER BY must mean the source's column.
    export_type = ExportType("things", source, key=("id",), columns=(Column("id", "n"),))
    where = where_clause(
        conditions=read_filters([Filter("n", "integer")], {"n": {"gte": 0, "lt": 5}}, "things")
    )
    info = things.info
    dsn = psycopg.conninfo.make_conninfo(info.dsn, password=info.password)
    with PostgresSource(dsn).open_snapshot(lambda: None) as snapshot:
        for limit, ids in ((None, [3, 4, 5, 6, 7]), (2, [3, 4])):
            plan = ExportPlan(
                export_type,
                snapshot.resolve(export_type),
                get_encoder(format_name),
                read_options(format_name, {}),
                where,
                limit,
            )
            encoding = get_encoder(format_name).open(plan)
            data = b"".join(encoding.encode(chunk) for chunk in snapshot.copy(encoding.statement))
            assert [int(digits) for digits in re.findall(rb"[0-9]+", data)] == ids
        snapshot.check_key(export_type, where)
        assert snapshot.count_rows(export_type, where).rows == 5
