"""Ranges and conditions, by RFC 9110."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.api.conditions import Answer, RangeNotSatisfiable, parse_range, select

ETAG = '"abc"'
SIZE = 1000


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-", (0, SIZE)),
        ("bytes=999-", (999, SIZE)),
        ("bytes=10-19", (10, 20)),
        ("bytes=10-99999", (10, SIZE)),
        ("bytes=-10", (990, SIZE)),
        ("bytes=-99999", (0, SIZE)),
        ("Bytes=10-19", (10, 20)),
        ("bytes = 10 - 19", (10, 20)),
    ],
)
def test_single_range_is_read(header: str, expected: tuple[int, int]) -> None:
    assert parse_range(header, SIZE) == expected


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=20-10",
        "bytes=0-1,5-6",
        "rows=0-1",
        "bytes=0-1;",
        "bytes=١-٢",
        "bytes=-" + "9" * 5000,
        "bytes=" + "9" * 5000 + "-",
    ],
)
def test_range_that_is_none_of_ours_is_answered_whole(header: str | None) -> None:
    assert parse_range(header, SIZE) is None


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-1001", "bytes=-0"])
def test_range_outside_the_file_is_not_satisfiable(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_range(header, SIZE)


@given(st.text(max_size=40), st.integers(0, 10))
def test_any_range_header_gives_bytes_of_the_file_or_none(header: str, size: int) -> None:
    try:
        found = parse_range(header, size)
    except RangeNotSatisfiable:
        return
    assert found is None or 0 <= found[0] < found[1] <= size


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 50))
def test_range_selects_what_a_slice_does(first: int, last: int, size: int) -> None:
    data = bytes(range(size))
    try:
        found = parse_range(f"bytes={first}-{last}", size)
    except RangeNotSatisfiable:
        assert first >= size
        return
    if found is None:
        assert last < first
    else:
        assert data[slice(*found)] == data[first : last + 1]


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ({}, Answer.WHOLE),
        ({"range": "bytes=0-9"}, Answer.PART),
        ({"range": "bytes=0-9", "if-range": ETAG}, Answer.PART),
        ({"range": "bytes=0-9", "if-range": '"other"'}, Answer.WHOLE),
        ({"range": "bytes=0-9", "if-range": f"W/{ETAG}"}, Answer.WHOLE),
        ({"range": "bytes=0-9", "if-range": "Tue, 24 Nov 2026 00:00:00 GMT"}, Answer.WHOLE),
        ({"range": "bytes=5000-"}, Answer.RANGE_NOT_SATISFIABLE),
        ({"range": "bytes=5000-", "if-range": '"other"'}, Answer.WHOLE),
        ({"if-none-match": ETAG}, Answer.NOT_MODIFIED),
        ({"if-none-match": f'"x", W/{ETAG}'}, Answer.NOT_MODIFIED),
        ({"if-none-match": "*"}, Answer.NOT_MODIFIED),
        ({"if-none-match": '"other"'}, Answer.WHOLE),
        ({"if-none-match": ETAG, "range": "bytes=0-9"}, Answer.NOT_MODIFIED),
        ({"if-match": ETAG}, Answer.WHOLE),
        ({"if-match": "*"}, Answer.WHOLE),
        ({"if-match": f"W/{ETAG}"}, Answer.PRECONDITION_FAILED),
        ({"if-match": '"other"', "if-none-match": ETAG}, Answer.PRECONDITION_FAILED),
    ],
)
def test_conditions_decide_in_the_order_of_the_rfc(headers: dict[str, str], answer: Answer) -> None:
    assert select(headers, method="GET", etag=ETAG, size=SIZE).answer is answer


def test_head_has_no_range() -> None:
    found = select({"range": "bytes=0-9"}, method="HEAD", etag=ETAG, size=SIZE)
    assert found.answer is Answer.WHOLE
