"""What people type after `waybill export`, and what the API is asked."""

from __future__ import annotations

from typing import Any

import pytest

from waybill.cli.export_options import read_columns, read_filters, read_options
from waybill.errors import ConfigurationError


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("country=DE", {"country": {"eq": "DE"}}),
        ("age.gte=18", {"age": {"gte": 18}}),
        ("age.gte=-3", {"age": {"gte": -3}}),
        ("spent.lt=0.10", {"spent": {"lt": "0.10"}}),
        ("zip=04109", {"zip": {"eq": "04109"}}),
        ('zip="12345"', {"zip": {"eq": "12345"}}),
        ("active=true", {"active": {"eq": True}}),
        ("left_at.is_null=false", {"left_at": {"is_null": False}}),
        ("country.in=DE,FR", {"country": {"in": ["DE", "FR"]}}),
        ("id.in=1,2", {"id": {"in": [1, 2]}}),
        ('name.in=["a,b", "c"]', {"name": {"in": ["a,b", "c"]}}),
        ("name.prefix=x=y", {"name": {"prefix": "x=y"}}),
        ("a.b=1", {"a.b": {"eq": 1}}),
        ("name=", {"name": {"eq": ""}}),
    ],
)
def test_filter_is_read(typed: str, asked: dict[str, Any]) -> None:
    assert read_filters([typed]) == asked


def test_several_comparisons_of_one_filter_go_together() -> None:
    assert read_filters(["age.gte=18", "age.lt=65"]) == {"age": {"gte": 18, "lt": 65}}


@pytest.mark.parametrize(
    "typed", [["age"], ["=1"], ["age.gte"], ["a.in=[1"], ["a=1", "a.eq=2"], ['a="x']]
)
def test_filter_that_is_none_is_refused_with_how_it_looks(typed: list[str]) -> None:
    with pytest.raises(ConfigurationError):
        read_filters(typed)


def test_columns_are_chosen_and_renamed() -> None:
    assert read_columns(["id", "email=E-mail=x"]) == ["id", ("email", "E-mail=x")]
    assert read_columns([]) is None
    for bad in ("", "=x", "email="):
        with pytest.raises(ConfigurationError, match="NAME=HEADER"):
            read_columns([bad])


def test_options_of_the_format_are_read() -> None:
    assert read_options(["bom=true", "delimiter==", "null_text=", "n=5", 'l=["a"]']) == {
        "n": 5,
        "l": ["a"],
        "bom": True,
        "delimiter": "=",
        "null_text": "",
    }
    with pytest.raises(ConfigurationError, match="NAME=VALUE"):
        read_options(["bom"])
