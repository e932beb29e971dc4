"""ADR3xx: the sections, what is left of the template, and the decision's sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable

from adrkit.document import Edit, Section, Span, plain
from adrkit.lint.open_points import is_open
from adrkit.lint.rule import HOUSE, Group, Problem, ProjectView, Severity, title_span
from adrkit.lint.sentences import sentence_count
from adrkit.model import SectionName
from adrkit.record import Record
from adrkit.templates import house_placeholders

GROUP = Group()

_S = SectionName
_LEVELS = {
    _S.DECISION: 2, _S.CONTEXT: 2, _S.ALTERNATIVES: 2, _S.RATIONALE: 2, _S.CONSEQUENCES: 2,
    _S.POSITIVE: 3, _S.NEGATIVE: 3, _S.RISKS: 3, _S.IMPLEMENTATION: 2, _S.RELATED: 2,
    _S.APPENDIX: 2,
}  # fmt: skip
_ORDER = tuple(_LEVELS)
_HEADINGS = {
    _S.DECISION: "## Decision", _S.CONTEXT: "## Context",
    _S.ALTERNATIVES: "## Alternatives Considered", _S.RATIONALE: "## Decision Rationale",
    _S.CONSEQUENCES: "## Consequences", _S.POSITIVE: "### Positive", _S.NEGATIVE: "### Negative",
    _S.RISKS: "### Risks & Mitigations", _S.RELATED: "## Related",
}  # fmt: skip
_REQUIRED = {
    "house": tuple(_HEADINGS),
    "unmarked": tuple(_HEADINGS),
    "madr": (_S.CONTEXT, _S.ALTERNATIVES, _S.DECISION),
    "nygard": (_S.CONTEXT, _S.DECISION, _S.CONSEQUENCES),
}
# Rules of their own say what is missing in these.
_JUDGED_ELSEWHERE = (_S.POSITIVE, _S.NEGATIVE, _S.RISKS, _S.ALTERNATIVES, _S.STATUS)
_BRACKETED = re.compile(r"\[[^\[\]\n]+\](?![(\[])")
_TEMPLATE_HEADINGS = {
    "ADR Guidelines", "Example Benchmark Results", "Example Architecture Diagram",
}  # fmt: skip
# An example is the template's when what follows is one of the specification's own.
_EXAMPLE = re.compile(r"\s*Example:\s*(?P<text>.*?)\s*", re.DOTALL)
_SPECIFICATION = (
    '"Use asynchronous job pattern (Celery + Redis) for user data export."',
    "Users need to export their data for compliance and analysis. Requirements specify:",
    "| Approach | Pros | Cons | Verdict |", "1. **Scale**: 100k users requires ~60s processing",
    "- **Scalability**: Can handle exports of any size",
    "- **Complexity**: More moving parts (queue",
    "| Risk | Impact | Likelihood | Mitigation |", "- Use existing Celery setup in `app/tasks/`",
    "- **TDD:** docs/design/user-export.md",
)  # fmt: skip
_IMAGE = re.compile(r"!\[[^\[\]]*\]\([^()]*\)|`[^`]*`")
_FOOTNOTE = re.compile(r"\[\^[^\]\s]+\]:")
_MAX_DECISION_WORDS = 60


@GROUP.rule("ADR301", "section-missing", remedy="add the section; `adr template show` has them")
def section_missing(record: Record, project: ProjectView) -> Iterable[Problem]:
    """Each section answers a question that a later reader will ask."""
    for name in _REQUIRED[record.dialect.name]:
        if name in record.sections:
            continue
        if name in (_S.POSITIVE, _S.NEGATIVE, _S.RISKS):
            parent = record.section(_S.CONSEQUENCES)
            if parent is None:
                continue  # reported once, for the section that should hold it
            at = parent.heading.text_span
        else:
            at = title_span(record)
        heading = _HEADINGS.get(name, name.value)
        yield Problem(f"section {heading.lstrip('# ')!r} is missing", at)


@GROUP.rule("ADR302", "section-empty", remedy="fill it, or remove it if it is optional")
def section_empty(record: Record, project: ProjectView) -> Iterable[Problem]:
    """A heading with nothing below promises an answer and gives none."""
    for name, section in record.sections.items():
        if name in _JUDGED_ELSEWHERE:
            continue
        if not _content(record, section):
            yield Problem(f"section {section.heading.plain!r} is empty", section.heading.text_span)


def _content(record: Record, section: Section) -> str:
    text = record.document.slice(section.body)
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL).strip()


@GROUP.rule("ADR303", "section-repeated", remedy="merge the two")
def section_repeated(record: Record, project: ProjectView) -> Iterable[Problem]:
    """Of two sections with one name readers and tools see only the first."""
    if record.dialect.name == "madr":
        return  # its options may each have sub-sections of the same name
    for name, section in record.duplicate_sections:
        first = record.sections[name].heading.plain.casefold()
        if section.heading.level <= 3 and section.heading.plain.casefold() == first:
            yield Problem(
                f"section {section.heading.plain!r} is there twice", section.heading.text_span
            )


@GROUP.rule(
    "ADR304", "section-order", severity=Severity.WARNING, dialects=HOUSE,
    remedy="follow the template: decision first, then why",
)  # fmt: skip
def section_order(record: Record, project: ProjectView) -> Iterable[Problem]:
    """The decision comes first: most readers need no more."""
    found = sorted(
        (section.span.start, name) for name, section in record.sections.items() if name in _LEVELS
    )
    furthest = -1
    for _, name in found:
        rank = _ORDER.index(name)
        if rank < furthest:
            section = record.sections[name]
            yield Problem(
                f"section {section.heading.plain!r} stands after "
                f"{_ORDER[furthest].value!r}, not before it",
                section.heading.text_span,
            )
            return
        furthest = rank


@GROUP.rule("ADR305", "placeholder", remedy="write what the brackets ask for, or remove the line")
def placeholder(record: Record, project: ProjectView) -> Iterable[Problem]:
    """Brackets of the template that nobody filled in."""
    known = house_placeholders()
    text = record.document.text
    if not any(item in text for item in known):
        return
    for span in record.document.prose_spans:
        for match in _BRACKETED.finditer(text, span.start, span.end):
            if match.group() in known:
                yield Problem(
                    f"placeholder {match.group()} was not filled in",
                    Span(match.start(), match.end()),
                )


@GROUP.rule("ADR306", "template-text", remedy="remove what belongs to the template")
def template_text(record: Record, project: ProjectView) -> Iterable[Problem]:
    """Examples and guidelines of the template explain how to write a record; they are no part of
    one. Examples of your own are."""
    for heading in record.document.headings:
        if heading.plain in _TEMPLATE_HEADINGS:
            yield Problem(f"heading {heading.plain!r} is the template's", heading.text_span)
    fences = {fence.line: fence for fence in record.document.fences}
    for paragraph in record.document.paragraphs:
        match = _EXAMPLE.fullmatch(paragraph.text)
        if match is None:
            continue
        last = record.document.line_of(max(paragraph.span.end - 1, 0))
        fence = fences.get(last + 1) or fences.get(last + 2)
        text = match["text"] or (fence.content if fence else "")
        if text.lstrip().startswith(_SPECIFICATION):
            yield Problem("an example of the template is left over", paragraph.span)


@GROUP.rule(
    "ADR307", "decision-sentence", dialects=HOUSE,
    remedy="one sentence here; reasons belong into Decision Rationale",
)  # fmt: skip
def decision_sentence(record: Record, project: ProjectView) -> Iterable[Problem]:
    """If the decision does not fit into one clear sentence, it is more than one decision, or not
    taken yet."""
    section, decision = record.section(_S.DECISION), record.decision
    if section is None or decision is None:
        return
    count = sentence_count(decision.text)
    if count > 1:
        yield Problem(f"the decision has {count} sentences", decision.span)
        return
    more = [
        paragraph.span
        for paragraph in record.document.paragraphs
        if paragraph.span in section.own
        and paragraph.span.start > decision.span.end
        and not _EXAMPLE.match(paragraph.text)
        and not _FOOTNOTE.match(paragraph.text)
    ]
    if more:
        yield Problem("the decision goes on after its sentence", more[0])


@GROUP.rule(
    "ADR308", "decision-length", severity=Severity.WARNING, dialects=HOUSE,
    remedy="say what is done; leave how and why to the sections below",
)  # fmt: skip
def decision_length(record: Record, project: ProjectView) -> Iterable[Problem]:
    """A sentence of more than 60 words is not clear."""
    if record.decision:
        words = len(record.decision.plain.split())
        if words > _MAX_DECISION_WORDS:
            yield Problem(
                f"the decision has {words} words, more than {_MAX_DECISION_WORDS}",
                record.decision.span,
            )


@GROUP.rule(
    "ADR309", "heading-level", severity=Severity.WARNING, dialects=HOUSE, fixable=True,
    remedy="use the level of the template",
)  # fmt: skip
def heading_level(record: Record, project: ProjectView) -> Iterable[Problem]:
    """At another level a section ends where it should not, and parts of the record fall out of
    sight."""
    for name, section in record.sections.items():
        wanted, heading = _LEVELS.get(name), section.heading
        if wanted is None or heading.level == wanted:
            continue
        hashes = record.document.source.line_span(heading.line).start
        marks = "#" * heading.level
        edits: tuple[Edit, ...] = ()
        if record.document.text.startswith(marks, hashes):
            edits = (Edit(Span(hashes, hashes + len(marks)), "#" * wanted),)
        yield Problem(
            f"{heading.plain!r} is a heading of level {heading.level}, not {wanted}",
            heading.text_span, edits,
        )  # fmt: skip


@GROUP.rule("ADR310", "fence-unclosed", remedy="close the code block with the same marks")
def fence_unclosed(record: Record, project: ProjectView) -> Iterable[Problem]:
    """A code block that is never closed swallows the rest of the record."""
    for fence in record.document.fences:
        lines = record.document.slice(fence.span).splitlines()
        opening = re.match(r"[> \t]*(?:[-*+] )?[ \t]*(`{3,}|~{3,})", lines[0]) if lines else None
        if opening is None:
            continue
        last = lines[-1].strip("> \t") if len(lines) > 1 else ""
        mark = opening.group(1)
        closed = len(last) >= len(mark) and set(last) == {mark[0]}
        if not closed and fence.span.end >= len(record.document.text.rstrip()):
            yield Problem(
                "code block is never closed", record.document.source.line_span(fence.line)
            )


@GROUP.rule("ADR311", "section-open", remedy="write it, or leave the record Proposed until you can")
def section_open(record: Record, project: ProjectView) -> Iterable[Problem]:
    """ "TBD" in place of a section says that the question is still open."""
    for name, section in record.sections.items():
        if name in (_S.NEGATIVE, _S.STATUS):
            continue  # ADR503, ADR205
        content = _content(record, section)
        if content and is_open(content):
            yield Problem(
                f"section {section.heading.plain!r} says only {content!r}",
                _first_text(record, section),
            )


def _first_text(record: Record, section: Section) -> Span:
    for paragraph in record.document.paragraphs:
        if paragraph.span in section.body:
            return paragraph.span
    return section.heading.text_span


@GROUP.rule(
    "ADR312", "decision-unspoken", remedy="say in a sentence what is decided; show code elsewhere"
)
def decision_unspoken(record: Record, project: ProjectView) -> Iterable[Problem]:
    """Code, a table or a picture shows something; what of it is the decision only words tell."""
    section = record.section(_S.DECISION)
    if section is None or not _content(record, section):
        return
    words = [
        paragraph
        for paragraph in record.document.paragraphs
        if paragraph.span in section.body
        and re.search(r"\w", plain(_IMAGE.sub("", paragraph.text)))
    ]
    if not words:
        yield Problem("the decision is not said in words", section.heading.text_span)


def first_words(markdown: str, count: int = 6) -> str:
    """The beginning of a text, for messages."""
    words = plain(markdown).split()
    return " ".join(words[:count]) + ("…" if len(words) > count else "")
