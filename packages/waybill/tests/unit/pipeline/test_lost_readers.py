"""Readers that get no connection leave their ranges to the others, or all rows to the run's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from waybill.catalog.comparisons import BUILTIN, KeyComparisons
from waybill.catalog.model import ExportType, TableSource
from waybill.errors import SourceUnavailable
from waybill.formats.plan import ExportPlan
from waybill.pipeline import many_readers
from waybill.pipeline.many_readers import ManyReaders
from waybill.pipeline.ranges import Parallel
from waybill.source.copy_chunk import CopyChunk

from ...logged import logged

READERS = 3


class Encoding:
    """Writes rows as they come."""

    statement: Any = None
    rows = 1

    def header(self) -> bytes:
        return b""

    footer = header

    def encode(self, chunk: CopyChunk) -> bytes:
        return chunk.data

    def resume_after(self, rows: int) -> None:
        """Nothing is written here."""


def snapshot(row: bytes) -> Any:
    """One whose table is a single row."""
    return SimpleNamespace(
        export=lambda: None,
        key_comparisons=lambda _: KeyComparisons(("id",), (BUILTIN,)),
        count_exactly=lambda *_: (1, 0),
        copy=lambda *_, **__: iter([CopyChunk([row])]),
        copied_rows=1,
    )


class Source:
    """Has no connection for the first ``lost`` readers and for the keys, so that all is one range;
    the other readers begin when those have left."""

    def __init__(self, lost: int) -> None:
        self._lost = [f"waybill-read-{n}" for n in range(lost)]

    @contextmanager
    def open_snapshot(self, *_: object, application_name: str, **__: object) -> Iterator[Any]:
        reader = threading.current_thread()
        if application_name != "waybill reader" or reader.name in self._lost:
            raise SourceUnavailable("too many connections")
        for other in threading.enumerate():
            if other.name in self._lost:
                other.join()
        yield snapshot(b"of a range")


@pytest.mark.parametrize(
    ("lost", "read"),
    [(0, b"of a range"), (1, b"of a range"), (READERS - 1, b"of a range"), (READERS, b"alone")],
)
def test_rows_are_read_once_by_the_readers_that_are_left(
    monkeypatch: pytest.MonkeyPatch, lost: int, read: bytes
) -> None:
    lines = logged(monkeypatch, many_readers)
    encoder: Any = SimpleNamespace(open=lambda _: Encoding())
    export_type = ExportType("t", TableSource("public", "t"), key=("id",))
    plan = ExportPlan(export_type, (), encoder, None)  # type: ignore[arg-type]
    parallel = Parallel(Source(lost), READERS)  # type: ignore[arg-type]

    with ManyReaders(plan, snapshot(b"alone"), Encoding(), lambda: None, parallel) as reader:
        data = b"".join(reader.pieces())

    assert data == read
    assert (reader.rows, reader.copied_rows) == (1, 1)
    assert [line["event"] for line in lines.entries] == ["source.reader_lost"] * lost
