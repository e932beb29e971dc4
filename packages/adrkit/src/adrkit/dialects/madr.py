"""MADR 2 to 4: options and outcome as sections, metadata in YAML front matter or bullet lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from adrkit.dialects.base import (
    Header,
    Successor,
    document_title,
    header_fields,
    items_in,
    link_to,
    missing_status,
    named_section,
    one_line,
    read_consequences,
    reason_text,
    status_of,
    tone,
)
from adrkit.document import Document, Edit, FrontMatter, Heading, Section, Span, plain
from adrkit.model import (
    Alternative,
    Consequences,
    Field,
    SectionName,
    Status,
    Verdict,
    VerdictKind,
    record_numbers,
)

_HEADINGS = {
    "context and problem statement", "considered options", "decision outcome",
    "pros and cons of the options",
}  # fmt: skip
# The option ends at its closing quote, else at ", because" or the end of the sentence.
_CHOSEN = re.compile(
    r"Chosen option(?:s)?:\s*"
    r"(?:\"(?P<quoted>[^\"]+)\"|“(?P<curly>[^”]+)”|(?P<bare>.+?)(?=,?\s+because|\.\s|\Z))",
    re.IGNORECASE | re.DOTALL,
)


class MadrDialect:
    name = "madr"

    def matches(self, document: Document) -> bool:
        names = {plain(heading.text).casefold() for heading in document.headings}
        return len(names & _HEADINGS) >= 2

    def header(self, document: Document) -> Header:
        fields = _front_matter_fields(document)
        for key, value in header_fields(document, continued=True).items():
            fields.setdefault(key, value)
        link = fields.get("technical story")
        return Header(
            document_title(document), fields.get("date"), status_of(fields.get("status")), link,
            fields,
        )  # fmt: skip

    def section_name(self, heading: Heading) -> SectionName | None:
        return named_section(heading)

    def alternatives(
        self, document: Document, sections: Mapping[SectionName, Section]
    ) -> tuple[Alternative, ...]:
        options = sections.get(SectionName.ALTERNATIVES)
        if options is None:
            return ()
        chosen = _chosen(document, sections.get(SectionName.DECISION))
        detail = _detail(document, sections.get(SectionName.ALTERNATIVES_DETAIL))
        found = []
        for item in items_in(document, options.body):
            name = plain(item.text.splitlines()[0] if item.text else "")
            pros, cons = detail.get(_key(name), (None, None))
            verdict = chosen if chosen and _same_option(name, chosen.word) else None
            found.append(Alternative(name, pros, cons, verdict, item.span, item.line))
        return tuple(found)

    def consequences(
        self, document: Document, sections: Mapping[SectionName, Section]
    ) -> Consequences:
        return read_consequences(document, sections)

    def status_edits(
        self, document: Document, status: Status, successor: Successor | None, reason: str | None
    ) -> list[Edit]:
        text = f"superseded by ADR-{successor.number:04d}" if successor else status.value.lower()
        front = document.front_matter
        span = front.value_span("status") if front else None
        if front and span is not None:
            quote = document.text[span.start : span.start + 1]
            quote = quote if quote in ("'", '"') else ('"' if successor else "")
            value = f"{quote}{text}{quote}"
            before = document.text[span.start - 1 : span.start]
            edits = [Edit(span, value if before in " \t" else f" {value}")]
            if reason:
                edits.append(_front_matter_reason(document, front, reason_text(status, reason)))
            return edits
        if front and front.data is not None and _bullet(document, "status") is None:
            lines = [f'status: "{text}"' if successor else f"status: {text}"]
            if reason:
                lines.append(f"reason: {_yaml_text(reason_text(status, reason))}")
            first = document.line_of(front.span.start)
            return [document.insert_after_line(first, *lines)]
        field = _bullet(document, "status")
        if field is None:
            raise missing_status(document)
        edits = [Edit(field.span, text if field.value else f" {text}")]
        if reason:
            line = document.line_of(max(field.span.end - 1, field.span.start))
            edits.append(
                document.insert_after_line(line, f"* Reason: {reason_text(status, reason)}")
            )
        return edits

    def relation_edits(
        self, document: Document, label: str, other: Successor, own_path: Path
    ) -> list[Edit]:
        link = link_to(other, own_path, f"ADR-{other.number:04d}")
        for section in document.sections:
            if named_section(section.heading) is not SectionName.RELATED:
                continue
            items = items_in(document, section.body)
            for item in items:
                if plain(item.text).casefold().startswith(label.casefold()) and (
                    other.number in record_numbers(item.text)
                ):
                    return []
            if items:
                last = document.line_of(max(items[-1].span.end - 1, 0))
                return [document.insert_after_line(last, f"* {label} {link}")]
        eol = document.source.eol
        end = len(document.text)
        text = f"{eol}## More Information{eol}{eol}* {label} {link}"
        if document.text.endswith(("\n", "\r")):
            return [Edit(Span(end, end), text + eol)]
        return [Edit(Span(end, end), eol + text)]


def _front_matter_reason(document: Document, front: FrontMatter, reason: str) -> Edit:
    """A ``reason`` key after the status, or the reason added to the one there is."""
    span = front.value_span("reason")
    existing = (front.data or {}).get("reason")
    if span is not None and isinstance(existing, str):
        return Edit(span, _yaml_text(f"{existing}; {reason}"))
    status = front.value_span("status") or front.content
    line = document.line_of(status.start)
    return document.insert_after_line(line, f"reason: {_yaml_text(reason)}")


def _yaml_text(text: str) -> str:
    escaped = one_line(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _bullet(document: Document, key: str) -> Field | None:
    return header_fields(document, continued=True).get(key)


def _front_matter_fields(document: Document) -> dict[str, Field]:
    front = document.front_matter
    if front is None or front.data is None:
        return {}
    fields: dict[str, Field] = {}
    for key, value in front.data.items():
        span = front.value_span(key)
        if span is None or value is None or isinstance(value, dict):
            continue
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        line = document.line_of(span.start)
        start = document.source.line_span(line).start
        fields[key.casefold()] = Field(key, text, span, line, Span(start, start + len(key)))
    return fields


def _chosen(document: Document, decision: Section | None) -> Verdict | None:
    """The outcome's "Chosen option: "X", because ..." as verdict; ``word`` is the option named."""
    if decision is None:
        return None
    for paragraph in Document.within(document.paragraphs, decision.body):
        if match := _CHOSEN.search(paragraph.text):
            option = match["quoted"] or match["curly"] or match["bare"]
            rest = re.sub(r"^[\s,.;:*_-]*(?:because\b)?", "", paragraph.text[match.end() :])
            return Verdict(
                VerdictKind.CHOSEN, "", plain(option), rest.strip(), paragraph.text,
                paragraph.span, paragraph.line,
            )  # fmt: skip
    return None


def _detail(
    document: Document, section: Section | None
) -> dict[str, tuple[str | None, str | None]]:
    """Pros and cons by option, from the sub-sections' "Good, because" and "Bad, because"."""
    if section is None:
        return {}
    found: dict[str, tuple[str | None, str | None]] = {}
    for option in document.sections:
        if option.heading.level != section.heading.level + 1 or option.span not in section.body:
            continue
        good: list[str] = []
        bad: list[str] = []
        for item in items_in(document, option.body):
            kind = tone(item)
            if kind in ("good", "bad"):
                (good if kind == "good" else bad).append(item.text)
        found[_key(option.heading.plain)] = ("\n".join(good) or None, "\n".join(bad) or None)
    return found


def _key(name: str) -> str:
    return re.sub(r"[^\w]+", " ", name).strip().casefold()


def _same_option(name: str, chosen: str) -> bool:
    """Records shorten option names in the outcome: one key beginning the other is a match."""
    left, right = _key(name), _key(chosen)
    return bool(left and right) and (
        left == right or left.startswith(right + " ") or right.startswith(left + " ")
    )
