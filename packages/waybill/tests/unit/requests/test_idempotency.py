"""Idempotency keys as headers."""

import pytest

from waybill.errors import InvalidHeader
from waybill.requests.idempotency import read_key


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ('"8e03978e-40d5-43dd-bc93-6894a57f9324"', "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ("8e03978e-40d5", "8e03978e-40d5"),
        (' "a" ', "a"),
        ("a", "a"),
        (r'"a\"b\\c"', r'a"b\c'),
        ('"two words"', "two words"),
        ("k" * 255, "k" * 255),
    ],
)
def test_key_is_read_quoted_or_bare(header: str, key: str) -> None:
    assert read_key(header) == key


@pytest.mark.parametrize(
    "header",
    ["", " ", '""', "k" * 256, '"' + "k" * 256 + '"', 'a"b', '"a', "two words", "é", "a\x7f"],
)
def test_malformed_key_is_refused(header: str) -> None:
    with pytest.raises(InvalidHeader, match="1 to 255"):
        read_key(header)
