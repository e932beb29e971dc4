"""Computed columns, on rows as COPY sends them. (With a real PostgreSQL on the other side:
``integration/pipeline/test_computed_columns.py``.)"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any
from uuid import UUID

import pytest

from waybill.catalog.computed import Computed
from waybill.catalog.model import Column, ExportType, TableSource
from waybill.catalog.resolved import ResolvedColumn, computed_column
from waybill.errors import Cancelled, ComputedColumnFailed, IncompleteExport, ValueNotRepresentable
from waybill.formats import computed, get_encoder, read_options
from waybill.formats.computed import with_computed
from waybill.formats.plan import ExportPlan
from waybill.source.copy_chunk import CopyChunk

from ...logged import logged

A = ResolvedColumn("a", "a", "text", 25, 25)
SECRET = "4711-geheim"


def plan_of(function: Any, kind: Any = "text", *, read: ResolvedColumn = A) -> ExportPlan:
    how = Computed(function, (read.name,), kind)
    return ExportPlan(
        ExportType("things", TableSource("public", "t"), columns=(Column("made", computed=how),)),
        (A, computed_column("made", "made", how, (read,))),
        get_encoder("csv"),
        read_options("csv", {}),
    )


def made(plan: ExportPlan, *messages: bytes, check: Callable[[], None] = lambda: None) -> bytes:
    return b"".join(chunk.data for chunk in with_computed(plan, [CopyChunk(messages)], check))


def returning(value: Any, kind: Any = "text") -> bytes:
    return made(plan_of(lambda _: value, kind), b"x,,x\n")


class Suit(StrEnum):
    HEARTS = "h,"


class Size(IntEnum):
    LARGE = 3


@pytest.mark.parametrize(
    ("kind", "value", "cell"),
    [
        ("text", None, b""),
        ("text", "", b'""'),
        ("text", 'a "b"', b'"a ""b"""'),
        ("text", "=1+1", b"'=1+1"),
        ("text", Suit.HEARTS, b'"h,"'),
        ("integer", None, b""),
        ("integer", 0, b"0"),
        ("integer", -(2**63), b"-9223372036854775808"),
        ("integer", Size.LARGE, b"3"),
        pytest.param("number", 10**3_000, b"1" + b"0" * 3_000, id="many digits"),
        ("number", Decimal("-0.00"), b"0.00"),
        ("number", Decimal("1E+5"), b"100000"),
        ("number", Decimal("-1.50"), b"-1.50"),
        ("boolean", False, b"false"),
        ("date", date(33, 4, 3), b"0033-04-03"),
        (
            "timestamptz",
            datetime(2024, 5, 1, 1, 30, 0, 500_000, tzinfo=timezone(timedelta(hours=2))),
            b"2024-04-30T23:30:00.5+00:00",
        ),
        ("timestamptz", datetime(2024, 5, 1, tzinfo=UTC), b"2024-05-01T00:00:00+00:00"),
    ],
)
def test_what_a_function_returns_is_written_as_postgresql_writes_it(
    kind: Any, value: Any, cell: bytes
) -> None:
    assert returning(value, kind) == b"x," + cell + b"\n"


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("text", 1, "returned a value of type int, where its column is text"),
        ("text", b"x", "type bytes"),
        pytest.param("text", "a\0b", "NUL", id="NUL"),
        pytest.param("text", "\ud800", "half of a surrogate pair", id="half"),
        ("integer", True, "type bool"),
        ("integer", 2**63, "bigint"),
        ("integer", -(2**63) - 1, "bigint"),
        ("integer", "1", "type str"),
        ("number", 1.5, "type float"),
        ("number", False, "type bool"),
        ("number", Decimal("NaN"), "NaN"),
        ("number", Decimal("-Infinity"), "Infinity"),
        ("number", Decimal("1E+131072"), "too many digits"),
        ("number", Decimal("1E-16384"), "too many digits"),
        pytest.param("number", 10**5_000, "too many digits", id="too many digits"),
        ("boolean", 1, "type int"),
        ("date", datetime(2024, 5, 1), "type datetime"),  # noqa: DTZ001 - that is the point
        ("date", "2024-05-01", "type str"),
        ("timestamptz", datetime(2024, 5, 1), "without a time zone"),  # noqa: DTZ001 - as above
        ("timestamptz", date(2024, 5, 1), "type date"),
        ("timestamptz", datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))), "calendar"),
    ],
)
def test_what_a_column_cannot_hold_ends_the_export(kind: Any, value: Any, said: str) -> None:
    with pytest.raises(ComputedColumnFailed, match=said) as caught:
        returning(value, kind)
    assert str(caught.value).startswith("Column 'made' of export type 'things' is computed by ")


def test_text_of_more_than_its_measure_ends_the_export(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computed, "MOST_TEXT_BYTES", 2**20)
    assert len(returning("ü" * 2**19)) > 2**20
    for text in ("ü" * 2**19 + "x", "x" * (2**20 + 1)):
        with pytest.raises(ComputedColumnFailed, match="more than 1 MiB"):
            returning(text)


def fail(row: dict[str, Any]) -> str:
    raise ValueError(f"what about {row['a']}?")


def leave(row: dict[str, Any]) -> str:
    sys.exit(row["a"])


@pytest.mark.parametrize(("function", "name"), [(fail, "ValueError"), (leave, "SystemExit")])
def test_function_that_raises_is_named_and_nothing_of_its_row(
    function: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = logged(monkeypatch, computed)
    with pytest.raises(ComputedColumnFailed, match=f"raised {name}") as caught:
        made(plan_of(function), f"x,,{SECRET}\n".encode())

    # Nor along with it, as what it came from.
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    ((line,),) = [lines.entries]
    assert (line["event"], line["column"], line["error"]) == (
        "computed_column.raised", "made", name
    )  # fmt: skip
    assert line["at"].startswith("test_computed.py:")
    assert SECRET not in f"{line}{caught.value}{caught.value.for_who_asked()}"
    assert "test_computed" not in str(caught.value.for_who_asked())


def test_functions_are_given_values_of_python_and_their_own_columns_alone() -> None:
    types = {
        16: (b"t", True), 20: (b"-7", -7), 21: (b"7", 7), 23: (b"7", 7), 26: (b"7", 7),
        701: (b"1e-05", 1e-05), 700: (b"-Infinity", float("-inf")),
        1082: (b"2024-02-29", date(2024, 2, 29)),
        1114: (b"2024-05-01 12:00:00.5", datetime(2024, 5, 1, 12, 0, 0, 500_000)),  # noqa: DTZ001 - it has none
        1184: (b"2024-05-01 12:00:00+00", datetime(2024, 5, 1, 12, tzinfo=UTC)),
        1700: (b"1.50", Decimal("1.50")),
        2950: (b"00000000-0000-0000-0000-00000000000f", UUID(int=15)),
        114: (b'"{""a"": [1]}"', {"a": [1]}), 3802: (b"null", None), 1186: (b"P1D", "P1D"),
        1007: (b'"{1,2}"', "{1,2}"), 17: (b"\\x00", "\\x00"), 25: (b'""', ""), 1043: (b"", None),
    }  # fmt: skip
    for oid, (field, value) in types.items():
        given: list[dict[str, Any]] = []
        read = ResolvedColumn("it", "it", "domain", 99_999, oid)
        made(plan_of(lambda row, into=given: into.append(row), read=read), b"x,," + field + b"\n")
        assert given == [{"it": value}]
        assert type(given[0]["it"]) is type(value)

    def second(row: dict[str, Any]) -> str:
        return ",".join(row)

    one, two = Computed(lambda row: row.clear(), ("a", "b")), Computed(second, ("b",))
    b = ResolvedColumn("b", "b", "text", 25, 25)
    plan = dataclasses.replace(
        plan_of(fail),
        columns=(computed_column("1", "1", one, (A, b)), computed_column("2", "2", two, (b,))),
    )
    assert [read.name for read in plan.reads] == ["a", "b"]
    assert made(plan, b",,x,y\n") == b",b\n"


@pytest.mark.parametrize(
    ("oid", "field"),
    [
        (1082, b"infinity"),
        (1184, b"0044-03-15 00:00:00+00 BC"),
        (1114, b"10000-01-01 00:00:00"),
    ],
)
def test_value_that_python_cannot_hold_is_no_other_value(oid: int, field: bytes) -> None:
    read = ResolvedColumn("born", "born", "x", oid, oid)
    with pytest.raises(
        ValueNotRepresentable, match="'born' holds a value that Python's date"
    ) as caught:
        made(plan_of(lambda row: "x", read=read), b"x,," + field + b"\n")
    assert field.decode() not in str(caught.value)


def test_function_that_is_gone_ends_the_export() -> None:
    with pytest.raises(ComputedColumnFailed, match=r"'no\.such:function', which cannot be loaded"):
        made(plan_of("no.such:function"))


@pytest.mark.parametrize(
    "message", [b"x,\n", b"x,,y,z\n", b'x,,"y\n', b'x,,y"z\n', b'x,,"y"z\n', b"x,,y\nz,,y\n"]
)
def test_rows_that_are_not_what_was_asked_for_are_no_rows(message: bytes) -> None:
    with pytest.raises(IncompleteExport):
        made(plan_of(lambda row: "v"), message)


def test_rows_are_passed_on_as_they_fill_memory_and_each_is_one() -> None:
    seen: list[int] = []

    def large(row: dict[str, Any]) -> str:
        seen.append(1)
        return "x" * 200_000

    def sent() -> Iterator[CopyChunk]:
        yield CopyChunk([b"x,,x\n", memoryview(b"x,,x\n"), b"x,,x\n"])
        yield CopyChunk([b"x,,x\n"])

    sizes: list[int] = []
    for chunk in with_computed(plan_of(large), sent()):
        assert len(seen) <= sum(sizes) + 2  # of the rest nothing was computed yet
        sizes.append(chunk.rows)
    assert sizes == [2, 1, 1]


def test_order_to_stop_is_heard_between_two_rows() -> None:
    calls: list[str] = []

    def check() -> None:
        if calls:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        made(plan_of(lambda row: calls.append("called")), b"x,,x\n" * 1, b"x,,x\n", check=check)
    assert calls == ["called"]


def test_plan_without_computed_columns_is_left_alone() -> None:
    plan = dataclasses.replace(plan_of(fail), columns=(A,))
    chunks = [CopyChunk([b"x\n"])]
    assert with_computed(plan, chunks) is chunks
