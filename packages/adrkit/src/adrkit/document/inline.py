"""Code spans and links with exact character spans.

markdown-it-py's inline parser gives no positions, so this is a scanner of its own for the three
constructs records are asked about. It follows CommonMark 0.31 sections 6.1 (code spans), 6.3
(links) and 6.5 (autolinks); the tests hold its targets against markdown-it-py over real records.
Linear in the text: failed searches are remembered, nesting and label lengths are bounded as the
specification bounds them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from markdown_it.common.utils import normalizeReference, unescapeAll

from adrkit.document.source import Span


class LinkKind(StrEnum):
    INLINE = "inline"  # [text](target)
    REFERENCE = "reference"  # [text][label], [label][] or [label]
    AUTOLINK = "autolink"  # <https://...>
    IMAGE = "image"  # ![text](target)


@dataclass(frozen=True, slots=True)
class CodeSpan:
    """Inline code: ``span`` with its backticks, ``content`` as CommonMark strips it."""

    content: str
    span: Span
    line: int


@dataclass(frozen=True, slots=True)
class Link:
    """A link; ``target_span`` is the target as written (None where it stands elsewhere)."""

    kind: LinkKind
    text: str
    target: str
    span: Span
    target_span: Span | None
    line: int


@dataclass(slots=True)
class _Opener:
    position: int
    image: bool
    active: bool = True


@dataclass(slots=True)
class InlineScan:
    """What one scan found; shared when empty, so read-only for callers."""

    codes: list[tuple[str, Span]] = field(default_factory=list)
    links: list[tuple[LinkKind, str, str, Span, Span | None]] = field(default_factory=list)


_INTERESTING = re.compile(r"\\.|`+|<|!\[|\[|\]", re.DOTALL)
_AUTOLINK = re.compile(r"<([A-Za-z][A-Za-z0-9+.\-]{1,31}:[^\s<>\x00-\x20]*)>")
_EMAIL = re.compile(r"<([A-Za-z0-9.!#$%&'*+/=?^_`{|}~\-]{1,64}@[A-Za-z0-9.\-]{1,255})>")
_TAG = re.compile(
    r"</?[A-Za-z][A-Za-z0-9-]*(?:\s+[A-Za-z_:][\w.:-]*(?:\s*=\s*(?:[^\s\"'=<>`]+|'[^']*'|\"[^\"]*\"))?)*"
    r"\s*/?>"
)
_ANGLE_TARGET = re.compile(r"<((?:\\.|[^<>\\\n])*)>")
_TITLE = re.compile(r"\s+(?:\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|\((?:\\.|[^()\\])*\))")
_SPACE = re.compile(r"[ \t]*(?:\r\n?|\n)?[ \t]*")
_LABEL = re.compile(r"\[((?:\\.|[^\[\]\\]){0,999})\]", re.DOTALL)
# A line break inside a paragraph with the indent and quotation marks of the line after it.
_CONTINUATION = re.compile(r"[ \t]*(?:\r\n?|\n)[ \t]*(?:>[ \t]*)*")
_MAX_PARENTHESES = 32
_MAX_LABEL = 999


class _Scanner:
    def __init__(self, text: str, span: Span, references: Mapping[str, str]) -> None:
        self.text = text
        self.span = span
        self.references = references
        self.found = InlineScan()
        self.openers: list[_Opener] = []
        self.runs_absent: dict[int, int] = {}
        self.comment_absent = False

    def scan(self) -> InlineScan:
        position = self.span.start
        while match := _INTERESTING.search(self.text, position, self.span.end):
            mark = match.group()
            if mark[0] == "`":
                position = self._code(match.start(), match.end())
            elif mark == "<":
                position = self._angle(match.start())
            elif mark == "]":
                position = self._close(match.start())
            else:
                if mark[0] != "\\":
                    self.openers.append(_Opener(match.start(), mark == "!["))
                position = match.end()
        return self.found

    def _code(self, start: int, after: int) -> int:
        length = after - start
        if self.runs_absent.get(length, self.span.end + 1) <= after:
            return after
        position = after
        while (position := self.text.find("`", position, self.span.end)) >= 0:
            end = position
            while end < self.span.end and self.text[end] == "`":
                end += 1
            if end - position == length:
                content = _CONTINUATION.sub(" ", self.text[after:position])
                if content.strip(" ") and content[0] == content[-1] == " ":
                    content = content[1:-1]
                self.found.codes.append((content, Span(start, end)))
                return end
            position = end
        self.runs_absent[length] = after
        return after

    def _angle(self, start: int) -> int:
        end = self.span.end
        if match := _AUTOLINK.match(self.text, start, end) or _EMAIL.match(self.text, start, end):
            target = match.group(1)
            inner = Span(match.start(1), match.end(1))
            whole = Span(start, match.end())
            href = target if ":" in target else f"mailto:{target}"
            self.found.links.append((LinkKind.AUTOLINK, target, href, whole, inner))
            return match.end()
        if self.text.startswith("<!--", start) and not self.comment_absent:
            close = self.text.find("-->", start + 4, end)
            if close >= 0:
                return close + 3
            self.comment_absent = True
        tag = _TAG.match(self.text, start, end)
        return tag.end() if tag else start + 1

    def _close(self, bracket: int) -> int:
        after = bracket + 1
        if not self.openers:
            return after
        opener = self.openers.pop()
        if not opener.active:
            return after
        inner = opener.position + (2 if opener.image else 1)
        link = self._inline_target(after) or self._reference(inner, bracket)
        if link is None:
            return after
        kind, target, target_span, end = link
        if opener.image:
            kind = LinkKind.IMAGE
        else:  # a link holds no other link (CommonMark 6.3)
            for outer in self.openers:
                outer.active = outer.active and outer.image
        text = self.text[inner:bracket]
        self.found.links.append((kind, text, target, Span(opener.position, end), target_span))
        return end

    def _inline_target(self, start: int) -> tuple[LinkKind, str, Span, int] | None:
        text, limit = self.text, self.span.end
        if start >= limit or text[start] != "(":
            return None
        position = self._skip_space(start + 1)
        if position < limit and text[position] == "<":
            match = _ANGLE_TARGET.match(text, position, limit)
            if match is None:
                return None
            target_span, position = Span(match.start(1), match.end(1)), match.end()
        else:
            end = self._bare_target_end(position)
            if end is None:
                return None
            target_span, position = Span(position, end), end
        title = _TITLE.match(text, position, limit)
        position = self._skip_space(title.end() if title else position)
        if position >= limit or text[position] != ")":
            return None
        target = unescapeAll(text[target_span.start : target_span.end])
        return LinkKind.INLINE, target, target_span, position + 1

    def _skip_space(self, position: int) -> int:
        match = _SPACE.match(self.text, position, self.span.end)
        return match.end() if match else position

    def _bare_target_end(self, position: int) -> int | None:
        depth = 0
        while position < self.span.end:
            character = self.text[position]
            if character == "\\" and position + 1 < self.span.end:
                position += 2
                continue
            if character <= " " or character == "\x7f":
                break
            if character == "(":
                depth += 1
                if depth > _MAX_PARENTHESES:
                    return None
            elif character == ")":
                if depth == 0:
                    break
                depth -= 1
            position += 1
        return position if depth == 0 else None

    def _reference(self, inner: int, bracket: int) -> tuple[LinkKind, str, Span | None, int] | None:
        if not self.references:
            return None
        end = bracket + 1
        label: str | None = None
        if match := _LABEL.match(self.text, end, self.span.end):
            label, end = match.group(1), match.end()
        if not label:
            if bracket - inner > _MAX_LABEL:
                return None
            label = self.text[inner:bracket]
        target = self.references.get(normalizeReference(label))
        return None if target is None else (LinkKind.REFERENCE, target, None, end)


_CODE_OR_LINK = re.compile(r"[`<\]]")  # every code span and link has one of these
_NOTHING_FOUND = InlineScan()


def scan_inline(text: str, span: Span, references: Mapping[str, str]) -> InlineScan:
    """Code spans and links of ``text`` inside ``span`` (one paragraph, heading or cell)."""
    if _CODE_OR_LINK.search(text, span.start, span.end) is None:
        return _NOTHING_FOUND
    return _Scanner(text, span, references).scan()


_EMPHASIS = re.compile(r"(\*\*|__|~~|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|\*)")
_LINK_TEXT = re.compile(r"!?\[([^\[\]]*)\](?:\([^()\s]*(?:\s[^()]*)?\)|\[[^\[\]]*\])")
_MARKED = re.compile(r"[*_~`\[\\\x00]")
# A run of ticks is closed by one of its length: each run is tried once, however long.
_CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")


def plain(markdown: str) -> str:
    """Text as a reader sees it: emphasis marks, code ticks and link targets removed.

    White space is collapsed. Approximate by design: for display and comparison, not for edits.
    """
    if _MARKED.search(markdown) is None:
        return " ".join(markdown.split())
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        kept.append(match.group(2).strip())
        return f"\x00{len(kept) - 1}\x00"

    text = _CODE.sub(keep, markdown.replace("\x00", "\ufffd"))
    text = _EMPHASIS.sub("", _LINK_TEXT.sub(r"\1", text))
    text = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text)
    text = re.sub(r"\x00(\d+)\x00", lambda match: kept[int(match.group(1))], text)
    return " ".join(text.split())
