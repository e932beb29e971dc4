"""Catalog files: what is read, and what a person is told about one that does not hold."""

import json
from pathlib import Path

import pytest

from waybill.catalog import (
    CatalogFileError,
    Column,
    ExportType,
    QuerySource,
    TableSource,
    catalog_json_schema,
    load_catalog,
)
from waybill.catalog.toml import parse_catalog
from waybill.errors import ConfigurationError


def test_all_forms_of_a_catalog_are_read() -> None:
    catalog = parse_catalog(
        """
        [exports.users]
        table = "public.users"
        key = "id"
        title = "Users"
        columns = ["id", { name = "Email", label = "E-mail" }]

        [exports.orders]
        schema = "My Schema"
        table = "Weird.Table"
        key = ["region", "number"]
        order = "none"
        deadline_seconds = 90
        [[exports.orders.columns]]
        name = "region"
        [[exports.orders.columns]]
        name = "number"
        label = "No."

        [exports.report]
        query = "SELECT 1 AS one; -- done"
        """
    )
    assert list(catalog.values()) == [
        ExportType(
            "users",
            TableSource("public", "users"),
            key=("id",),
            columns=(Column("id"), Column("Email", "E-mail")),
            title="Users",
        ),
        ExportType(
            "orders",
            TableSource("My Schema", "Weird.Table"),
            key=("region", "number"),
            columns=(Column("region"), Column("number", "No.")),
            order="none",
            deadline_seconds=90,
        ),
        ExportType("report", QuerySource("SELECT 1 AS one")),
    ]


@pytest.mark.parametrize(
    "source", ["table = 'users'", "table = 'users'\nkey = 'id'\norder = 'none'",
               "query = 'SELECT 1 AS id'\nkey = 'id'"],
)  # fmt: skip
def test_resumable_without_a_table_ordered_by_its_key_is_refused(source: str) -> None:
    with pytest.raises(CatalogFileError, match="ordered by it"):
        parse_catalog(f'[exports.users]\n{source}\nconsistency = "resumable"')


def test_resumable_is_said_in_the_file_and_in_python_alike() -> None:
    catalog = parse_catalog(
        "[exports.users]\ntable = 'users'\nkey = 'id'\nconsistency = 'resumable'"
    )
    users = TableSource("public", "users")
    assert catalog["users"] == ExportType("users", users, key=("id",), consistency="resumable")
    with pytest.raises(ConfigurationError, match="resumable"):
        ExportType("users", users, consistency="resumable")


def test_file_with_byte_order_mark_and_windows_line_ends_is_read(tmp_path: Path) -> None:
    file = tmp_path / "waybill.toml"
    file.write_bytes("\ufeff[exports.users]\r\ntable = 'users'\r\n".encode())
    assert load_catalog(file)["users"].source == TableSource("public", "users")


def test_empty_file_is_an_empty_catalog() -> None:
    assert len(parse_catalog("")) == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        # Broken syntax: the place, and what was expected there.
        ("[exports.users]\ntable = public.users", ["f:2:9:", "text in quotes"]),
        ("[exports.users]\ntable 'users'", ["f:2:7:", "key = value"]),
        ("[exports.users]\ntable = 'users", ["f:2:", "not valid TOML"]),
        ('[exports.users]\nkey = ["id"', ["f:2:", "missing ]"]),
        ("[exports.users]\n[exports.users]", ["f:2:", "declared twice"]),
        ("[exports.users]\ntitle='a'\ntitle='b'", ["f:3:", "given twice"]),
        ('[exports.users]\ntitle = "a\\d"', ["f:2:", "backslash"]),
        ("[exports.users", ["f:1:", "not valid TOML"]),
        # Keys nobody knows.
        ("[export.users]\ntable='u'", ["f:1:2:", "'export'", "did you mean 'exports'?"]),
        (
            "[exports.users]\ntable='u'\ncolum = ['id']",
            ["f:3:1:", "'colum' in [exports.users]", "did you mean 'columns'?", "Known here: "],
        ),
        (
            "[exports.users]\ntable='u'\ncolumns = [\n  {name='a', lable='b'}]",
            ["f:4:14:", "'lable'", "did you mean 'label'?"],
        ),
        # Wrong types say what is accepted.
        ("[exports.users]\ntable = 5", ["f:2:1:", "[exports.users] table", "whole number"]),
        ("[exports.users]\ntable='u'\nkey = 5", ["f:3:1:", 'column name ("id") or an array']),
        ("[exports.users]\ntable='u'\nkey = ['a', 5]", ["f:3:13:", "a column name in quotes"]),
        ("[exports.users]\ntable='u'\ncolumns = 'id'", ["f:3:1:", "an array of names and tables"]),
        ("[exports.users]\ntable='u'\ncolumns = ['a', 5]", ["f:3:17:", "a name in quotes or"]),
        ("[exports.users]\ntable='u'\ncolumns = [{label='x'}]", ["f:3:12:", "lacks 'name'"]),
        ("[exports.users]\ntable='u'\norder = 'id'", ["f:3:1:", "'key' or 'none'", "'id'"]),
        ("[exports.users]\ntable='u'\ndeadline_seconds = '9'", ["f:3:1:", "a number, not text"]),
        ("[exports.users]\ntable='u'\ndeadline_seconds = 0", ["f:3:1:", "greater than 0"]),
        ("[exports.users]\ntable='u'\ndeadline_seconds = inf", ["f:3:1:", "greater than 0"]),
        ("[exports.users]\ntable='u'\ndeadline_seconds = true", ["f:3:1:", "true or false"]),
        ("exports = 5", ["f:1:1:", "[exports.users]"]),
        ("[exports]\nusers = 5", ["f:2:1:", "must be a table"]),
        ("[exports.users]\ntable = ''", ["f:2:1:", "is empty"]),
        # What each key means.
        ("[exports.users]\ntitle='u'", ["f:1:10:", "give either table"]),
        ("[exports.users]\ntable='u'\nquery='SELECT 1'", ["f:1:10:", "not both"]),
        ("[exports.users]\nschema='u'\nquery='SELECT 1'", ["f:1:10:", "schema belongs"]),
        ("[exports.users]\ntable='a.b.c'", ["f:2:1:", "not a table name"]),
        ('[exports.users]\ntable="a\\u0000b"', ["f:2:1:", "NUL"]),
        ("[exports.users]\nquery='DROP TABLE users'", ["f:2:1:", "begins with 'DROP'"]),
        ("[exports.users]\ntable='u'\ncolumns=['a','b','a']", ["f:3:18:", "'a' is given twice"]),
        (
            "[exports.users]\ntable='u'\ncolumns=['a',{name='b',label='a'}]",
            ["f:3:14:", "label 'a' is given twice"],
        ),
        ("[exports.users]\ntable='u'\nkey=['a','a']", ["f:3:10:", "key column 'a'"]),
        ("[exports.Users]\ntable='u'", ["f:1:10:", "Export type name 'Users'"]),
        ("[exports.audit]\ntable='u'", ["f:1:10:", "'audit'"]),
        # Rights, filters and quotas.
        ("[exports.u]\ntable='u'\nrequires='a b'", ["f:3:1:", "one word"]),
        ("[exports.u]\ntable='u'\nrequires=5", ["f:3:1:", "a scope", "whole number"]),
        ("[exports.u]\ntable='u'\ncolumns=[{name='a',pii=1}]", ["f:3:20:", "true or false"]),
        ("[exports.u]\ntable='u'\nquota=0", ["f:3:1:", "at least 1"]),
        ("[exports.u]\ntable='u'\nquota=true", ["f:3:1:", "at least 1"]),
        ("[exports.u]\ntable='u'\nquota='none'", ["f:3:1:", '"unlimited"']),
        ("[exports.u]\ntable='u'\nscope=''", ["f:3:1:", "is empty"]),
        ("[exports.u]\ntable='u'\nscope='-- x'", ["f:3:1:", "scope is empty"]),
        ("[exports.u]\ntable='u'\nscope='a = 1; DROP'", ["f:3:1:", "one condition"]),
        ("[exports.u]\ntable='u'\nscope='a = 1) OR (1=1'", ["f:3:1:", "one condition"]),
        ("[exports.u]\ntable='u'\nscope='a = (1'", ["f:3:1:", "parenthesis open"]),
        ("[exports.u]\ntable='u'\nscope='a = $1'", ["f:3:1:", "$1"]),
        ("[exports.u]\ntable='u'\nscope='a = :principal.name'", ["f:3:1:", "':principal.name'"]),
        ("[exports.u]\ntable='u'\nscope='a = :principal'", ["f:3:1:", ":principal.tenant"]),
        ("[exports.u]\ntable='u'\nfilters=5", ["f:3:1:", "an array of names and tables"]),
        ("[exports.u]\ntable='u'\nfilters=['a','a']", ["f:3:14:", "filter 'a' is given twice"]),
        ("[exports.u]\ntable='u'\nfilters=[{name='a',typ='b'}]", ["f:3:20:", "mean 'type'?"]),
        ("[exports.u]\ntable='u'\nfilters=[{name='a',type='int'}]", ["f:3:20:", "'integer'"]),
        (
            "[exports.u]\ntable='u'\nfilters=[{name='a',type='uuid',operators=['lt']}]",
            ["f:3:10:", "operator 'lt'", "eq, ne, in, is_null"],
        ),
        (
            "[exports.u]\ntable='u'\nfilters=[{name='a',type='date',values=['b']}]",
            ["f:3:10:", "type 'text'"],
        ),
    ],
)
def test_problem_is_reported_with_its_place_and_remedy(text: str, says: list[str]) -> None:
    with pytest.raises(CatalogFileError) as caught:
        parse_catalog(text, name="f")
    assert len(caught.value.problems) == 1
    for part in says:
        assert part in str(caught.value)


def test_all_problems_of_a_file_are_reported_in_its_order() -> None:
    with pytest.raises(CatalogFileError) as caught:
        parse_catalog(
            "colour = 1\n[exports.Users]\ntable = 'a.b.c'\n[exports.b]\ntable = 5\nkey = 5\n"
            "[exports.c]\nquery = 'SELECT 1; SELECT 2'\n"
        )
    lines = [problem.position.line for problem in caught.value.problems if problem.position]
    assert lines == [1, 2, 3, 5, 6, 8]
    assert str(caught.value).startswith("waybill.toml has 6 problems:\n  waybill.toml:1:1: ")


def test_missing_file_names_the_command_that_writes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="waybill init --dsn"):
        load_catalog(tmp_path / "waybill.toml")


def test_directory_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_catalog(tmp_path)


def test_file_in_another_encoding_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "waybill.toml"
    file.write_bytes(b"[exports.users]\ntitle = 'Gr\xfc\xdfe'\n")
    with pytest.raises(CatalogFileError, match=r"toml:2:12: not UTF-8 \(byte 0xFC\).*Save as"):
        load_catalog(file)


NOTEPADS = '# Grüße 🙂\r\n[exports.users]\r\ntable = "users"\r\ntitle = "Grüße"\r\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_file_saved_by_notepad_as_utf_8_loads(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "waybill.toml"
    file.write_bytes(NOTEPADS.encode(encoding))

    assert load_catalog(file)["users"].title == "Grüße"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_file_saved_as_utf_16_is_refused_with_what_to_do(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "waybill.toml"
    bom = "\ufeff" if encoding.endswith("e") else ""
    file.write_bytes((bom + NOTEPADS).encode(encoding))

    with pytest.raises(CatalogFileError, match=r"toml: not UTF-8 but UTF-16.*save it as UTF-8"):
        load_catalog(file)


def test_mistake_in_notepads_file_is_told_by_its_own_line_and_column(tmp_path: Path) -> None:
    file = tmp_path / "waybill.toml"
    file.write_bytes((NOTEPADS + 'key = "id\r\n').encode("utf-8-sig"))

    with pytest.raises(CatalogFileError, match=r"toml:5:10: not valid TOML"):
        load_catalog(file)


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "9" * 5000])
def test_absurd_file_is_refused_without_a_crash(text: str) -> None:
    with pytest.raises(CatalogFileError):
        parse_catalog(text)


def test_unknown_key_of_since_is_told_with_those_that_are_known() -> None:
    text = '[exports.users]\ntable = "users"\nsince = { column = "changed", pi = true }\n'
    with pytest.raises(CatalogFileError, match="did you mean 'pii'"):
        parse_catalog(text)


def test_json_schema_describes_every_form_an_editor_meets() -> None:
    schema = json.loads(json.dumps(catalog_json_schema()))
    export = schema["$defs"]["ExportTable"]
    assert export["additionalProperties"] is False
    assert set(export["properties"]) == {
        "table", "schema", "query", "key", "title", "columns", "order", "deadline_seconds",
        "requires", "scope", "filters", "since", "quota", "consistency",
        "requires_recent_login_seconds", "search_path", "max_running",
            "urgency", "polite", "source",
    }  # fmt: skip
    for lists in ("columns", "filters"):
        item = export["properties"][lists]["items"]
        assert {"type": "string"} in item["anyOf"]
    assert all(prop.get("description") for prop in export["properties"].values())
