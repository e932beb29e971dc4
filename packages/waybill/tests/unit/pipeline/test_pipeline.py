"""The comparisons that a completion stands for, each with somebody who does not tell the truth."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from waybill.catalog.model import ExportType, TableSource
from waybill.catalog.resolved import ResolvedColumn
from waybill.errors import IncompleteExport, LeaseLost, StorageCorrupted
from waybill.formats import get_encoder, read_options
from waybill.formats.compress import CODECS
from waybill.formats.plan import ExportPlan
from waybill.pipeline.parts import PartSizes
from waybill.pipeline.pipeline import Completion, run_pipeline
from waybill.source.copy_chunk import CopyChunk
from waybill.source.opening import SnapshotFacts
from waybill.source.source import PostgresSnapshot
from waybill.storage.base import PartReceipt, Storage, StoredObject

ROWS = [b"%d\n" % number for number in range(1_000)]
FILE = b"a\r\n" + b"".join(ROWS).replace(b"\n", b"\r\n")
CREATED = datetime(2026, 5, 1, tzinfo=UTC)
FACTS = SnapshotFacts("7:7:", CREATED, "0/16B3748", "18.1")


class Snapshot:
    """Sends ``ROWS`` in chunks, and says afterwards that it sent ``says`` rows."""

    facts = FACTS

    def __init__(self, says: int = len(ROWS)) -> None:
        self.copied_rows: int | None = None
        self._says = says

    def copy(self, _statement: object, *, is_large: bool) -> Iterator[CopyChunk]:
        assert is_large  # nobody said how many rows there are
        for start in range(0, len(ROWS), 100):
            yield CopyChunk(list[bytes | memoryview](ROWS[start : start + 100]))
        self.copied_rows = self._says


class MemoryStorage:
    """Keeps objects; ``receipt`` and ``stored`` change what it says it holds."""

    name = "memory"

    def __init__(
        self,
        receipt: Callable[[PartReceipt], PartReceipt] = lambda receipt: receipt,
        stored: Callable[[StoredObject], StoredObject] = lambda stored: stored,
    ) -> None:
        self.objects: dict[str, bytes] = {}
        self.content_types: dict[str, str] = {}
        self.parts: dict[int, bytes] = {}
        self._receipt = receipt
        self._stored = stored

    @contextmanager
    def open_upload(self, key: str, *, content_type: str) -> Iterator[MemoryStorage]:
        self.key = key
        self.content_types[key] = content_type
        yield self

    def write_part(self, number: int, data: bytearray, sha256: str) -> PartReceipt:
        self.parts[number] = bytes(data)
        return self._receipt(PartReceipt(number, len(data), sha256, "etag"))

    def complete(self, parts: list[PartReceipt]) -> StoredObject:
        data = b"".join(self.parts[part.number] for part in parts)
        self.objects[self.key] = data
        return self._stored(StoredObject(self.key, len(data), "etag"))

    def delete(self, key: str) -> None:
        del self.objects[key]


class Control:
    """Lets the run go on until ``stop_after`` rows."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.told: list[tuple[int, int]] = []
        self._stop_after = stop_after

    def check(self) -> None:
        if self._stop_after is not None and self.told and self.told[-1][0] >= self._stop_after:
            raise LeaseLost("stopped")

    def progress(self, rows: int, bytes_done: int) -> None:
        self.told.append((rows, bytes_done))


def plan(**changes: Any) -> ExportPlan:
    return dataclasses.replace(
        ExportPlan(
            ExportType("things", TableSource("public", "t"), key=("a",)),
            (ResolvedColumn("a", "a", "integer", 23, 23),),
            get_encoder("csv"),
            read_options("csv", {"formula_guard": False}),
        ),
        **changes,
    )


def run(
    storage: MemoryStorage,
    snapshot: Snapshot | None = None,
    control: Control | None = None,
    **changes: Any,
) -> Completion:
    return run_pipeline(
        plan(**changes),
        cast("PostgresSnapshot", snapshot or Snapshot()),
        cast("Storage", storage),
        "exports/key",
        control or Control(),
        export_id="1f0c2a9b-0000-0000-0000-000000000000",
        created_at=CREATED,
        part_sizes=PartSizes(first_bytes=1_000),
    )


def test_completion_says_what_storage_holds() -> None:
    storage, control = MemoryStorage(), Control()

    done = run(storage, control=control)

    assert storage.objects == {"exports/key": FILE}
    assert storage.content_types == {"exports/key": "text/csv; charset=utf-8"}
    assert (done.stored.bytes, done.storage, done.is_shared) == (len(FILE), "memory", False)
    manifest = done.manifest
    assert (manifest.rows, manifest.bytes) == (len(ROWS), len(FILE))
    assert manifest.sha256 == hashlib.sha256(FILE).hexdigest()
    assert manifest.uncompressed_bytes is None
    assert [
        hashlib.sha256(FILE[part.offset : part.offset + part.bytes]).hexdigest()
        for part in manifest.parts
    ] == [part.sha256 for part in manifest.parts]
    assert len(manifest.parts) == -(-len(FILE) // 1_000)
    assert control.told[-1] == (len(ROWS), len(FILE))
    assert [rows for rows, _ in control.told] == [*range(100, 1_001, 100), 1_000]


def test_manifest_says_how_the_file_was_made() -> None:
    manifest = run(MemoryStorage()).manifest

    assert manifest.export_id == "1f0c2a9b-0000-0000-0000-000000000000"
    assert (manifest.export_type, manifest.format) == ("things", "csv")
    assert manifest.options["formula_guard"] is False
    assert manifest.formula_guard is None
    [column] = manifest.columns
    assert (column.name, column.header, column.type) == ("a", "a", "integer")
    assert (manifest.key, manifest.order_by) == (("a",), ("a",))
    assert manifest.snapshot.model_dump(exclude_none=True) == {
        "id": FACTS.id,
        "taken_at": FACTS.taken_at,
        "wal_lsn": FACTS.wal_lsn,
        "server_version": FACTS.server_version,
    }
    assert manifest.media_type == "text/csv; charset=utf-8"
    assert manifest.file_name == "things-20260501-1f0c2a9b.csv"
    assert manifest.created_at == CREATED


def test_guarded_columns_are_named_in_the_manifest() -> None:
    columns = (
        ResolvedColumn("a", "a", "text", 25, 25),
        ResolvedColumn("b", "b", "integer", 23, 23),
    )
    manifest = run(
        MemoryStorage(), columns=columns, options=read_options("csv", {"formula_guard": True})
    ).manifest

    assert manifest.formula_guard is not None
    assert [column.is_guarded for column in manifest.columns] == [True, False]


def test_compressed_file_has_its_name_type_and_content_size() -> None:
    storage = MemoryStorage()

    manifest = run(storage, codec=CODECS["gzip"]).manifest

    assert manifest.bytes == len(storage.objects["exports/key"]) < len(FILE)
    assert manifest.uncompressed_bytes == len(FILE)
    assert (manifest.compression, manifest.media_type) == ("gzip", "application/gzip")
    assert storage.content_types == {"exports/key": "application/gzip"}
    assert manifest.file_name.endswith(".csv.gz")


@pytest.mark.parametrize("says", [0, len(ROWS) - 1, len(ROWS) + 1])
def test_rows_that_are_not_those_postgresql_sent_are_not_committed(says: int) -> None:
    storage = MemoryStorage()

    with pytest.raises(IncompleteExport, match=f"1000 rows were written .* sent {says}"):
        run(storage, Snapshot(says))

    assert storage.objects == {}


@pytest.mark.parametrize(
    "receipt",
    [
        lambda receipt: dataclasses.replace(receipt, bytes=receipt.bytes + 1),
        lambda receipt: dataclasses.replace(receipt, bytes=receipt.bytes - 1),
        lambda receipt: dataclasses.replace(receipt, number=receipt.number + 1),
        lambda receipt: dataclasses.replace(receipt, number=max(2, receipt.number)),
    ],
    ids=["longer", "shorter", "one number on", "a number twice"],
)
def test_parts_that_do_not_add_up_are_not_committed(receipt: Any) -> None:
    storage = MemoryStorage(receipt)

    with pytest.raises(IncompleteExport, match="Storage confirmed"):
        run(storage)

    assert storage.objects == {}


@pytest.mark.parametrize("difference", [-1, 1])
def test_object_of_another_size_than_was_written_is_deleted(difference: int) -> None:
    storage = MemoryStorage(
        stored=lambda stored: dataclasses.replace(stored, bytes=stored.bytes + difference)
    )

    with pytest.raises(
        StorageCorrupted, match=f"holds {len(FILE) + difference} bytes where {len(FILE)} were sent"
    ):
        run(storage)

    assert storage.objects == {}


@pytest.mark.parametrize("rows", [100, 500, 1_000])
def test_order_to_stop_is_obeyed_up_to_the_commit(rows: int) -> None:
    storage, control = MemoryStorage(), Control(stop_after=rows)

    with pytest.raises(LeaseLost):
        run(storage, control=control)

    assert control.told[-1][0] == rows
    assert storage.objects == {}
