"""ADR8xx: one to two pages, and why rather than how."""

from __future__ import annotations

from collections.abc import Iterable

from adrkit.lint.rule import HOUSE, Group, Problem, ProjectView, Severity, title_span
from adrkit.model import SectionName
from adrkit.record import CHECK_LANGUAGE, Record

GROUP = Group()

_MIN_WORDS = 80
_MAX_CODE_LINES = 20


@GROUP.rule(
    "ADR801", "too-long", severity=Severity.WARNING,
    remedy="move detail to the design document or the appendix; `max-words` sets the limit",
)  # fmt: skip
def too_long(record: Record, project: ProjectView) -> Iterable[Problem]:
    """One to two pages are read, ten are not. The appendix is not counted."""
    appendix = record.section(SectionName.APPENDIX)
    words = record.word_count
    if words > project.max_words and appendix:
        text = record.document.text
        words = sum(
            len(text[span.start : span.end].split())
            for span in record.document.prose_spans
            if span not in appendix.span
        )
    if words > project.max_words:
        yield Problem(f"{words} words, more than {project.max_words}", title_span(record))


@GROUP.rule(
    "ADR802", "how-not-why", severity=Severity.WARNING, dialects=HOUSE,
    remedy="explain the reasons; how it is done belongs into the design document",
)  # fmt: skip
def how_not_why(record: Record, project: ProjectView) -> Iterable[Problem]:
    """Code shows how a decision is carried out; only the record can tell why it was taken. So the
    notes on implementation must not outweigh context and rationale."""
    section = record.section(SectionName.IMPLEMENTATION)
    if section is None:
        return
    how = _words(record, SectionName.IMPLEMENTATION)
    why = _words(record, SectionName.CONTEXT) + _words(record, SectionName.RATIONALE)
    if how > _MIN_WORDS and how > why:
        yield Problem(f"{how} words on how, {why} on why", section.heading.text_span)


def _words(record: Record, name: SectionName) -> int:
    section = record.section(name)
    if section is None:
        return 0
    text = record.document.text
    return sum(
        len(text[span.start : span.end].split())
        for span in record.document.prose_spans
        if span in section.body
    )


@GROUP.rule(
    "ADR803", "long-code", severity=Severity.WARNING,
    remedy="link to the file, or move the block to the appendix",
)  # fmt: skip
def long_code(record: Record, project: ProjectView) -> Iterable[Problem]:
    """A long block of code in a record goes stale unseen. Diagrams and checks are no code."""
    appendix = record.section(SectionName.APPENDIX)
    for fence in record.document.fences:
        if fence.language in (CHECK_LANGUAGE, "mermaid", "plantuml", "dot", ""):
            continue
        if appendix and fence.span in appendix.span:
            continue
        lines = len(fence.content.splitlines())
        if lines > _MAX_CODE_LINES:
            yield Problem(f"{lines} lines of code", record.document.source.line_span(fence.line))
