"""Positions in a TOML document, held against what tomllib reads from it."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.catalog.locate import Path, Position, locate
from waybill.catalog.render import toml_string

DOCUMENT = '''\
# a comment with = and [brackets] and "quotes
title = "a # not a comment"
"quoted key".'dotted'. bare = 1

[exports.users] # trailing
table = 'C:\\path'
query = """
[not.a.header]
x = "y" and \\""" and ""
"""
columns = [ # items
  "id",
  { name = "email", label = "E-mail" },
  ["nested", [1, 2]],
]
when = 2024-02-29T12:00:00Z
[[exports.orders.columns]]
name = "one"
[[exports.orders.columns]]
name = "two"
[exports.orders.columns.extra]
deep = true
'''


def _paths(value: Any, path: Path = ()) -> dict[Path, Any]:
    found: dict[Path, Any] = {path: value} if path else {}
    if isinstance(value, dict):
        for key, item in value.items():
            found |= _paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found |= _paths(item, (*path, index))
    return found


def test_every_value_has_a_position_and_nothing_else() -> None:
    assert locate(DOCUMENT).keys() == _paths(tomllib.loads(DOCUMENT)).keys()


@pytest.mark.parametrize(
    ("path", "position"),
    [
        (("title",), Position(2, 1)),
        (("quoted key",), Position(3, 1)),
        (("quoted key", "dotted", "bare"), Position(3, 24)),
        (("exports",), Position(5, 2)),
        (("exports", "users"), Position(5, 10)),
        (("exports", "users", "query"), Position(7, 1)),
        (("exports", "users", "columns", 0), Position(12, 3)),
        (("exports", "users", "columns", 1, "label"), Position(13, 21)),
        (("exports", "users", "columns", 2, 1, 1), Position(14, 18)),
        (("exports", "orders", "columns", 1), Position(19, 1)),
        (("exports", "orders", "columns", 1, "name"), Position(20, 1)),
        (("exports", "orders", "columns", 1, "extra", "deep"), Position(22, 1)),
    ],
)
def test_position_is_where_the_key_stands(path: Path, position: Position) -> None:
    assert locate(DOCUMENT)[path] == position


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def _multiline(text: str) -> str:
    return '"""\n' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r") + '"""'


def _safe(text: str) -> bool:
    return all(ch == "\n" or (ch >= " " and ch != "\x7f") for ch in text)


written_values: st.SearchStrategy[str] = st.recursive(
    st.one_of(
        texts.map(toml_string),
        texts.filter(_safe).map(_multiline),
        st.sampled_from(
            [
                "1",
                "-0.5",
                "true",
                "inf",
                "1979-05-27 07:32:00",
                "'lit\\eral # ='",
                "''",
                '""',
                "''''two''''",
                '""""quoted""""',
                "0xff",
            ]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[ # c\n" + ",\n".join(items) + "\n]"),
        st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]"),
        st.dictionaries(texts, inner, max_size=3).map(
            lambda items: "{ " + ", ".join(f"{toml_string(k)}={v}" for k, v in items.items()) + " }"
        ),
    ),
    max_leaves=8,
)


@given(st.dictionaries(texts, st.dictionaries(texts, written_values, max_size=3), max_size=3))
def test_any_document_is_located_completely(tables: dict[str, dict[str, str]]) -> None:
    text = "".join(
        f"[ {toml_string(name)} ]  # table\n"
        + "".join(f"{toml_string(key)} = {value} # end\n" for key, value in pairs.items())
        for name, pairs in tables.items()
    )
    document = tomllib.loads(text)
    positions = locate(text)
    lines = text.split("\n")
    assert positions.keys() == _paths(document).keys()
    for path, (line, column) in positions.items():
        if isinstance(path[-1], str):
            assert lines[line - 1][column - 1 :].startswith(toml_string(path[-1]))
