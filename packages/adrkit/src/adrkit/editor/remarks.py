"""Findings and results of checks in one form, with what an editor can offer to do about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from adrkit.checks import Level, Result
from adrkit.document import Edit, Source, Span
from adrkit.lint import Finding


@dataclass(frozen=True, slots=True)
class Replacement:
    """A way to mend one remark: ``title`` says what ``edits`` do."""

    title: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Remark:
    """``line`` and ``column`` count from 1; ``severity`` is "error", "warning" or "note".

    ``source`` is the text of the line, by which a remark is found again after edits elsewhere.
    ``alone`` remarks rest on this text only and are made anew on every change.
    """

    code: str
    severity: str
    message: str
    line: int
    column: int
    length: int
    source: str
    origin: str
    alone: bool
    replacements: tuple[Replacement, ...] = ()

    @property
    def span_on_line(self) -> tuple[int, int]:
        """First character (from 0) and the one after the last, on the line."""
        low = min(self.column - 1, len(self.source))
        return low, min(low + self.length, len(self.source))


def remarks_of_findings(
    findings: Iterable[Finding], text: str, alone: frozenset[str]
) -> Iterator[Remark]:
    """``alone`` are the codes that are judged again on every change."""
    source = Source(text)
    for finding in findings:
        offered = []
        if finding.edits:
            offered.append(Replacement(f"Mend: {finding.remedy}", finding.edits))
        if moved := _move(finding, source):
            offered.append(moved)
        yield Remark(
            finding.code, finding.severity.value, f"{finding.message} ({finding.remedy})",
            finding.line, finding.column, finding.length, finding.source, "adr lint",
            finding.code in alone, tuple(offered),
        )  # fmt: skip


def _move(finding: Finding, source: Source) -> Replacement | None:
    """The path that is gone replaced by where git says it went."""
    if not finding.moved_to or not finding.subject or finding.line > source.line_count:
        return None
    low = source.line_span(finding.line).start + finding.column - 1
    written = source.text[low : low + finding.length]
    at = written.find(finding.subject)
    if at < 0:
        return None
    span = Span(low + at, low + at + len(finding.subject))
    return Replacement(f"Name it {finding.moved_to}", (Edit(span, finding.moved_to),))


def remarks_of_results(results: Iterable[Result], text: str) -> Iterator[Remark]:
    source = Source(text)
    severities = {Level.ERROR: "error", Level.WARNING: "warning"}
    for result in results:
        if result.level is Level.NONE or not 1 <= result.line <= source.line_count:
            continue
        line = source.line_text(result.line)
        message = f"{result.verdict.value}: {result.message}"
        if result.reason:
            message += f" (because: {result.reason})"
        yield Remark(
            f"check-{result.kind}", severities.get(result.level, "note"), message,
            result.line, 1, max(1, len(line)), line, "adr check", False,
        )  # fmt: skip


def relocated(remarks: Sequence[Remark], text: str) -> Iterator[Remark]:
    """The remarks whose line still stands somewhere in ``text``, at the nearest such line.

    Their replacements are dropped: edits are spans of the text they were made for.
    """
    source = Source(text)
    lines: dict[str, list[int]] = {}
    for line in range(1, source.line_count + 1):
        lines.setdefault(source.line_text(line), []).append(line)
    for remark in remarks:
        places = lines.get(remark.source)
        if places:
            nearest = min(places, key=lambda line: abs(line - remark.line))
            yield replace(remark, line=nearest, replacements=())
