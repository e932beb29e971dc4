"""Rendered catalogs: what was proposed is what is loaded, whatever the names hold."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.catalog.inspect import Inspection, may_be_personal, propose
from waybill.catalog.model import TableSource
from waybill.catalog.relations import Kind, Relation, RelationColumn, UniqueIndex
from waybill.catalog.render import render_toml, toml_string
from waybill.catalog.toml import parse_catalog

database_names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30
)
HOSTILE = [
    'qu"ote', "back\\slash", "new\nline", "a.b", "#hash", "]", "'", '"""', "\u202eright-to-left",
    "\x7f", "\x1b[31m", "tab\t", " ", "é", "🎉", "SELECT", "a=b", "\u2028", "\ufeff", "{}", "%s",
]  # fmt: skip


def relation(
    schema: str,
    table: str,
    columns: list[str],
    *,
    key: tuple[str, ...] = (),
    kind: Kind = "table",
    type_name: str = "text",
    may_select: bool = True,
    has_children: bool = False,
    is_partition: bool = False,
    unique: tuple[UniqueIndex, ...] = (),
) -> Relation:
    indexes = (UniqueIndex(key, primary=True, never_null=True, integers=False),) if key else ()
    return Relation(
        source=TableSource(schema, table),
        kind=kind,
        is_partition=is_partition,
        from_extension=False,
        has_children=has_children,
        is_populated=True,
        row_security_active=False,
        may_use_schema=True,
        may_select=may_select,
        estimated_rows=None,
        size_bytes=0,
        columns=tuple(RelationColumn(name, type_name, False, may_select) for name in columns),
        unique_indexes=(*indexes, *unique),
    )


@given(
    st.lists(
        st.tuples(
            st.one_of(database_names, st.sampled_from(HOSTILE)),
            st.one_of(database_names, st.sampled_from(HOSTILE)),
            st.lists(
                st.one_of(database_names, st.sampled_from(HOSTILE)),
                min_size=1, max_size=4, unique=True,
            ),
        ),
        max_size=4,
        unique_by=lambda table: table[:2],
    ),
    st.one_of(database_names, st.sampled_from(HOSTILE)),
)  # fmt: skip
def test_rendered_catalog_loads_as_it_was(
    tables: list[tuple[str, str, list[str]]], other: str
) -> None:
    inspection = propose(
        other,
        other,
        [
            relation(schema, table, columns, key=(columns[0],), type_name=other)
            for schema, table, columns in tables
        ],
    )
    assert parse_catalog(render_toml(inspection)) == inspection.catalog


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_toml_string_comes_back_exactly(text: str) -> None:
    assert tomllib.loads(f"k = {toml_string(text)}")["k"] == text
    assert toml_string(text).isprintable()


def _propose(*relations: Relation) -> Inspection:
    return propose("shop", "reader", list(relations))


def test_database_without_tables_renders_a_file_that_loads_and_says_so() -> None:
    text = render_toml(_propose())
    assert "Nothing to export" in text
    assert len(parse_catalog(text)) == 0


def test_every_commented_example_in_the_file_holds() -> None:
    text = render_toml(_propose())
    example = text[text.index("# [exports.active_users]") :]
    uncommented = "\n".join(line.removeprefix("# ") for line in example.splitlines())
    assert parse_catalog(uncommented)["active_users"].key == ("id",)


def test_primary_key_wins_over_other_unique_indexes() -> None:
    small = UniqueIndex(("a",), primary=False, never_null=True, integers=True)
    (table,) = _propose(relation("public", "t", ["a", "b"], key=("b",), unique=(small,))).tables
    assert table.export_type.key == ("b",)


def test_shortest_unique_index_without_nulls_becomes_the_key() -> None:
    nullable = UniqueIndex(("a",), primary=False, never_null=False, integers=True)
    wide = UniqueIndex(("a", "b"), primary=False, never_null=True, integers=True)
    text = UniqueIndex(("b",), primary=False, never_null=True, integers=False)
    number = UniqueIndex(("c",), primary=False, never_null=True, integers=True)
    (table,) = _propose(
        relation("public", "t", ["a", "b", "c"], unique=(nullable, wide, text, number))
    ).tables
    assert table.export_type.key == ("c",)


def test_primary_key_of_a_parent_of_inheriting_tables_is_not_trusted() -> None:
    inspection = _propose(relation("public", "t", ["id"], key=("id",), has_children=True))
    assert inspection.tables[0].export_type.key == ()
    assert "inheriting tables" in render_toml(inspection)


def test_partitions_are_left_out() -> None:
    inspection = _propose(
        relation("public", "t", ["id"], kind="partitioned table"),
        relation("public", "t_2024", ["id"], is_partition=True),
    )
    assert list(inspection.catalog) == ["t"]


def test_unreadable_table_is_left_out_with_the_grant_it_needs() -> None:
    inspection = _propose(relation("public", "secret", ["id"], may_select=False))
    assert len(inspection.catalog) == 0
    assert 'GRANT SELECT ON "public"."secret" TO "reader";' in render_toml(inspection)


@pytest.mark.parametrize("table", ["alembic_version", "export_jobs"])
def test_tables_of_waybill_itself_are_left_out(table: str) -> None:
    assert len(_propose(relation("public", table, ["id"])).catalog) == 0


def test_table_without_columns_is_left_out_with_a_note() -> None:
    inspection = _propose(relation("public", "t", []))
    assert len(inspection.catalog) == 0
    assert "no columns" in inspection.notes[0]


@pytest.mark.parametrize(
    ("table", "column", "personal"),
    [
        ("users", "email", True),
        ("users", "EmailAddress", True),
        ("users", "date_of_birth", True),
        ("users", "phone_number", True),
        ("customer", "name", True),
        ("product", "name", False),
        ("film", "title", False),
        ("film", "last_update", False),
        ("orders", "mailed_count_total", False),
        ("staff", "address2", True),
        ("staff", "address_id", False),
        ("staff", "national_id", True),
    ],
)
def test_personal_data_is_guessed_from_names(table: str, column: str, personal: bool) -> None:
    assert may_be_personal(table, column) is personal
