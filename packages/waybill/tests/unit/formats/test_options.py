from __future__ import annotations

import pytest

from waybill.errors import InvalidOption, UnknownFormat
from waybill.formats import read_options


def test_csv_defaults_are_those_of_rfc_4180() -> None:
    defaults = read_options("csv", {}).model_dump()

    assert (defaults["delimiter"], defaults["header"], defaults["line_terminator"]) == (
        ",",
        True,
        "crlf",
    )
    assert (defaults["bom"], defaults["null_text"]) == (False, "")


@pytest.mark.parametrize(
    ("raw", "option"),
    [
        ({"delimiter": ":"}, "delimiter"),
        ({"delimiter": ",,"}, "delimiter"),
        ({"null_text": 'a"b'}, "null_text"),
        ({"null_text": "a\nb"}, "null_text"),
        ({"null_text": "a\0b"}, "null_text"),
        ({"null_text": ";", "delimiter": ";"}, "null_text"),
        ({"null_text": "x" * 33}, "null_text"),
        ({"line_terminator": "cr"}, "line_terminator"),
        ({"header": "perhaps"}, "header"),
    ],
)
def test_csv_option_that_does_not_hold_is_named(raw: dict[str, object], option: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        read_options("csv", raw)

    assert caught.value.option == option


def test_refusal_does_not_repeat_the_value() -> None:
    with pytest.raises(InvalidOption) as caught:
        read_options("csv", {"delimiter": "<script>"})

    assert "<script>" not in str(caught.value)


def test_unknown_format_lists_the_known() -> None:
    with pytest.raises(UnknownFormat, match="csv, json, ndjson"):
        read_options("xml", {})
