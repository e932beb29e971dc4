"""Computed columns, as they are declared."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from waybill.catalog import Catalog, Column, ExportType, Filter, TableSource
from waybill.catalog.computed import Computed, load_functions
from waybill.catalog.toml import parse_catalog
from waybill.errors import ConfigurationError
from waybill.requests.request import ExportRequest

HEAD = '[exports.users]\ntable = "users"\nkey = "id"\n'
NAMES = '"id", { name = "first_name", pii = true }, { name = "last_name", pii = "names:read" }'


def full_name(row: dict[str, Any]) -> str:
    return f"{row['first_name']} {row['last_name']}"


async def later(row: dict[str, Any]) -> str:
    return ""


def users(computed: Computed, **said: Any) -> ExportType:
    columns = (
        Column("id"),
        Column("first_name", pii="exports:pii"),
        Column("nick", pii="names:read"),
        Column("city"),
        Column("made", computed=computed),
    )
    return ExportType(
        "users", TableSource("public", "users"), **({"key": ("id",), "columns": columns} | said)
    )


def test_file_declares_what_python_computes() -> None:
    catalog = parse_catalog(
        HEAD + 'columns = ["id", { name = "n", label = "N", compute = "shop.exports:n", '
        'reads = ["first_name", "last_name"], type = "integer", pii = false }]\n'
    )
    column = catalog["users"].columns[1]
    assert column == Column(
        "n", "N", "", Computed("shop.exports:n", ("first_name", "last_name"), "integer", "")
    )
    assert column.reads == ("first_name", "last_name")
    assert Column("id").reads == ("id",)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('compute = "shop:n"', "names in reads the columns"),
        ('compute = "shop:n", reads = []', "names in reads the columns"),
        ('compute = "shop.n", reads = ["a"]', "no import string"),
        ('compute = "shop:n", reads = ["a", "a"]', "once each"),
        ('compute = "shop:n", reads = ["a"], type = "uuid"', "must be 'text'"),
        ('compute = "shop:n", reads = "a"', "an array of column names"),
        ('reads = ["a"]', "belong to a column with compute"),
        ('type = "text"', "belong to a column with compute"),
        ('compute = "shop:n", reads = ["n"]', "which is computed in Python"),
        ('compute = "shop:n", read = ["a"]', "did you mean 'reads'"),
    ],
)
def test_file_says_what_is_wrong_with_one(entry: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        parse_catalog(HEAD + 'columns = ["id", { name = "n", ' + entry + " }]\n")


@pytest.mark.parametrize(
    "said",
    [
        {"key": ("made",)},
        {"since": "made"},
        {"filters": (Filter("made", "text"),)},
        {"filters": (Filter("who", "text", column="made"),)},
    ],
)
def test_rows_are_neither_chosen_nor_ordered_by_it(said: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="'made', which is computed in Python"):
        users(Computed(full_name, ("city",)), **said)


@pytest.mark.parametrize(
    ("reads", "pii", "scope"),
    [
        (("city",), None, ""),
        (("first_name",), None, "exports:pii"),
        (("city", "nick"), None, "names:read"),
        (("left_out",), None, "exports:pii"),  # nobody looked at it
        (("first_name", "nick"), "all:read", "all:read"),
        (("first_name",), "", ""),
    ],
)
def test_it_needs_what_its_columns_need(
    reads: tuple[str, ...], pii: str | None, scope: str
) -> None:
    kind = users(Computed(full_name, reads, pii=pii))
    assert kind.scope_of_column("made") == scope
    needs = ExportRequest("users", "csv", columns=(Column("made"),)).needs(kind)
    assert {need.scope for need in needs} == ({scope} if scope else set())


def test_it_says_itself_where_its_columns_need_several_scopes() -> None:
    with pytest.raises(ConfigurationError, match=r"several scopes \(exports:pii, names:read\)"):
        users(Computed(full_name, ("first_name", "nick")))
    with pytest.raises(ConfigurationError, match="Say which with pii"):
        parse_catalog(
            HEAD + f'columns = [{NAMES}, {{ name = "n", compute = "shop:n", '
            'reads = ["first_name", "last_name"] }]\n'
        )


def test_chosen_and_renamed_it_is_computed_still() -> None:
    how = Computed(full_name, ("city",))
    (made, city) = users(how).select([Column("made", "Who"), "city"])
    assert (made.computed, made.header, city.computed) == (how, "Who", None)


def test_function_is_found_or_named_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop_broken_on_import.py").write_text("import waybill\n1 / 0\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    cases: tuple[tuple[Any, str], ...] = (
        ("no_such_shop:n", "there is no module 'no_such_shop'"),
        (f"{__name__}:ful_name", "Did you mean 'full_name'"),
        (f"{__name__}:HEAD", "cannot be called with a row"),
        ("shop_broken_on_import:n", "its module raises ZeroDivisionError"),
        (f"{__name__}:later", "is async"),
        (lambda: "", "cannot be called with a row"),
    )
    for function, said in cases:
        with pytest.raises(ConfigurationError, match=said) as caught:
            load_functions(users(Computed(function, ("city",))))
        assert "column 'made' of export type 'users'" in str(caught.value)

    load_functions(users(Computed(f"{__name__}:full_name", ("city",))))
    load_functions(users(Computed(full_name, ("city",))))
    assert Computed(full_name, ("city",)).spelt == f"{__name__}:full_name"


def test_whatever_can_be_called_computes() -> None:
    class Greeting(dict[str, str]):
        """Has no hash, as dicts have none."""

        def __call__(self, row: dict[str, Any]) -> str:
            return self["hello"]

    kind = users(Computed(Greeting(hello="Hello"), ("city",)))
    load_functions(kind)
    assert hash(kind) == hash(users(Computed(full_name, ("city",))))


def test_catalog_with_functions_that_are_not_there_is_a_catalog() -> None:
    # The API tells what there is to export; it need not have what workers have.
    assert Catalog([users(Computed("no_such_shop:n", ("city",)))])
