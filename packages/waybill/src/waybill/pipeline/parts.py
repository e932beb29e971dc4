"""Parts: bytes collected, hashed once each way, uploaded while the next ones are read.

Three stages run beside the reader and none holds Python's lock for long: one thread hashes (SHA-256
releases it), two upload. What is in memory is bounded: the part being filled and at most two on
their way, in buffers that are used again (with fresh ones per part the process grows).

A small file pays for none of that: it is collected in a small buffer, hashed and handed over by the
thread that wrote it. (Two buffers of 8 MiB, made and given back, and three threads were 1.2 ms of
CPU for a file of 1,000 rows.)
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from types import TracebackType
from typing import Self

from waybill.errors import FileTooLarge
from waybill.run_control import POLL_SECONDS
from waybill.storage.base import PartReceipt, Upload

MIB = 1024 * 1024
_IN_FLIGHT = 2
_ALONE_BYTES = 24 * MIB
_SMALL_BYTES = MIB // 2
_ABANDON_SECONDS = 2.0
MOST_PARTS = 10_000
"""Of one upload, by S3."""
# (first part number that is no longer in the step, factor). With 8 MiB as the first size the
# 10,000 parts S3 allows hold 500*8 + 500*16 + 500*32 + 8,500*48 MiB = 425 GiB, and no part is
# larger than 48 MiB, of which two at once still fit a worker of 200 MiB.
_GROWTH = ((501, 1), (1001, 2), (1501, 4))
_LAST_FACTOR = 6


@dataclass(frozen=True, slots=True)
class PartSizes:
    """How large parts are: all of one size for long, then slowly larger."""

    first_bytes: int = 8 * MIB

    def size(self, number: int) -> int:
        """Return the bytes of part ``number`` (from 1), if it is not the last."""
        for end, factor in _GROWTH:
            if number < end:
                return self.first_bytes * factor
        return self.first_bytes * _LAST_FACTOR


@dataclass(frozen=True, slots=True)
class WrittenParts:
    """All parts of a file as storage confirmed them, and the whole file's size and SHA-256."""

    receipts: tuple[PartReceipt, ...]
    bytes: int
    sha256: str


@dataclass(slots=True)
class _Part:
    number: int
    data: bytearray
    permits: int
    sha256: str = ""


class PartWriter:
    """Cuts a stream into parts and uploads them. ``write``, ``finish`` from one thread; leaving the
    block without ``finish`` stops the threads, and the upload's own block aborts the upload.

    Args:
        upload: where parts go; used by several threads.
        check: called while waiting; stops the run by raising.
        sizes: how large parts are.
        first_number: the number of the first part written here; above 1 where parts of an earlier
            attempt stand before it. Sizes and digest are of what is written here alone.
    """

    def __init__(
        self,
        upload: Upload,
        check: Callable[[], None],
        sizes: PartSizes | None = None,
        *,
        first_number: int = 1,
    ) -> None:
        self._upload = upload
        self._check = check
        self._sizes = sizes or PartSizes()
        self._number = self._first_number = first_number
        self._size = self._sizes.size(first_number)
        # As long as the part, but for the first of all: most files end in it.
        self._filling = bytearray(min(self._size, _SMALL_BYTES))
        self._filled = 0
        self._spare: list[bytearray] = []
        self._written = 0
        self._whole = hashlib.sha256()
        self._receipts: list[PartReceipt] = []
        self._failure: BaseException | None = None
        self._stopped = False
        self._permits = _IN_FLIGHT
        self._state = threading.Condition()
        self._to_hash: queue.SimpleQueue[_Part | None] = queue.SimpleQueue()
        self._to_upload: queue.SimpleQueue[_Part | None] = queue.SimpleQueue()
        self._threads = list[threading.Thread]()

    @property
    def bytes_written(self) -> int:
        """Bytes given to ``write``."""
        return self._written

    @property
    def room(self) -> int:
        """Bytes that still fit the part being filled."""
        return self._size - self._filled

    def confirmed(self) -> tuple[PartReceipt, ...]:
        """Return the receipts so far of parts that follow each other without a gap."""
        with self._state:
            receipts = sorted(self._receipts, key=lambda receipt: receipt.number)
        gapless = enumerate(receipts, start=self._first_number)
        return tuple(r for _, r in takewhile(lambda pair: pair[0] == pair[1].number, gapless))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._state:
            self._stopped = True
        self._to_hash.put(None)
        for _ in range(_IN_FLIGHT):
            self._to_upload.put(None)
        # A request that is under way cannot be called back. It ends by its own timeouts, holds one
        # part at most, and storage refuses its part once the upload is aborted.
        for thread in self._threads:
            thread.join(_ABANDON_SECONDS)

    def write(self, data: bytes | bytearray) -> None:
        """Append ``data``; blocks while two parts are on their way.

        Raises:
            Whatever an upload or ``check`` raised.
        """
        self._written += len(data)
        view = memoryview(data)
        while len(view) > (room := self._size - self._filled):
            self._fill(view[:room])
            view = view[room:]
            self._dispatch()
            self._filling = self._take_buffer(self._size)
        self._fill(view)

    def _fill(self, view: memoryview) -> None:
        end = self._filled + len(view)
        if end > len(self._filling):
            small = self._filling[: self._filled]
            self._filling = self._take_buffer(self._size)
            self._filling[: self._filled] = small
        self._filling[self._filled : end] = view
        self._filled = end

    def cut(self) -> int:
        """End the part being filled here, however full it is. Returns its number. For S3 it must
        hold 5 MiB, if it is not the last."""
        number = self._number
        self._end_part()
        self._filling = self._take_buffer(self._size)
        return number

    def finish(self) -> WrittenParts:
        """Upload what is left and wait for every part; an empty file is one empty part."""
        if self._number == 1 and self._filled <= _SMALL_BYTES:
            self._hand_over()
        elif self._filled:
            self._end_part()
        self._wait_for_permits(_IN_FLIGHT)
        receipts = tuple(sorted(self._receipts, key=lambda receipt: receipt.number))
        return WrittenParts(receipts, self._written, self._whole.hexdigest())

    def _hand_over(self) -> None:
        """Give the whole of a small file to the upload, without a thread in between."""
        del self._filling[self._filled :]
        self._whole.update(self._filling)
        receipt = self._upload.write_part(1, self._filling, self._whole.hexdigest())
        with self._state:
            self._receipts.append(receipt)
        self._number, self._filled = 2, 0

    def _end_part(self) -> None:
        del self._filling[self._filled :]
        self._dispatch()

    def _dispatch(self) -> None:
        """Send the part that was filled on its way. Leaves it to the caller to take a new buffer:
        there may be nothing more to write."""
        if self._number > MOST_PARTS:
            raise FileTooLarge(
                f"The file would have more than the {MOST_PARTS} parts that S3 takes. Raise "
                "WAYBILL_PART_BYTES, ask for compression, or export fewer rows or columns."
            )
        permits = _IN_FLIGHT if len(self._filling) > _ALONE_BYTES else 1
        self._wait_for_permits(permits)
        with self._state:
            self._permits -= permits
        if not self._threads:
            self._start_threads()
        self._to_hash.put(_Part(self._number, self._filling, permits))
        self._number += 1
        self._size = self._sizes.size(self._number)
        self._filling = bytearray()
        self._filled = 0

    def _take_buffer(self, size: int) -> bytearray:
        with self._state:
            spare = self._spare.pop() if self._spare else None
        if spare is None or len(spare) > size:
            return bytearray(size)
        spare.extend(bytes(size - len(spare)))  # nothing, but after a ``cut``
        return spare

    def _wait_for_permits(self, permits: int) -> None:
        with self._state:
            while self._permits < permits and self._failure is None:
                if not self._state.wait(POLL_SECONDS):
                    self._check()
            if self._failure is not None:
                raise self._failure

    # -- the threads --------------------------------------------------------------------------

    def _start_threads(self) -> None:
        works = [
            ("waybill-hash", self._hash_parts),
            *((f"waybill-upload-{n}", self._upload_parts) for n in range(_IN_FLIGHT)),
        ]
        # Daemons: an upload that hangs in the network may not keep a stopping worker alive.
        self._threads = [
            threading.Thread(target=self._guard, args=(work,), name=name, daemon=True)
            for name, work in works
        ]
        for thread in self._threads:
            thread.start()

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as exc:  # carried over to the writing thread, which raises it
            with self._state:
                self._failure = self._failure or exc
                self._state.notify_all()

    def _hash_parts(self) -> None:
        while (part := self._to_hash.get()) is not None and not self._stopped:
            self._whole.update(part.data)
            # The whole's digest after the first part is that part's: most files are hashed once.
            digest = self._whole if part.number == self._first_number else hashlib.sha256(part.data)
            part.sha256 = digest.hexdigest()
            self._to_upload.put(part)

    def _upload_parts(self) -> None:
        while (part := self._to_upload.get()) is not None and not self._stopped:
            receipt = self._upload.write_part(part.number, part.data, part.sha256)
            with self._state:
                self._receipts.append(receipt)
                self._spare.append(part.data)
                self._permits += part.permits
                del part
                self._state.notify_all()
