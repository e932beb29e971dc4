"""Who reads a plan's rows, and what the log says where the order of keys is not reliable."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from waybill.catalog.comparisons import BUILTIN, KeyComparisons
from waybill.catalog.model import ExportType, TableSource
from waybill.catalog.scope import RowScope
from waybill.formats.plan import ExportPlan
from waybill.pipeline import ranges, readers
from waybill.pipeline.ranges import Parallel

from ...logged import logged


@pytest.mark.parametrize("is_reliable", [True, False])
def test_order_that_is_not_reliable_is_named_in_the_log(
    is_reliable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = logged(monkeypatch, readers)
    order = SimpleNamespace(is_reliable=is_reliable, reason=lambda: "de_DE (2.36 recorded)")
    snapshot: Any = SimpleNamespace(key_order=lambda _: order)
    plan: Any = SimpleNamespace(export_type=None)

    assert readers._is_order_reliable(plan, snapshot) is is_reliable

    said = [(line["event"], line["reason"]) for line in lines.entries]
    told = [("source.order_unreliable", "de_DE (2.36 recorded)")]
    assert said == ([] if is_reliable else told)


class Typed:
    """An encoding whose rows must all pass through it."""

    rows = 0
    statement = None

    def header(self) -> bytes:
        return b""

    encode = footer = header


class Resumable(Typed):
    def resume_after(self, rows: int) -> None:
        """Nothing is written here."""


CLOSED = -1
LARGE: Any = {
    "encoding": Resumable(),
    "connections": 2,
    "rows": 5_000,
    "limit": None,
    "computed": (),
    "order_by": ("id",),
    "limits_rate": False,
    "scope": None,
    "is_indexed": True,
    "is_reliable": True,
}


def choice(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> tuple[str, Any]:
    """Return who reads: one, prepared for much or not; or how many."""
    case = SimpleNamespace(**(LARGE | changes))
    monkeypatch.setattr(
        readers, "OneReader", lambda *_, is_large: ("one", "large" if is_large else "small")
    )
    monkeypatch.setattr(readers, "ManyReaders", lambda *arguments: ("many", arguments[-1].readers))
    export_type = SimpleNamespace(limits_rate=case.limits_rate, scope=case.scope)
    order = SimpleNamespace(is_reliable=case.is_reliable, reason=lambda: "x")
    connections: Any = case.connections
    found: Any = readers.open_reader(
        SimpleNamespace(  # type: ignore[arg-type]
            limit=case.limit,
            computed=case.computed,
            order_by=case.order_by,
            export_type=export_type,
        ),
        SimpleNamespace(has_key_index=lambda _: case.is_indexed, key_order=lambda _: order),  # type: ignore[arg-type]
        case.encoding,
        lambda: None,
        expected_rows=case.rows,
        parallel=connections and Parallel(None, connections, smallest_rows=5_000),  # type: ignore[arg-type]
    )
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("changes", "reader"),
    [
        ({}, ("many", 2)),
        ({"connections": 3}, ("many", 3)),
        ({"encoding": Typed(), "connections": 3}, ("many", 2)),
        ({"encoding": Typed()}, ("one", "small")),
        ({"connections": 1}, ("one", "small")),
        ({"connections": None}, ("one", "small")),
        ({"rows": 4_999}, ("one", "small")),
        ({"rows": None}, ("one", "large")),
        ({"limit": 10}, ("one", "small")),
        ({"computed": ("full_name",)}, ("one", "small")),
        ({"order_by": ()}, ("one", "small")),
        ({"limits_rate": True}, ("one", "small")),
        ({"is_indexed": False}, ("one", "small")),
        ({"is_reliable": False}, ("one", "small")),
        ({"scope": RowScope("at > now()")}, ("one", "small")),
        ({"scope": RowScope("org = 7")}, ("many", 2)),
        ({"connections": None, "rows": 9_999}, ("one", "small")),
        ({"connections": None, "rows": 10_000}, ("one", "large")),
    ],
)
def test_several_read_a_large_table_in_a_reliable_order_and_one_all_else(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], reader: tuple[str, Any]
) -> None:
    assert choice(monkeypatch, **changes) == reader


def test_ranges_hold_as_many_rows_as_the_width_of_those_before_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    class Lookup:
        def __init__(self, *_: object) -> None:
            """Nothing is opened."""

        def find(self, row: int) -> tuple[str, ...] | None:
            asked.append(row)
            return (str(row),) if row < 2_000 else None

        def close(self) -> None:
            asked.append(CLOSED)

    monkeypatch.setattr(ranges, "KeyLookup", Lookup)
    order = KeyComparisons(("id",), (BUILTIN,))
    plan = ExportPlan(ExportType("t", TableSource("public", "t"), key=("id",)), (), None, None)  # type: ignore[arg-type]
    parallel = Parallel(None, 2, range_bytes=1_000, first_rows=10)  # type: ignore[arg-type]
    sequence = ranges.RangeSequence(plan, order, None, parallel, lambda: None)  # type: ignore[arg-type]

    sizes = [(0, 0), (10, 100), (90, 300), (100, 1_000_000), (10**9, 0), (0, 0), (0, 0)]
    held = []
    for rows, size in sizes:
        sequence.note(rows, size)
        taken = sequence.next()
        held.append(taken and (taken.is_first, taken.expected))

    assert held == [
        (True, 10),  # nothing is known yet
        (False, 100),  # of 10 bytes each
        (False, 250),  # 100 rows so far had 400 bytes
        (False, 1),  # one is larger than a range
        (False, 1_000),  # next to nothing each, which counts as a byte
        (False, None),  # what is left
        None,
    ]
    assert asked == [10, 110, 360, 361, 1_361, 2_361, CLOSED]
