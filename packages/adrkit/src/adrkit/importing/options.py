"""MADR's list of options as the house template's table of alternatives."""

from __future__ import annotations

import re

from adrkit.dialects.base import items_in
from adrkit.document import Span, plain
from adrkit.importing.pieces import Fragments
from adrkit.model import Alternative, VerdictKind
from adrkit.record import Record

_HEADER = (
    "| Approach | Pros | Cons | Verdict |",
    "|----------|------|------|---------|",
)
_BECAUSE = re.compile(r"^\W*(?:good|bad)\W*(?:(?:because|as|since)\b[\s,:]*)?", re.IGNORECASE)
_BULLET = re.compile(r"\s*[-*+]\s+")
_NO_REASON = "the source gives no reason"


def option_table(record: Record, body: Span, fragments: Fragments) -> tuple[str, tuple[Span, ...]]:
    """The table and the spans of the list items that it holds completely.

    "" when the section is no list of options. An option with more than its name stays in the
    text as well: its span is not among those returned.
    """
    if record.dialect.name != "madr":
        return "", ()
    document = record.document
    items = {item.line: item for item in items_in(document, body)}
    rows: list[str] = []
    held: list[Span] = []
    for option in record.alternatives:
        item = items.get(option.line)
        if item is None or not option.approach:
            continue
        start = document.source.line_span(item.line).start
        first_line = item.text.splitlines()[0].strip()
        name = first_line
        whole = fragments.line(Span(start, item.span.end))
        bullet = _BULLET.match(whole)  # the number of a numbered option is text that would go
        if bullet and "\n" not in item.text.strip():
            name = whole[bullet.end() :].strip()
            held.append(Span(start, item.span.end))
        rows.append(_row(record, option, name))
    return ("\n".join((*_HEADER, *rows)), tuple(held)) if rows else ("", ())


def _row(record: Record, option: Alternative, name: str) -> str:
    shown = name if "*" in name or "_" in name else f"**{name}**"
    cells = (shown, _points(option.pros), _points(option.cons), _verdict(record, option))
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _points(text: str | None) -> str:
    """The arguments of one side in one cell; they stand in full in the appendix."""
    if not text:
        return "–"
    points = [plain(_BECAUSE.sub("", line)) for line in text.splitlines() if line.strip()]
    return "; ".join(point for point in points if point) or "–"


def _verdict(record: Record, option: Alternative) -> str:
    verdict = option.verdict
    if verdict is not None and verdict.kind is VerdictKind.CHOSEN:
        reason = plain(verdict.reason.split("\n\n")[0]).rstrip(" :;,.")
        return f"✅ **Chosen** - {reason or _NO_REASON}"
    if not record.chosen:
        return "–"
    reason = _points(option.cons).split("; ")[0]
    return f"❌ Rejected - {_NO_REASON if reason == '–' else reason.rstrip(' .')}"


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))
