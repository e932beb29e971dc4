"""Table names as people write them, SQL for people to read, export types derived from tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.catalog.model import NAME_PATTERN, TableSource
from waybill.catalog.names import (
    derive_export_name,
    is_plain,
    parse_table_name,
    quote_identifier,
    visible,
)

database_names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1
)


@pytest.mark.parametrize(
    ("written", "schema", "table"),
    [
        ("users", "public", "users"),
        ("public.users", "public", "users"),
        ("Sales.Users", "Sales", "Users"),
        ("public.My Table", "public", "My Table"),
        ('"My Schema"."Weird.Table"', "My Schema", "Weird.Table"),
        ('public."a""b"', "public", 'a"b'),
        ('"users"', "public", "users"),
        ('" padded "', "public", " padded "),
        ("größe.naïve", "größe", "naïve"),
        ('"new\nline"', "public", "new\nline"),
    ],
)
def test_table_name_is_read_exactly(written: str, schema: str, table: str) -> None:
    assert parse_table_name(written) == TableSource(schema, table)


@pytest.mark.parametrize(
    "written", ["", ".", "a.", ".a", "a.b.c", 'a"b', '"a', '"a"b', '""', "public. users", " users"]
)
def test_unreadable_table_name_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="double quotes"):
        parse_table_name(written)


@given(database_names, database_names)
def test_quoted_names_come_back_whatever_they_hold(schema: str, table: str) -> None:
    written = ".".join('"' + name.replace('"', '""') + '"' for name in (schema, table))
    assert parse_table_name(written) == TableSource(schema, table)


@given(database_names, database_names)
def test_plain_names_come_back_unquoted(schema: str, table: str) -> None:
    if is_plain(schema) and is_plain(table):
        assert parse_table_name(f"{schema}.{table}") == TableSource(schema, table)


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("users", "users"),
        ("UserAccounts", "user_accounts"),
        ("Weird.Table name", "weird_table_name"),
        ("Größe", "grosse"),
        ("Łódź", "lodz"),
        ("ÆØÅ", "aeoa"),
        ("2024_sales", "t_2024_sales"),
        ("exports", "sales_exports"),
        ("audit", "sales_audit"),
        ("таблица", "table"),
        ("🎉", "table"),
        ('"quoted"', "quoted"),
        ("a" * 80, "a" * 63),
        ("film-actor", "film-actor"),
        ("___", "table"),
        ("İstanbul", "istanbul"),
    ],
)
def test_export_type_is_named_after_its_table(table: str, name: str) -> None:
    assert derive_export_name("sales", table, set()) == name


def test_colliding_export_types_take_the_schema_then_a_number() -> None:
    taken: set[str] = set()
    for schema, table, expected in [
        ("public", "users", "users"),
        ("crm", "users", "crm_users"),
        ("crm", "Users", "crm_users_2"),
        ("crm", "USERS", "crm_users_3"),
        ("кассы", "users", "users_2"),
    ]:
        name = derive_export_name(schema, table, taken)
        assert name == expected
        taken.add(name)


@given(st.lists(st.tuples(database_names, database_names), max_size=30))
def test_derived_names_are_always_valid_and_unique(tables: list[tuple[str, str]]) -> None:
    taken: set[str] = set()
    for schema, table in tables:
        name = derive_export_name(schema, table, taken)
        assert NAME_PATTERN.fullmatch(name)
        assert name not in taken
        taken.add(name)


@given(database_names)
def test_names_in_comments_stay_on_their_line_and_in_sight(name: str) -> None:
    assert visible(name).isprintable()
    assert quote_identifier(name).isprintable()
