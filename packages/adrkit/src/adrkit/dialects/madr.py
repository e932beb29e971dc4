"""MADR 2 to 4: options and outcome as sections, metadata in YAML front matter or bullet lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from adrkit.dialects.base import (
    ReadsMetadata,
    Successor,
    items_in,
    named_section,
    read_consequences,
    tone,
)
from adrkit.dialects.edits import (
    link_to,
    quoted,
    reason_edit,
    reason_text,
    stated,
    status_edit,
)
from adrkit.document import Document, Edit, Section, Span, plain
from adrkit.model import (
    Alternative,
    Consequences,
    SectionName,
    Status,
    Verdict,
    VerdictKind,
)
from adrkit.reading import Reading
from adrkit.vocabulary import record_numbers

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


class MadrDialect(ReadsMetadata):
    name = "madr"

    def matches(self, document: Document) -> bool:
        names = {
            plain(re.sub(r"<!--.*?-->", "", heading.text)).casefold()
            for heading in document.headings
        }
        return len(names & _HEADINGS) >= 2

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
        header = self.header(document)
        edits = []
        front = document.front_matter
        if header.status is None and front and front.data is not None and front.format != "json":
            sign = " =" if front.format == "toml" else ":"
            value = f'"{text}"' if successor or front.format == "toml" else text
            lines = [f"status{sign} {value}"]
            if reason:
                lines.append(f"reason{sign} {quoted(reason_text(status, reason))}")
            return [document.insert_after_line(document.line_of(front.span.start), *lines)]
        stated(document, header)
        edits.append(status_edit(document, header, text, self.reading))
        if reason:
            text_of = reason_text(status, reason)
            edits.append(reason_edit(document, header, text_of, self.reading))
        return edits

    def relation_edits(
        self, document: Document, label: str, other: Successor, own_path: Path
    ) -> list[Edit]:
        return related_edits(document, self.reading, label, other, own_path)


def related_edits(
    document: Document, reading: Reading, label: str, other: Successor, own_path: Path
) -> list[Edit]:
    """An item "label link" in the Related section, or in one made at the end."""
    link = link_to(other, own_path, f"ADR-{other.number:04d}")
    for section in document.sections:
        if named_section(section.heading, reading) is not SectionName.RELATED:
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
