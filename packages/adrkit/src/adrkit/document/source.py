"""Text with positions: spans, lines and edits that never touch a character they do not name."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from adrkit.errors import NotUtf8, OverlappingEdits

BOM = b"\xef\xbb\xbf"
# The line endings of CommonMark 0.31, section 2.1: LF, CRLF and a lone CR.
_LINE_END = re.compile(r"\r\n?|\n")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Half-open range ``[start, end)`` of characters of ``Source.text``."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    def __contains__(self, other: object) -> bool:
        if isinstance(other, Span):
            return self.start <= other.start and other.end <= self.end
        return isinstance(other, int) and self.start <= other < self.end


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the characters of ``span`` (empty: insert) by ``text``."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Position:
    """``line`` and ``column`` count from 1; columns count characters."""

    line: int
    column: int


class SpanSweep:
    """Whether spans, asked for in ascending order, lie inside one of many: in linear time."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._spans = sorted(spans)
        self._passed = 0
        self._reach = 0  # how far the spans go that begin before the one asked for

    def holds(self, span: Span) -> bool:
        while self._passed < len(self._spans) and self._spans[self._passed].start <= span.start:
            self._reach = max(self._reach, self._spans[self._passed].end)
            self._passed += 1
        return span.end <= self._reach


class Source:
    """Decoded text that encodes back to the very bytes it came from.

    ``text`` is without the byte order mark; every offset counts characters of ``text``.
    """

    __slots__ = ("_ends", "_starts", "bom", "text")

    def __init__(self, text: str, *, bom: bool = False) -> None:
        self.text = text
        self.bom = bom
        self._starts: list[int] | None = None
        self._ends: list[int] = []

    @classmethod
    def from_bytes(cls, data: bytes, path: Path | None = None) -> Source:
        """Raises NotUtf8 with the offset of the first byte that does not decode."""
        bom = data.startswith(BOM)
        body = data[len(BOM) :] if bom else data
        try:
            return cls(body.decode("utf-8"), bom=bom)
        except UnicodeDecodeError as error:
            offset = error.start + (len(BOM) if bom else 0)
            raise NotUtf8(path, offset, data[offset]) from error

    def to_bytes(self) -> bytes:
        body = self.text.encode("utf-8")
        return BOM + body if self.bom else body

    # -- lines -------------------------------------------------------------------------------

    def _index(self) -> list[int]:
        if self._starts is None:
            starts, ends = [0], []
            for match in _LINE_END.finditer(self.text):
                ends.append(match.start())
                starts.append(match.end())
            if starts[-1] == len(self.text) and ends:
                starts.pop()
            else:
                ends.append(len(self.text))
            self._starts, self._ends = starts, ends
        return self._starts

    @property
    def line_count(self) -> int:
        return len(self._index())

    def line_span(self, line: int) -> Span:
        """Span of a line (from 1) without its line ending."""
        start = self._index()[line - 1]
        return Span(start, self._ends[line - 1])

    def line_text(self, line: int) -> str:
        start = self._index()[line - 1]
        return self.text[start : self._ends[line - 1]]

    def lines_span(self, first: int, after_last: int) -> Span:
        """Span of lines ``first .. after_last - 1`` (from 1), line endings included."""
        starts = self._index()
        begin = starts[first - 1] if first <= len(starts) else len(self.text)
        end = starts[after_last - 1] if after_last <= len(starts) else len(self.text)
        return Span(begin, end)

    def line_of(self, offset: int) -> int:
        """The line (from 1) that holds the character at ``offset``."""
        return max(1, bisect_right(self._index(), offset))

    def position(self, offset: int) -> Position:
        line = self.line_of(offset)
        return Position(line, offset - self._index()[line - 1] + 1)

    @property
    def eol(self) -> str:
        """The line ending most used in the text (LF when there is none or a tie)."""
        crlf = self.text.count("\r\n")
        lf = self.text.count("\n") - crlf
        cr = self.text.count("\r") - crlf
        best = max((lf, "\n"), (crlf, "\r\n"), (cr, "\r"), key=lambda pair: pair[0])
        return best[1]

    def eol_at(self, line: int) -> str:
        """The ending of this line, else the text's usual one: for lines inserted after it."""
        end = self.line_span(line).end
        match = _LINE_END.match(self.text, end)
        return match.group() if match else self.eol

    # -- edits -------------------------------------------------------------------------------

    def edited(self, edits: Sequence[Edit] | Iterable[Edit]) -> Source:
        """New source with all edits made; insertions at one place keep their given order.

        Raises OverlappingEdits when two edits share a character or one leaves the text.
        """
        parts: list[str] = []
        position = 0
        for edit in sorted(edits, key=lambda edit: (edit.span.start, edit.span.end)):
            start, end = edit.span.start, edit.span.end
            if start < position or end < start or end > len(self.text):
                raise OverlappingEdits(start, end)
            parts += (self.text[position:start], edit.text)
            position = end
        parts.append(self.text[position:])
        return Source("".join(parts), bom=self.bom)
