"""What libpq's messages come to, apart from a server: framing, pauses, and who is beside whom."""

from __future__ import annotations

import pytest

from waybill.catalog.model import ExportType, TableSource
from waybill.errors import IncompleteExport
from waybill.formats import get_encoder, read_options
from waybill.formats.compress import get_codec
from waybill.formats.plan import ExportPlan
from waybill.pipeline import readers
from waybill.source import copy_messages, libpq

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"


def row(value: bytes) -> bytes:
    return b"\0\1" + len(value).to_bytes(4, "big") + value


def values(*batches: list[bytes]) -> list[bytes]:
    given = [list[bytes | memoryview](batch) for batch in batches]
    return [bytes(value) for batch in copy_messages.unframed(given) for value in batch]


@pytest.mark.parametrize(
    "batches",
    [
        # The header comes with the first row; the trailer is a message of its own.
        [[HEADER + row(b"{}"), row(b""), row(b"\xff\xff"), TRAILER]],
        [[HEADER], [row(b"{}"), row(b"")], [row(b"\xff\xff")], [TRAILER]],
    ],
)
def test_values_of_a_binary_copy_lose_their_framing(batches: list[list[bytes]]) -> None:
    assert values(*batches) == [b"{}", b"", b"\xff\xff"]


def test_binary_copy_without_rows_has_no_values() -> None:
    assert values([HEADER + TRAILER]) == []


@pytest.mark.parametrize("batches", [[[row(b"{}"), TRAILER]], [[HEADER + row(b"{}")]], []])
def test_binary_copy_that_is_not_whole_is_refused(batches: list[list[bytes]]) -> None:
    with pytest.raises(IncompleteExport):
        values(*batches)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    made: list[float] = []
    monkeypatch.setattr(copy_messages.time, "sleep", made.append)
    return made


def test_pauses_are_for_what_is_large(pauses: list[float]) -> None:
    decides = copy_messages.Pauses()
    decides.before_waiting(10_000)
    assert pauses == []

    for megabytes in range(1, 21):
        decides.before_waiting(megabytes * 1_000_000)
    assert len(pauses) == 20


def test_pauses_that_bring_little_end(pauses: list[float]) -> None:
    decides = copy_messages.Pauses()
    for step in range(50):
        decides.before_waiting(100_000 + step * 8192)
    assert len(pauses) == 8


def test_poor_pause_among_good_ones_ends_nothing(pauses: list[float]) -> None:
    decides = copy_messages.Pauses()
    taken = 100_000
    for step in range(50):
        taken += 1_000 if step % 2 else 100_000
        decides.before_waiting(taken)
    assert len(pauses) == 50


@pytest.mark.parametrize(
    ("own", "server", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", True),
        ("::1", "::1", True),
        ("10.0.0.5", "10.0.0.5", True),
        ("10.0.0.5", "10.0.0.6", False),
        ("fe80::1%eth0", "fe80::2%eth0", False),
    ],
)
def test_same_machine_is_told_by_addresses(own: str, server: str, expected: bool) -> None:
    assert libpq.is_same_machine(own, server) is expected


@pytest.mark.parametrize(
    ("processors", "is_beside_source", "format_name", "compression", "expected"),
    [
        (1, False, "csv", None, 1),
        (1, True, "csv", None, 1),
        (2, False, "csv", None, 2),
        (2, True, "csv", None, 1),
        (2, True, "csv", "zstd", 2),
        (2, True, "parquet", None, 2),
        (4, True, "ndjson", None, 2),
        (16, False, "csv", "gzip", 4),
        (16, True, "csv", None, 4),
    ],
)
def test_readers_are_as_many_as_processors_are_left(
    monkeypatch: pytest.MonkeyPatch,
    processors: int,
    is_beside_source: bool,
    format_name: str,
    compression: str | None,
    expected: int,
) -> None:
    monkeypatch.setattr(readers, "count_processors", lambda: processors)
    plan = ExportPlan(
        ExportType("things", TableSource("public", "t"), key=("id",)),
        (),
        get_encoder(format_name),
        read_options(format_name, {}),
        codec=None if compression is None else get_codec(compression),
    )

    assert readers.default_readers(plan, is_beside_source=is_beside_source) == expected
