"""Formats that are written by the block: rows are collected, and blocks are parsed and written in
a thread of their own while the next rows arrive. (Arrow and deflate run without Python's lock.)

Blocks are cut by the rows alone, wherever the chunks that bring them begin and end, so that equal
data give equal bytes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate
from typing import Final

from psycopg import sql

from waybill.errors import IncompleteExport
from waybill.source.copy_chunk import CopyChunk

BLOCK_BYTES: Final = 1024 * 1024
"""Of COPY's text. It becomes as much again in Arrow, and some eight times as much as XML."""


class BlockEncoding(ABC):
    """An ``Encoding`` that is given its rows 1 MiB of text at a time, or one row that is larger."""

    def __init__(self, statement: sql.Composed) -> None:
        self._statement = statement
        self._block = bytearray()
        self._block_rows = 0
        self._rows = 0
        # One thread for all blocks: a new one for each left its allocator's memory behind.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encode-block")
        self._turn: Future[bytes] | None = None

    @property
    def statement(self) -> sql.Composed:
        return self._statement

    @property
    def rows(self) -> int:
        return self._rows

    @abstractmethod
    def write_block(self, block: bytearray, rows: int) -> bytes:
        """Return the file's next bytes, perhaps none yet. Called in order, one at a time.

        Raises:
            IncompleteExport: the block does not hold that many rows.
            ValueNotRepresentable: the format cannot hold a value.
        """

    @abstractmethod
    def finish(self) -> bytes:
        """Return what ends the file. Called once, after the last block."""

    def header(self) -> bytes:
        return b""

    def encode(self, chunk: CopyChunk) -> bytes:
        text = chunk.data
        if not text.endswith(b"\n"):
            raise IncompleteExport("PostgreSQL's rows do not end like records.")
        self._rows += chunk.rows
        written: list[bytes] = []
        if len(self._block) + len(text) < BLOCK_BYTES:
            self._block += text
            self._block_rows += chunk.rows
            return b""
        data, ends = memoryview(text), list(accumulate(map(len, chunk.messages)))
        start, row = 0, 0
        while row < len(ends):
            # The first row with which the block is full belongs to it.
            full_at = start + BLOCK_BYTES - len(self._block)
            last = min(bisect_left(ends, full_at, lo=row), len(ends) - 1)
            self._block += data[start : ends[last]]
            self._block_rows += last + 1 - row
            start, row = ends[last], last + 1
            if len(self._block) >= BLOCK_BYTES:
                written.append(self._hand_over())
        return b"".join(written)

    def footer(self) -> bytes:
        written = self._hand_over() if self._block_rows else b""
        if self._turn is not None:
            written += self._turn.result()
            self._turn = None
        return written + self.finish()

    def _hand_over(self) -> bytes:
        """Have the block written, and return what the one before it came to."""
        written = b"" if self._turn is None else self._turn.result()
        block, rows = self._block, self._block_rows
        self._block, self._block_rows = bytearray(), 0
        self._turn = self._thread.submit(self.write_block, block, rows)
        return written
