"""Halves of surrogate pairs: found wherever JSON escapes one, never where text only looks so."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from waybill.formats.half_pairs import as_texts, holds_half_a_pair

_TEXT = st.text(st.one_of(st.sampled_from('\\"ud8DcC0\ud83d\ude00'), st.characters()), max_size=12)
_JSON = st.recursive(
    st.one_of(_TEXT, st.none(), st.booleans(), st.integers()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_TEXT, inner, max_size=3)),
    max_leaves=6,
)


def _has_half(text: str) -> bool:
    return any(
        0xD800 <= ord(ch) < 0xE000 for ch in json.dumps(json.loads(text), ensure_ascii=False)
    )


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        (r'"\ud800"', True),
        (r'"\uDFFF"', True),
        (r'{"\udc00": 1}', True),
        (r'"\ude00\ud83d"', True),
        (r'"\ud83d\ud83d\ude00"', True),
        (r'"\ud83dx\ude00"', True),
        (r'"\ud83d\ude00"', False),
        (r'"\uD83D\uDE00"', False),
        (r'"\\ud800"', False),
        (r'"\\\ud800"', True),
        (r'"\u00e9 ud800"', False),
    ],
)
def test_half_a_pair_is_found(text: str, holds: bool) -> None:
    assert holds_half_a_pair(text.encode()) is holds


@given(st.dictionaries(st.text(max_size=5), _JSON, min_size=1, max_size=4))
@example({"a": {"b": ["\ud800", ","]}, "c": "}"})
@example({"": "\ud800", "b": "\udc00"})
def test_members_with_half_a_pair_become_texts_and_no_other(row: dict[str, object]) -> None:
    # Names are PostgreSQL's, so they hold none; values are escaped as json keeps them.
    members = [(name, json.dumps(value)) for name, value in row.items()]
    line = "{" + ",".join(f"{json.dumps(n, ensure_ascii=False)}:{v}" for n, v in members) + "}"

    read = json.loads(as_texts(line.encode()))

    assert list(read) == list(row)
    for name, value in members:
        assert read[name] == (value if _has_half(value) else json.loads(value))
