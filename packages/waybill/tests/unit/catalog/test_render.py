"""Rendered catalogs: what was proposed is what is loaded, whatever the names hold."""

import re
import tomllib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from waybill.catalog.file_model import (
    CatalogFile,
    ColumnTable,
    ExportTable,
    FilterTable,
    PoliteTable,
    SinceTable,
    SourceTable,
    TogetherTable,
)
from waybill.catalog.inspect import Inspection, propose
from waybill.catalog.model import TableSource
from waybill.catalog.relations import Kind, Relation, RelationColumn, UniqueIndex
from waybill.catalog.render import header, render_toml, toml_string
from waybill.catalog.toml import parse_catalog
from waybill.formats.formula_guard import needs_guard

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


def _models_of_the_file() -> list[type[BaseModel]]:
    """Every model that the file's schema holds, whatever is added to it."""
    inner = (ColumnTable, FilterTable, SinceTable, PoliteTable)
    models = (ExportTable, *inner, SourceTable, TogetherTable)
    known = {m.__name__: m for m in models}
    assert set(CatalogFile.model_json_schema()["$defs"]) == set(known)
    return list(known.values())


def test_header_names_every_key_that_the_file_may_hold() -> None:
    text = header()
    sections = re.split(r"^#\n", text, flags=re.MULTILINE)[2:]
    for section, model in zip(sections, _models_of_the_file(), strict=True):
        named = re.findall(r"^#   (\w+)  +\S", section, re.MULTILINE)
        assert named == [f.alias or name for name, f in model.model_fields.items()]
    lines = text.splitlines()
    assert all(line.isprintable() and len(line) <= 100 for line in lines)
    assert not any(line.endswith(";") for line in lines)  # such lines are SQL, to be run


def test_columns_and_tables_get_labels_that_every_format_takes() -> None:
    names = [
        "id",
        "=sum",
        "@timestamp",
        "-x",
        "x",
        "\t",
        "a\nb",
        "a b",
        "X 2",
        "\ufeffbom",
        "'q",
        "-",
    ]
    (table,) = _propose(relation("public", "=cmd|'/c calc'", names, key=("id",))).tables

    labels = [column.label for column in table.export_type.columns]

    assert [column.name for column in table.export_type.columns] == names
    assert labels == [
        "id", "sum", "timestamp", "x 3", "x", "column 6", "a b 2", "a b", "X 2", "bom", "'q",
        "column 12",
    ]  # fmt: skip
    assert table.export_type.title == "cmd|'/c calc'"


@given(
    st.lists(
        st.one_of(database_names, st.sampled_from(HOSTILE)), min_size=1, max_size=6, unique=True
    )
)
def test_labels_are_accepted_by_formats_and_by_the_catalog(names: list[str]) -> None:
    for table in _propose(relation("public", names[0], names)).tables:
        for label in (table.export_type.title, *(c.label for c in table.export_type.columns)):
            assert not needs_guard(label)
            assert not any(unicodedata.category(ch) in {"Cc", "Zl", "Zp"} for ch in label)


def test_table_of_the_exact_name_keeps_it() -> None:
    spellings = ["USERS", "Users", "crm_users", "users"]
    found = [relation("public", name, ["id"]) for name in spellings]

    inspection = _propose(*found, relation("crm", "users", ["id"]))

    names = {t.export_type.source: t.export_type.name for t in inspection.tables}
    assert names == {
        TableSource("public", "USERS"): "public_users",
        TableSource("public", "Users"): "public_users_2",
        TableSource("public", "crm_users"): "crm_users",
        TableSource("public", "users"): "users",
        TableSource("crm", "users"): "crm_users_2",
    }


def test_secrets_are_left_out_with_the_line_that_takes_them_in() -> None:
    columns = ["id", "email", "PasswordHash", "api_key"]
    inspection = _propose(relation("public", "users", columns, key=("id",)))
    text = render_toml(inspection)

    assert [c.name for c in inspection.catalog["users"].columns] == ["id", "email"]
    (line,) = re.findall(r"^#   (\{ name = \"PasswordHash\".*)$", text, re.MULTILINE)
    included = parse_catalog(text.replace("columns = [\n", f"columns = [\n  {line}\n"))
    assert [c.name for c in included["users"].columns] == ["PasswordHash", "id", "email"]
    assert 'GRANT SELECT ("id", "email") ON "public"."users"' in text
    assert any('secrets: "PasswordHash", "api_key"' in note for note in inspection.notes)


def test_key_that_looks_secret_stays_the_key_and_is_not_exported() -> None:
    inspection = _propose(relation("public", "sessions", ["token", "seen_at"], key=("token",)))

    assert inspection.catalog["sessions"].key == ("token",)
    assert [c.name for c in inspection.catalog["sessions"].columns] == ["seen_at"]
    assert "ON" in render_toml(inspection)
    assert "GRANT SELECT ON" in render_toml(inspection)


def test_table_of_nothing_but_secrets_is_left_out() -> None:
    inspection = _propose(relation("public", "tokens", ["token"], key=("token",)))

    assert len(inspection.catalog) == 0
    assert any("every column of it looks like a secret" in note for note in inspection.notes)


def test_personal_data_are_marked() -> None:
    inspection = _propose(relation("public", "users", ["id", "email", "created"], key=("id",)))

    assert {c.name: c.pii for c in inspection.catalog["users"].columns} == {
        "id": "", "email": "exports:pii", "created": "",
    }  # fmt: skip
    assert '{ name = "email", label = "email", pii = true },' in render_toml(inspection)
