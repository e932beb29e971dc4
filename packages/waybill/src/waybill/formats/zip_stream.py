"""A ZIP archive as a stream: every byte is final when it is given out (APPNOTE 6.3.10, PKWARE).

Sizes and checksum follow an entry's data (general purpose bit 3), as Java's ``ZipOutputStream``
writes them, which Excel's readers know well. There is no ZIP64, for which Excel offers a "repair",
so an entry and the archive end below 4 GiB. Equal contents give equal bytes: there is no clock in
it, and deflate is fed pieces of one size.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from isal import isal_zlib

from waybill.errors import FileTooLarge

LIMIT_BYTES: Final = 2**32 - 1
_PIECE_BYTES: Final = 64 * 1024
_LEVEL: Final = 2
_VERSION: Final = 20  # deflate
_FLAGS: Final = 0x0808  # sizes behind the data, names in UTF-8
_DEFLATED: Final = 8
_DATE: Final = 0x0021  # 1980-01-01, the first there is


@dataclass(frozen=True, slots=True)
class _Entry:
    name: bytes
    crc: int
    packed: int
    size: int
    offset: int


def _new_deflate() -> isal_zlib.Compress:
    return isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, -15)


class ZipStream:
    """Writes entries one after the other. All calls return the archive's next bytes."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._offset = 0
        # Of the open entry:
        self._name = b""
        self._begin = 0
        self._deflate = _new_deflate()
        self._pending = bytearray()
        self._crc = 0
        self.entry_bytes = 0

    def entry(self, name: str, content: bytes) -> bytes:
        """Write a whole entry."""
        return self.open_entry(name) + self.write(content) + self.close_entry()

    def open_entry(self, name: str) -> bytes:
        """Begin an entry; its content follows by ``write``."""
        self._name = name.encode()
        self._begin = self._offset
        self._deflate = _new_deflate()
        self._pending = bytearray()
        self._crc = self.entry_bytes = 0
        header = struct.pack(
            "<IHHHHHIIIHH",
            0x04034B50, _VERSION, _FLAGS, _DEFLATED, 0, _DATE, 0, 0, 0, len(self._name), 0,
        )  # fmt: skip
        return self._sent(header + self._name)

    def write(self, content: bytes) -> bytes:
        """Go on with the open entry. ``entry_bytes`` is its size so far.

        Raises:
            FileTooLarge: 4 GiB are full.
        """
        self.entry_bytes += len(content)
        view = memoryview(content)
        packed: list[bytes] = []
        if self._pending:
            room = _PIECE_BYTES - len(self._pending)
            self._pending += view[:room]
            view = view[room:]
            if len(self._pending) == _PIECE_BYTES:
                packed.append(self._pack(bytes(self._pending)))
                self._pending.clear()
        whole = len(view) - len(view) % _PIECE_BYTES
        for start in range(0, whole, _PIECE_BYTES):
            packed.append(self._pack(view[start : start + _PIECE_BYTES]))
        self._pending += view[whole:]
        return self._sent(b"".join(packed))

    def close_entry(self) -> bytes:
        """End the open entry."""
        rest = self._pack(bytes(self._pending)) + self._deflate.flush()
        self._pending.clear()
        sent = self._sent(rest)
        size = self._offset - self._begin - 30 - len(self._name)
        entry = _Entry(self._name, self._crc, size, self.entry_bytes, self._begin)
        self._entries.append(entry)
        return sent + self._sent(
            struct.pack("<IIII", 0x08074B50, entry.crc, entry.packed, entry.size)
        )

    def finish(self) -> bytes:
        """Write the directory that ends the archive."""
        directory = b"".join(
            struct.pack(
                "<IHHHHHHIIIHHHHHII",
                0x02014B50, _VERSION, _VERSION, _FLAGS, _DEFLATED, 0, _DATE,
                entry.crc, entry.packed, entry.size, len(entry.name), 0, 0, 0, 0, 0, entry.offset,
            ) + entry.name
            for entry in self._entries
        )  # fmt: skip
        count = len(self._entries)
        end = struct.pack(
            "<IHHHHIIH", 0x06054B50, 0, 0, count, count, len(directory), self._offset, 0
        )
        return self._sent(directory + end)

    def _pack(self, piece: bytes | memoryview) -> bytes:
        self._crc = zlib.crc32(piece, self._crc)
        return self._deflate.compress(piece)

    def _sent(self, data: bytes) -> bytes:
        self._offset += len(data)
        if self._offset > LIMIT_BYTES:
            raise FileTooLarge(
                "The file would be larger than the 4 GiB that XLSX readers take. Export fewer rows "
                "or columns, or request csv, ndjson or parquet."
            )
        return data
