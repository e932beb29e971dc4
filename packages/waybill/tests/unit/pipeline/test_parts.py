from __future__ import annotations

import contextlib
import hashlib
import threading
import time

import pytest

from waybill.errors import FileTooLarge, LeaseLost, StorageUnavailable
from waybill.pipeline.parts import MIB, PartSizes, PartWriter
from waybill.storage.base import PartReceipt, StoredObject


class MemoryUpload:
    """An upload that keeps parts, and fails or hangs when told to."""

    def __init__(self) -> None:
        self.parts: dict[int, bytes] = {}
        self.failure: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

    key = "key"
    upload_id = "id"

    def write_part(self, number: int, data: bytes | bytearray, sha256: str) -> PartReceipt:
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        self.gate.wait(30)
        if self.failure is not None:
            raise self.failure
        assert hashlib.sha256(data).hexdigest() == sha256
        self.parts[number] = bytes(data)
        with self._lock:
            self._at_once -= 1
        return PartReceipt(number, len(data), sha256, "etag")

    def complete(self, parts: list[PartReceipt]) -> StoredObject:
        raise NotImplementedError

    def abort(self) -> None:
        raise NotImplementedError


def go_on() -> None:
    pass


SMALL = PartSizes(first_bytes=10)


@pytest.mark.parametrize("total", [0, 1, 9, 10, 11, 20, 25, 999])
@pytest.mark.parametrize("piece", [1, 3, 10, 64])
def test_parts_add_up_to_what_was_written(total: int, piece: int) -> None:
    data = bytes(n % 251 for n in range(total))
    upload = MemoryUpload()

    with PartWriter(upload, go_on, SMALL) as writer:
        for start in range(0, total, piece):
            writer.write(data[start : start + piece])
        written = writer.finish()

    assert b"".join(upload.parts[n] for n in sorted(upload.parts)) == data
    assert written.sha256 == hashlib.sha256(data).hexdigest()
    assert written.bytes == total == sum(r.bytes for r in written.receipts)
    assert [r.number for r in written.receipts] == list(range(1, max(1, -(-total // 10)) + 1))
    assert all(r.bytes == 10 for r in written.receipts[:-1])
    assert upload.most_at_once <= 2


def test_ten_thousand_parts_hold_400_gib_and_fit_in_memory() -> None:
    sizes = PartSizes()

    assert sum(sizes.size(number) for number in range(1, 10_001)) >= 400 * 1024 * MIB
    assert max(sizes.size(number) for number in range(1, 10_001)) <= 48 * MIB
    assert sizes.size(1) == 8 * MIB
    assert all(sizes.size(n) <= sizes.size(n + 1) for n in range(1, 10_000))


def test_failing_upload_fails_the_writer_and_ends_its_threads() -> None:
    upload = MemoryUpload()
    upload.failure = StorageUnavailable("down")

    def write_on() -> None:
        with PartWriter(upload, go_on, SMALL) as writer:
            while True:
                writer.write(b"x" * 7)

    with pytest.raises(StorageUnavailable, match="down"):
        write_on()

    assert not [t for t in threading.enumerate() if t.name.startswith("waybill-")]


def test_order_to_stop_is_heard_while_uploads_hang() -> None:
    upload = MemoryUpload()
    upload.gate.clear()
    started = time.monotonic()

    def stop() -> None:
        raise LeaseLost("lost")

    def write_on() -> None:
        with PartWriter(upload, stop, SMALL) as writer:
            while True:
                writer.write(b"x" * 7)

    with pytest.raises(LeaseLost):
        write_on()

    # Well before the 30 s that the uploads hang.
    assert time.monotonic() - started < 25
    upload.gate.set()


@pytest.mark.parametrize(("size", "together"), [(24 * MIB, [1, 2]), (24 * MIB + 1, [1])])
def test_two_parts_are_on_their_way_unless_they_are_large(size: int, together: list[int]) -> None:
    upload = MemoryUpload()
    upload.gate.clear()

    def stop() -> None:
        raise LeaseLost("lost")

    sent = list[int]()
    with PartWriter(upload, stop, PartSizes(first_bytes=size)) as writer:
        with contextlib.suppress(LeaseLost):
            while True:
                writer.write(bytes(size))
                sent.append(writer.cut())  # waits, and so hears the order, while there is no room
        upload.gate.set()

    assert sent == together


def test_parts_cut_short_and_numbered_on_hold_what_was_written() -> None:
    upload = MemoryUpload()
    with PartWriter(upload, go_on, SMALL, first_number=4) as writer:
        for piece in (b"abcd", b"efghijklmnop", b"q"):
            writer.write(piece)
            writer.cut()
        written = writer.finish()
    # "efghijklmnop" is longer than a part: what was cut is its end.
    assert upload.parts == {4: b"abcd", 5: b"efghijklmn", 6: b"op", 7: b"q"}
    assert [receipt.number for receipt in written.receipts] == [4, 5, 6, 7]
    assert writer.confirmed() == written.receipts
    assert written.sha256 == hashlib.sha256(b"abcdefghijklmnopq").hexdigest()


def test_parts_that_follow_others_may_be_none() -> None:
    upload = MemoryUpload()
    with PartWriter(upload, go_on, SMALL, first_number=3) as writer:
        written = writer.finish()
    assert (written.receipts, written.bytes, upload.parts) == ((), 0, {})


def test_confirmed_parts_end_at_the_first_that_is_missing() -> None:
    upload = MemoryUpload()
    with PartWriter(upload, go_on, SMALL) as writer:
        writer.write(b"0123456789" * 3)
        writer.finish()
        writer._receipts = [r for r in writer._receipts if r.number != 2]
        assert [receipt.number for receipt in writer.confirmed()] == [1]


def test_part_beyond_those_that_s3_takes_is_refused_with_the_remedy() -> None:
    upload = MemoryUpload()
    sizes = PartSizes(first_bytes=1)

    def write(number: int) -> int:
        with PartWriter(upload, go_on, sizes, first_number=number) as writer:
            writer.write(b"x" * sizes.size(number))
            return len(writer.finish().receipts)

    assert write(10_000) == 1
    with pytest.raises(FileTooLarge, match="WAYBILL_PART_BYTES"):
        write(10_001)
    assert 10_001 not in upload.parts


@pytest.mark.parametrize(
    ("size", "by_itself"), [(0, True), (MIB // 2, True), (MIB // 2 + 1, False)]
)
def test_small_file_is_handed_over_without_a_thread(size: int, by_itself: bool) -> None:
    upload = MemoryUpload()
    data = bytes(n % 251 for n in range(size))

    with PartWriter(upload, go_on) as writer:
        taken = len(writer._filling)
        for start in range(0, size, 40_000):
            writer.write(data[start : start + 40_000])
        began = list(writer._threads)
        written = writer.finish()

    assert upload.parts == {1: data}
    assert written.sha256 == hashlib.sha256(data).hexdigest()
    assert (taken, began) == (MIB // 2, [])
    assert (writer._threads == []) is by_itself
