"""What a program chose is kept as it was, and its text is one SELECT whatever the values are."""

from __future__ import annotations

import datetime as dt
import json
import math
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from waybill.catalog import ExportType, Filter, Selection, TableSource
from waybill.catalog.filters import STORED_AS
from waybill.catalog.selection import MAX_CHARACTERS, MAX_VALUES, JsonText, split_placeholders
from waybill.catalog.where import where_clause
from waybill.errors import ConfigurationError, InvalidOption, UnknownFilter, ValuesForgotten
from waybill.jobs.forgetting import without_values
from waybill.requests.request import ExportRequest

VALUES: tuple[Any, ...] = (
    None, "it's 100% \\ \" $1 :x", True, False, -5, 2**70, 1.5, -0.0, Decimal("1.50"),
    dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC), dt.datetime(2026, 1, 2),  # noqa: DTZ001
    dt.date(2026, 1, 2), dt.time(23, 59, 59, 1), dt.timedelta(days=-1, microseconds=1),
    UUID(int=7), ("a", "b"), (1, 2),
    JsonText('{"a?": "\\u00e9"}'), (JsonText("1"), JsonText("null")),
)  # fmt: skip
ORDERS = ExportType("orders", TableSource("public", "orders"), key=("id",))


def selection(*texts: str, values: tuple[Any, ...] = ()) -> Selection:
    return Selection(texts, values, ("id",))


def test_selection_is_kept_as_it_was() -> None:
    chosen = Selection(
        ("SELECT id FROM t WHERE (x IN (", *([","] * (len(VALUES) - 1)), "))"),
        VALUES, ("id",), ("total",), ("exports:pii",),
    )  # fmt: skip
    kept = Selection.from_json(json.loads(json.dumps(chosen.to_json())))
    assert kept == chosen
    assert [type(value) for value in kept.values] == [type(value) for value in VALUES]
    request = ExportRequest("orders", selection=chosen)
    assert ExportRequest.from_job("orders", "csv", request.options_json()) == request


@pytest.mark.parametrize(
    "texts",
    [
        ("DELETE FROM t",),
        ("SELECT 1; SELECT 2",),
        ("SELECT 1;",),
        ("SELECT 1) OR (1=1",),
        ("SELECT id FROM t WHERE (x = ", ")) OR ((true"),
        ("SELECT id FROM t WHERE x = '", "'"),
        ("SELECT id FROM t -- ", ""),
        ("SELECT id FROM t /* ", " */ WHERE true"),
        ("SELECT id FROM t WHERE x = $1",),
        ("SELECT id FROM t WHERE x = $$a$$",),
        ('SELECT id FROM t WHERE a = "a value of waybill\'s"',),
        ('SELECT id FROM t WHERE a = "b"', ""),
        ("",),
        ("SELECT id FROM t", "x", "y"),
    ],
)
def test_text_that_is_not_one_plain_select_is_refused(texts: tuple[str, ...]) -> None:
    values = (1,) if len(texts) == 2 else ()
    with pytest.raises(InvalidOption):
        selection(*texts, values=values)


@pytest.mark.parametrize(
    "value", [b"x", {}, object(), "a\0b", "\ud800", math.inf, math.nan, Decimal("NaN"), ("a", b"x")]
)
def test_value_that_cannot_be_kept_is_refused(value: Any) -> None:
    with pytest.raises(InvalidOption):
        selection("SELECT id FROM t WHERE x = ", "", values=(value,))


def test_size_is_bounded() -> None:
    many = ("SELECT id FROM t WHERE x IN (", *([","] * MAX_VALUES), ")")
    with pytest.raises(InvalidOption, match="instead of listing"):
        selection(*many, values=(1,) * (MAX_VALUES + 1))
    with pytest.raises(InvalidOption, match="longer"):
        selection("SELECT " + "a" * MAX_CHARACTERS)


def test_placeholders_are_told_from_percent_signs() -> None:
    assert split_placeholders("a %s b '100%%' %s") == ("a ", " b '100%' ", "")
    assert split_placeholders("%%s") == ("%s",)
    for wrong in ("a % b", "a %", "%(x)s"):
        with pytest.raises(InvalidOption):
            split_placeholders(wrong)


def test_selection_narrows_beside_everything_else() -> None:
    chosen = selection("SELECT id FROM t WHERE x = ", " OR true", values=("'; --",))
    where = where_clause(selection=chosen)
    assert where is not None
    assert where.as_string() == (
        "EXISTS (SELECT FROM (SELECT id FROM t WHERE x = '''; --' OR true) AS \"waybill_chosen\" "
        '("key_0") WHERE "waybill_source"."id" OPERATOR("pg_catalog".=) "waybill_chosen"."key_0")'
    )


def test_selection_by_another_key_than_the_types_is_refused() -> None:
    request = ExportRequest("orders", selection=selection("SELECT id FROM t"))
    assert request.canonical(ORDERS).selection == request.selection
    changed = replace(ORDERS, key=("number",))
    with pytest.raises(InvalidOption, match="the key of 'orders' is number"):
        request.canonical(changed)
    with pytest.raises(InvalidOption, match="the key of 'orders' is number"):
        request.where(changed, {})


def test_nobody_sends_one() -> None:
    sent = ExportRequest("orders", filters={STORED_AS: selection("SELECT id FROM t").to_json()})
    with pytest.raises(UnknownFilter):
        sent.canonical(ORDERS)
    with pytest.raises(ConfigurationError, match="rename"):
        Filter(STORED_AS)


def test_selection_is_forgotten_with_the_values_of_filters() -> None:
    chosen = selection("SELECT id FROM t WHERE email = ", "", values=("ann@example.org",))
    forgotten = without_values(ExportRequest("orders", selection=chosen).options_json())
    assert "ann" not in json.dumps(forgotten)
    request = ExportRequest.from_job("orders", "csv", forgotten)
    assert request.selection is None
    with pytest.raises(ValuesForgotten):
        request.where(ORDERS, {})
