from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adrkit.document import Document
from adrkit.errors import InvalidInput
from adrkit.index import BEGIN, END, IndexMarkersInvalid, index_table, with_index, with_markers
from adrkit.record import Record
from adrkit.testing import house

BASE = Path("docs/adr")


def record(number: int, text: str) -> Record:
    return Record.from_text(text, BASE / f"{number:04d}-a b.md")


def test_table_links_records_and_successors() -> None:
    table = index_table(
        [
            record(1, house(1, "Use Queues", "Superseded by ADR-0002")),
            record(2, house(2, "Use Logs", "Accepted")),
        ],
        BASE,
    )
    assert table == [
        "| Number | Title | Status | Date |",
        "| --- | --- | --- | --- |",
        "| [ADR-0001](0001-a%20b.md) | Use Queues | "
        "Superseded by [ADR-0002](0002-a%20b.md) | 2026-01-31 |",
        "| [ADR-0002](0002-a%20b.md) | Use Logs | Accepted | 2026-01-31 |",
    ]


def test_links_are_relative_to_the_file_that_holds_the_table() -> None:
    assert "[ADR-0001](docs/adr/0001-a%20b.md)" in index_table([record(1, house(1))], Path())[2]


def test_markup_in_a_title_is_shown_and_not_obeyed() -> None:
    text = house(1, r"a | b <script> [x](javascript:1) `c` & d")
    row = index_table([record(1, text)], BASE, ["title"])[2]
    assert "<script>" not in row
    assert row.count("|") - row.count("\\|") == 2
    assert "\\|" in row


def test_unknown_column_is_refused() -> None:
    with pytest.raises(InvalidInput):
        index_table([], BASE, ["author"])


MARKED = f"before\n\n{BEGIN}\nold\n{END}\nafter"


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="`~<>"), max_size=40),
    st.text(st.characters(codec="utf-8", exclude_characters="`~<>"), max_size=40),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_every_byte_outside_of_the_markers_stays(
    before: str, after: str, eol: str, bom: bool
) -> None:
    head = (b"\xef\xbb\xbf" if bom else b"") + f"{before}{eol}{eol}{BEGIN}{eol}".encode()
    tail = f"{END}{eol}{after}".encode()
    document = Document.from_bytes(head + b"old" + eol.encode() + tail)
    written = with_index(document, ["| a |"]).to_bytes()
    assert written.startswith(head)
    assert written.endswith(tail)
    inner = written[len(head) : len(written) - len(tail)]
    assert b"| a |" in inner
    assert b"old" not in inner
    assert inner.count(b"\n") == inner.count(eol.encode())
    assert with_index(Document.from_bytes(written), ["| a |"]).to_bytes() == written


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("no markers", None),
        (f"{BEGIN}\n", 1),
        (f"\n{END}\n", 2),
        (f"{END}\n{BEGIN}\n", 1),
        (f"{MARKED}\n{BEGIN}\n", 7),
        (f"```\n{BEGIN}\n{END}\n```\n", None),
        (f"write {BEGIN} and {END} into it", None),
    ],
)
def test_unclear_markers_are_refused_with_their_line(text: str, line: int | None) -> None:
    with pytest.raises(IndexMarkersInvalid) as caught:
        with_index(Document.from_text(text), [])
    assert caught.value.line == line


def test_markers_are_added_at_the_end() -> None:
    assert with_markers(Document.from_text("a")).text == f"a\n\n{BEGIN}\n{END}\n"
