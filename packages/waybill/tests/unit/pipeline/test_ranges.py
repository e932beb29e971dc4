"""Ranges apart from a server: how large pieces are, and that a key is found by its own text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from waybill.catalog.comparisons import BUILTIN, KeyComparisons
from waybill.catalog.model import ExportType, TableSource
from waybill.formats.plan import ExportPlan
from waybill.pipeline.keyset import KeyLookup
from waybill.pipeline.ranges import Range, pieces_of
from waybill.source.copy_chunk import CopyChunk

KIB = 1024


class Encoding:
    """Writes rows as they come, and remembers whether any came before."""

    statement = None
    rows = 0
    after = 0

    def header(self) -> bytes:
        return b""

    footer = header

    def encode(self, chunk: CopyChunk) -> bytes:
        return chunk.data

    def resume_after(self, rows: int) -> None:
        self.after = rows


def taken(encoding: Any, *, is_first: bool = False) -> Range:
    encoder: Any = SimpleNamespace(open=lambda _: encoding)
    export_type = ExportType("t", TableSource("public", "t"), key=("id",))
    plan: Any = ExportPlan(export_type, (), encoder, None)  # type: ignore[arg-type]
    return Range(plan, is_first, None)


@pytest.mark.parametrize(
    ("chunks", "rows"),
    [
        ([(400, 4)] * 5, [800, 800, 400]),  # 1,000 rows at most
        ([(1_000, 1)] * 2, [1_000, 1_000]),
        (
            [(1, 200 * KIB)] * 5,
            [2, 2, 1],
        ),  # enough is enough: 256 KiB and what it takes to get there
        ([(1, 256 * KIB)] * 2, [1, 1]),
        ([(1, 256 * KIB - 1)] * 5, [2, 2, 1]),
        ([], []),
    ],
)
def test_pieces_of_a_range_are_bounded_and_no_smaller_than_they_must_be(
    chunks: list[tuple[int, int]], rows: list[int]
) -> None:
    made = [CopyChunk([b"x" * size] + [b""] * (count - 1)) for count, size in chunks]
    snapshot: Any = SimpleNamespace(copy=lambda *_, **__: iter(made))
    pieces = list(pieces_of(taken(Encoding()), snapshot))
    assert [piece.rows for piece in pieces] == rows
    assert b"".join(bytes(piece.content) for piece in pieces) == b"".join(c.data for c in made)  # type: ignore[arg-type]


@pytest.mark.parametrize("is_first", [True, False])
def test_range_that_is_not_the_first_begins_in_the_midst_of_a_file(is_first: bool) -> None:
    encoding = Encoding()
    snapshot: Any = SimpleNamespace(copy=lambda *_, **__: iter([CopyChunk([b"x"])]))
    list(pieces_of(taken(encoding, is_first=is_first), snapshot))
    assert (encoding.after > 0) is not is_first


class Keys:
    """A source whose keys are the numbers of its rows, and its snapshot."""

    def __init__(self, rows: int, found_again: int = 1) -> None:
        self.rows, self.found_again = rows, found_again
        self.at = self.opened = self.proven = 0

    @contextmanager
    def open_snapshot(self, *_: object, **__: object) -> Iterator[Keys]:
        self.opened += 1
        yield self

    def fetch(self, query: Any) -> list[tuple[str | None, ...]]:
        text = query.as_string(None)
        if text.startswith("MOVE"):
            self.at += int(text.split()[1])
        if text.startswith("FETCH"):
            self.at += 1
            return [(str(self.at),)] if self.at <= self.rows else []
        return [("1",)] * self.found_again if text.startswith("SELECT 1") else []

    def prove_unmoved(self) -> None:
        self.proven += 1


def lookup(keys: Any) -> KeyLookup:
    order = KeyComparisons(("id",), (BUILTIN,))
    return KeyLookup(keys, taken(Encoding()).plan, order, None, lambda: None)  # type: ignore[arg-type]


def test_keys_are_found_by_number_on_one_connection_that_is_proven_each_time() -> None:
    keys = Keys(rows=10)
    with lookup(keys) as found:
        assert [found.find(row) for row in (1, 2, 7, 10)] == [("1",), ("2",), ("7",), ("10",)]
        assert (keys.opened, keys.proven) == (1, 4)
        assert found.find(11) is None


@pytest.mark.parametrize("found_again", [0, 2])
def test_key_whose_text_does_not_find_its_row_alone_is_none(found_again: int) -> None:
    assert lookup(Keys(rows=10, found_again=found_again)).find(3) is None
