"""Restores the bytes of an unguarded CSV export from a guarded one, as a stream.

``COPY (FORMAT csv)`` quotes a field if it holds the delimiter, a quote, CR or LF, or if it reads
like the NULL text (``CopyAttributeOutCSV`` in PostgreSQL's ``copyto.c``). Taking a ``'`` away
changes the last of these reasons only, so a field's quoting is decided from its first bytes and
a field of any length passes through in constant memory.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import BinaryIO, Final

from waybill.errors import InvalidOption, WaybillError
from waybill.formats.formula_guard import HEAD_CHARACTERS, needs_guard

_PIECE_BYTES: Final = 64 * 1024
_UTF8_BOM: Final = b"\xef\xbb\xbf"
_QUOTE: Final = b'"'
# The head, the apostrophe, and one character that shows there is more: 4 bytes each in UTF-8.
_HEAD_BYTES: Final = 4 * (HEAD_CHARACTERS + 2)


class TruncatedCsv(WaybillError):
    """The file ends inside a quoted field."""

    code = "truncated_csv"

    def __init__(self) -> None:
        super().__init__(
            "The CSV file ends inside a quoted field. Verify it against its manifest and download "
            "it again."
        )


def unguard_csv(
    source: BinaryIO,
    target: BinaryIO,
    columns: Collection[int],
    *,
    delimiter: str = ",",
    null_text: str = "",
    header: bool = True,
    bom: bool = False,
) -> int:
    """Write to ``target`` what the export would have been without the formula guard.

    ``source`` is a guarded file as waybill writes it: UTF-8, LF or CRLF row ends, decompressed.
    ``columns`` are the guarded columns' positions, from 0. The other options are those of the
    export; with ``header`` the first record is passed through, and so is a BOM with ``bom``.

    Returns:
        The number of restored fields.

    Raises:
        InvalidOption: a delimiter that the guard cannot work with.
        TruncatedCsv: the file ends inside a quoted field; ``target`` then holds what came before.
    """
    check_delimiter(delimiter)
    restorer = _Restorer(target, frozenset(columns), delimiter.encode(), null_text.encode(), header)
    first = True
    while piece := source.readline(_PIECE_BYTES):
        if first and bom and piece.startswith(_UTF8_BOM):
            target.write(_UTF8_BOM)
            piece = piece[len(_UTF8_BOM) :]
        first = False
        restorer.feed(piece)
    restorer.close()
    return restorer.restored


def check_delimiter(delimiter: str) -> None:
    """Refuse what cannot delimit a guarded file.

    With ``'`` as delimiter the guard itself would be a reason to quote, and a sign as delimiter
    is asking for trouble.

    Raises:
        InvalidOption: not one ASCII character, or one of those.
    """
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in "'\"\r\n\0=+-@":
        raise InvalidOption(
            "delimiter",
            "it must be one ASCII character and none of ' \" = + - @, CR or LF; use , ; | or TAB",
        )


class _Restorer:
    """A CSV reader that knows where in a record it stands and copies bytes."""

    def __init__(
        self,
        target: BinaryIO,
        columns: frozenset[int],
        delimiter: bytes,
        null_text: bytes,
        header: bool,
    ) -> None:
        self.restored = 0
        self._target = target
        self._columns = columns
        self._delimiter = delimiter
        self._null_text = null_text
        # A quoted field that reads like the NULL text must be seen whole: hence its length.
        self._held_limit = 2 * max(_HEAD_BYTES, len(null_text)) + 8
        self._field_end = re.compile(b"[" + re.escape(delimiter) + b"\n]")
        self._in_header = header
        self._column = 0
        self._at_start = True  # of a field
        self._in_quotes = False
        self._held: bytearray | None = None  # a field that is not decided yet
        self._out: list[bytes] = []

    def feed(self, piece: bytes) -> None:
        """Take the next bytes: a line, or a part of one."""
        if (
            b"'" not in piece
            and self._at_record_start
            and piece.endswith(b"\n")
            and not piece.count(_QUOTE) % 2
        ):
            # A whole record without an apostrophe: nothing to restore. Most records are like that.
            self._in_header = False
            self._target.write(piece)
            return
        position = 0
        while position < len(piece):
            position = self._in_field(piece, position)
        self._target.write(b"".join(self._out))
        self._out.clear()

    def close(self) -> None:
        """Take note of the file's end.

        Raises:
            TruncatedCsv: inside a quoted field.
        """
        if self._in_quotes:
            raise TruncatedCsv
        self._end_field(b"")
        self._target.write(b"".join(self._out))

    @property
    def _at_record_start(self) -> bool:
        return self._at_start and self._column == 0

    def _in_field(self, piece: bytes, position: int) -> int:
        """Pass on bytes up to the next turn; returns where that is."""
        if self._at_start:
            self._at_start = False
            if self._column in self._columns and not self._in_header:
                self._held = bytearray()
        if self._in_quotes:
            # A doubled quote ends and opens again at once, so it needs no state of its own.
            quote = piece.find(_QUOTE, position)
            end = len(piece) if quote < 0 else quote + 1
            self._in_quotes = quote < 0
            self._emit(piece[position:end])
            return end
        if piece.startswith(_QUOTE, position):
            self._in_quotes = True
            self._emit(_QUOTE)
            return position + 1
        ending = self._field_end.search(piece, position)
        if ending is None:
            self._emit(piece[position:])
            return len(piece)
        self._emit(piece[position : ending.start()])
        self._end_field(ending.group())
        return ending.end()

    def _emit(self, raw: bytes) -> None:
        if self._held is None:
            self._out.append(raw)
            return
        self._held += raw
        if len(self._held) > self._held_limit:
            self._out.append(self._decide(bytes(self._held), whole=False))
            self._held = None

    def _end_field(self, ending: bytes) -> None:
        if self._held is not None:
            raw = bytes(self._held)
            self._held = None
            # A CR that is data is quoted; this one belongs to the row's end.
            if ending == b"\n" and raw.endswith(b"\r"):
                raw, ending = raw[:-1], b"\r\n"
            self._out.append(self._decide(raw, whole=True))
        self._out.append(ending)
        self._at_start = True
        if ending == self._delimiter:
            self._column += 1
        else:
            self._column = 0
            self._in_header = False

    def _decide(self, raw: bytes, *, whole: bool) -> bytes:
        """Return the field restored. Unless ``whole``, ``raw`` is the beginning of a long field."""
        quoted = raw.startswith(_QUOTE)
        if not quoted and whole and raw == self._null_text:
            return raw  # NULL, however it is spelt
        value = raw
        if quoted:
            value = (raw[1:-1] if whole else raw[1:]).replace(_QUOTE * 2, _QUOTE)
        original = value[1:]
        # The bytes are valid but for a character cut in two at the end, far behind the head.
        if value[:1] != b"'" or not needs_guard(
            original[:_HEAD_BYTES].decode(errors="surrogateescape")
        ):
            return raw
        self.restored += 1
        if not whole:
            return _QUOTE + raw[2:] if quoted else raw[1:]
        escaped = original.replace(_QUOTE, _QUOTE * 2)
        if original == self._null_text or (quoted and not self._quoted_as_null(value)):
            return _QUOTE + escaped + _QUOTE
        return escaped

    def _quoted_as_null(self, value: bytes) -> bool:
        """Whether the only reason for the quotes around ``value`` was to tell it from NULL."""
        return value == self._null_text and not any(
            special in value for special in (self._delimiter, _QUOTE, b"\r", b"\n")
        )
