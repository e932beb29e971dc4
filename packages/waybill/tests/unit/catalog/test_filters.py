"""Filters: values are read by type, and everything else is refused before it is stored."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.catalog.filters import (
    FILTER_TYPES,
    MAX_IN_VALUES,
    OPERATORS,
    Filter,
    FilterType,
    filters_json,
    operators_of,
    read_filters,
)
from waybill.errors import InvalidFilter, UnknownFilter

U = "1f0c2a9b-7c1e-4d53-9a52-0f6b1f6f2c11"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("filter_type", "given_value", "read"),
    [
        ("text", "O'Brien; DROP TABLE users --", "O'Brien; DROP TABLE users --"),
        ("text", "", ""),
        ("integer", 5, 5),
        ("integer", -(2**63), -(2**63)),
        ("number", 0.1, Decimal("0.1")),
        ("number", "12.50", Decimal("12.5")),
        ("number", "-0", Decimal(0)),
        ("number", "1e3", Decimal("1E+3")),
        ("boolean", False, False),
        ("date", "2026-02-28", date(2026, 2, 28)),
        ("timestamp", "2026-05-01T12:00:00", datetime(2026, 5, 1, 12)),  # noqa: DTZ001
        ("timestamptz", "2026-05-01T12:00:00+02:00", datetime(2026, 5, 1, 10, tzinfo=UTC)),
        ("timestamptz", "2026-05-01T12:00Z", datetime(2026, 5, 1, 12, tzinfo=UTC)),
        ("uuid", U.upper(), UUID(U)),
    ],
)
def test_value_of_the_type_is_read(
    filter_type: FilterType, given_value: object, read: object
) -> None:
    (condition,) = Filter("f", filter_type).read({"eq": given_value})
    assert condition.value == read
    assert type(condition.value) is type(read)


@pytest.mark.parametrize(
    ("filter_type", "value"),
    [
        ("text", 5),
        ("text", None),
        ("text", "a" * 1_001),
        ("text", "a\0b"),
        ("text", "\ud800"),
        ("text", ["a"]),
        ("integer", "5"),
        ("integer", 5.0),
        ("integer", True),
        ("integer", 2**63),
        ("integer", "5 OR 1=1"),
        ("number", "NaN"),
        ("number", float("inf")),
        ("number", float("nan")),
        ("number", True),
        ("number", "1" * 61),
        ("number", "1e999"),
        ("number", "0x10"),
        ("number", "1_000"),
        ("number", "١"),
        ("boolean", "true"),
        ("boolean", 1),
        ("date", "2026-02-30"),
        ("date", "2026-02-28T00:00:00"),
        ("date", "20260228"),
        ("date", "infinity"),
        ("timestamp", "2026-05-01T12:00:00Z"),
        ("timestamptz", "2026-05-01T12:00:00"),
        ("timestamptz", "now"),
        ("timestamptz", "0001-01-01T00:00:00+14:00"),
        ("timestamptz", 1_700_000_000),
        ("uuid", "1f0c2a9b7c1e4d539a520f6b1f6f2c11"),
        ("uuid", "{" + U + "}"),
    ],
)
def test_value_of_another_type_is_refused(filter_type: FilterType, value: object) -> None:
    with pytest.raises(InvalidFilter, match="each value must be"):
        Filter("f", filter_type).read({"eq": value})


@pytest.mark.parametrize(
    ("comparisons", "says"),
    [
        ({}, "give an operator"),
        ({"like": "a"}, "no such operator"),
        ({"in": "abc"}, "an array"),
        ({"in": []}, "at least one"),
        ({"in": ["a"] * (MAX_IN_VALUES + 1)}, "at most 1,000"),
        ({"in": [["a"]]}, "each value"),
        ({"is_null": "yes"}, "true or false"),
        ({"eq": {"$ne": ""}}, "each value"),
    ],
)
def test_misused_operator_is_refused(comparisons: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidFilter, match=says):
        Filter("f").read(comparisons)


def test_only_declared_operators_and_values_are_taken() -> None:
    status = Filter("status", operators=("eq", "in"), values=("active", "blocked"))
    assert status.read({"in": ["blocked", "active", "active"]})[0].value == ("active", "blocked")
    with pytest.raises(InvalidFilter, match="it takes only: active, blocked"):
        status.read({"eq": "deleted"})
    with pytest.raises(InvalidFilter, match="it has: eq, in"):
        status.read({"prefix": "a"})


def test_unknown_filter_names_the_known_ones() -> None:
    with pytest.raises(UnknownFilter, match="Known: country, age") as caught:
        read_filters([Filter("country"), Filter("age", "integer")], {"id": {"eq": 1}}, "users")
    assert caught.value.known == ("country", "age")


def test_equal_filters_in_other_words_are_the_same_request() -> None:
    declared = [Filter("n", "number"), Filter("at", "timestamptz"), Filter("c")]
    first = read_filters(
        declared,
        {
            "c": {"in": ["b", "a"], "is_null": False},
            "n": {"eq": 1.50},
            "at": {"eq": "2026-05-01T12:00:00+02:00"},
        },
        "t",
    )
    second = read_filters(
        declared,
        {
            "at": {"eq": "2026-05-01T10:00:00Z"},
            "n": {"eq": "1.5"},
            "c": {"is_null": False, "in": ["a", "b", "a"]},
        },
        "t",
    )
    assert json.dumps(filters_json(first)) == json.dumps(filters_json(second))


@given(st.sampled_from(FILTER_TYPES), st.sampled_from(OPERATORS), json_values)
def test_any_json_is_read_or_refused_and_what_is_read_reads_back(
    filter_type: FilterType, operator: str, value: object
) -> None:
    each = Filter("f", filter_type)
    try:
        conditions = each.read({operator: value})
    except InvalidFilter:
        return
    assert operator in operators_of(filter_type)
    stored = json.loads(json.dumps(filters_json(conditions)))
    assert read_filters([each], stored, "t") == conditions
