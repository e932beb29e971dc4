"""Waivers: exceptions with a reason and an end.

In a record, on a line of its own, for the whole record::

    <!-- adr-lint: disable=ADR801 reason="the audit wants all of it" until=2027-01-31 -->

or as ``[[lint.waivers]]`` in the settings. A waiver without reason, without end or after its end
covers nothing, and is itself a finding; findings about waivers cannot be waived.
"""

from __future__ import annotations

import datetime
import fnmatch
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from adrkit.document import Span
from adrkit.lint.rule import Place, place_of
from adrkit.lint.rules import codes_matching
from adrkit.lint.settings import ConfigWaiver
from adrkit.record import Record

_COMMENT = re.compile(r"<!--\s*adr-lint:\s*(?P<body>.*?)\s*-->", re.DOTALL)
_SETTING = re.compile(r"(?P<key>[a-z]+)\s*=\s*(?:\"(?P<quoted>[^\"]*)\"|(?P<bare>[^\s\"]+))")


@dataclass(frozen=True, slots=True)
class Waiver:
    """``codes`` are as written; ``path`` is a glob for waivers of the settings, else None."""

    codes: tuple[str, ...]
    reason: str
    until: str
    file: Path
    place: Place
    path: str | None = None

    def covered(self) -> frozenset[str]:
        found: set[str] = set()
        for code in self.codes:
            found |= codes_matching(code)
        return frozenset(code for code in found if not code.startswith("ADR9"))

    def problems(self, today: datetime.date) -> Iterator[tuple[str, str]]:
        """Code and message of each fault of the waiver itself."""
        if not self.codes:
            yield "ADR903", "the waiver names no rule (disable=CODE)"
        for code in self.codes:
            if not codes_matching(code):
                yield "ADR903", f"no rule {code!r}"
        if not self.reason.strip():
            yield "ADR901", f"waiver of {', '.join(self.codes)} gives no reason"
        if not self.until:
            yield "ADR905", f"waiver of {', '.join(self.codes)} has no end"
            return
        try:
            end = datetime.date.fromisoformat(self.until)
        except ValueError:
            yield "ADR905", f"{self.until!r} is no day as YYYY-MM-DD"
            return
        if end < today:
            yield "ADR902", f"waiver of {', '.join(self.codes)} ended on {self.until}"

    def applies_to(self, relative: str, file: Path) -> bool:
        return file == self.file if self.path is None else fnmatch.fnmatch(relative, self.path)


def record_waivers(record: Record) -> tuple[Waiver, ...]:
    if record.path is None or "adr-lint:" not in record.document.text:
        return ()
    found = []
    text = record.document.text
    for block in record.document.html_blocks:
        for match in _COMMENT.finditer(text, block.start, block.end):
            values = {
                part["key"]: part["quoted"] if part["quoted"] is not None else part["bare"]
                for part in _SETTING.finditer(match["body"])
            }
            codes = tuple(filter(None, values.get("disable", "").split(",")))
            place = place_of(record, Span(match.start(), match.end()))
            found.append(
                Waiver(codes, values.get("reason", ""), values.get("until", ""), record.path, place)
            )
    return tuple(found)


def config_waivers(waivers: Sequence[ConfigWaiver], source: Path | None) -> tuple[Waiver, ...]:
    """Waivers of the settings; each is placed on the line that names its code."""
    if source is None:
        return ()
    lines = source.read_text(encoding="utf-8-sig").splitlines()
    found = []
    used: set[int] = set()
    for waiver in waivers:
        line = next(
            (
                n
                for n, text in enumerate(lines, 1)
                if n not in used and "code" in text and waiver.code in text
            ),
            1,
        )
        used.add(line)
        text = lines[line - 1] if lines else ""
        found.append(
            Waiver(
                (waiver.code,), waiver.reason, waiver.until, source,
                Place(line, 1, max(1, len(text)), text), waiver.path,
            )
        )  # fmt: skip
    return tuple(found)
