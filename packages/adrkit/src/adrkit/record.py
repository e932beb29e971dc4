"""A decision record in any known format, read tolerantly: what is missing is None or empty."""

from __future__ import annotations

import dataclasses
import datetime
import re
from bisect import bisect_right
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from adrkit.dialects import Dialect, Header, detect
from adrkit.document import Document, LinkKind, Section, Span, SpanSweep, plain
from adrkit.drafts import DraftName, draft_name
from adrkit.model import (
    Alternative,
    CheckBlock,
    CitedPath,
    Consequences,
    Decision,
    Field,
    RecordReference,
    ReferenceKind,
    RelatedEntry,
    Relation,
    RelationKind,
    Risk,
    SectionName,
    Status,
    StatusField,
    Title,
    Verdict,
    VerdictKind,
)
from adrkit.names import file_day, file_number
from adrkit.reading import DEFAULT_READING, Reading
from adrkit.relations import declared_relations
from adrkit.vocabulary import read_date, read_title, relation_values

CHECK_LANGUAGE = "adr-check"

_CITATION = re.compile(r"(?<![\w/-])ADR[-_ ]?(\d{1,6})(?!\d|[-\w]*\.md)", re.IGNORECASE)
_LINKED_RECORD = re.compile(r"(?:^|/)(?:adr[-_]?)?(\d{1,6})[a-z]?[-_][^/]*\.(?:md|markdown)$", re.I)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_PATH = re.compile(
    # With marks that stand apart from their letters, as in names from macOS (NFD).
    r"(?P<path>(?:\.{0,2}/)?[\w\u0300-\u036f.@+~-]+(?:/[\w\u0300-\u036f.@+~*\[\]{}-]+)*/?)"
    r"(?P<fragment>(?:::[\w.:\[\]-]+|#L\d+(?:-L?\d+)?|:\d+(?:[-:]\d+)*)?)"
)
# An unslashed name in backticks is a path only with one of these endings: `os.path` is none.
_FILE_ENDING = re.compile(
    r"\.(?:py|pyi|toml|ya?ml|json|ini|cfg|md|rst|txt|sql|sh|js|ts|tsx|jsx|css|html|go|rs|java|kt|rb|"
    r"c|h|cc|cpp|hpp|tf|lock|env|proto|graphql|xml|csv)$|^(?:Dockerfile|Makefile|Justfile)$"
)
_LABELLED = re.compile(r"\*\*(?P<label>[^*\n]+?)(?::\*\*|\*\*\s*:)[ \t]*")


class Record:
    """One record. Cheap to make; every part is read when first asked for.

    Spans and lines are those of ``document``. Nothing here raises on odd content.
    """

    def __init__(self, document: Document, reading: Reading = DEFAULT_READING) -> None:
        self.document = document
        self.reading = reading

    @classmethod
    def read(cls, path: Path, reading: Reading = DEFAULT_READING) -> Record:
        """Raises UnreadableFile or NotUtf8."""
        return cls(Document.read(path), reading)

    @classmethod
    def from_text(
        cls, text: str, path: Path | None = None, reading: Reading = DEFAULT_READING
    ) -> Record:
        return cls(Document.from_text(text, path), reading)

    def __repr__(self) -> str:
        return f"<Record {self.path or self.label}>"

    @property
    def path(self) -> Path | None:
        return self.document.path

    @cached_property
    def dialect(self) -> Dialect:
        return detect(self.document, self.reading)

    @cached_property
    def header(self) -> Header:
        return self.dialect.header(self.document)

    # -- identity ----------------------------------------------------------------------------

    @property
    def title(self) -> Title | None:
        return self.header.title

    @cached_property
    def titles(self) -> tuple[Title, ...]:
        """All level-1 headings: more than one is a fault worth reporting."""
        return tuple(
            read_title(heading.text, heading.text_span, heading.line)
            for heading in self.document.headings
            if heading.level == 1 and not heading.nested
        )

    @cached_property
    def file_number(self) -> int | None:
        found = file_number(self.path) if self.path else None
        return found[0] if found else None

    @property
    def title_number(self) -> int | None:
        return self.title.number if self.title else None

    @property
    def number(self) -> int | None:
        """The file name's number; the title's when the file name has none. Drafts have none."""
        if self.draft is not None:
            return None
        return self.file_number if self.file_number is not None else self.title_number

    @cached_property
    def draft(self) -> DraftName | None:
        """The draft's name, by the file name, of a record that waits for its number."""
        return draft_name(self.path) if self.path else None

    @property
    def label(self) -> str:
        """ "ADR-0007", "ADR-draft-SLUG-KEY", else the file name, else "record": for messages."""
        if self.draft is not None:
            return self.draft.label
        if self.number is not None:
            return f"ADR-{self.number:04d}"
        return self.path.name if self.path else "record"

    @property
    def name(self) -> str:
        """The title's text as a reader sees it, "" when there is none."""
        return plain(self.title.text) if self.title else ""

    # -- metadata ----------------------------------------------------------------------------

    @property
    def date(self) -> Field | None:
        """The date as written; ``date_value`` parses it."""
        return self.header.date

    @property
    def date_value(self) -> datetime.date | None:
        """The day of the decision, however it is written; the one in the file's name when the
        record itself has none. None as well for "03/04/2026", which may be two days."""
        if self.date is not None and self.date.value:
            return read_date(self.date.value)
        return file_day(self.path) if self.path else None

    @property
    def status(self) -> StatusField | None:
        return self.header.status

    @property
    def status_kind(self) -> Status | None:
        return self.status.kind if self.status else None

    @property
    def deciders(self) -> tuple[str, ...]:
        return _items(self.header.metadata.get("deciders"))

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(tag.lstrip("#") for tag in _items(self.header.metadata.get("tags")))

    @property
    def context_link(self) -> Field | None:
        return self.header.context_link

    # -- sections ----------------------------------------------------------------------------

    @cached_property
    def sections(self) -> Mapping[SectionName, Section]:
        """Sections by canonical name; the first of a name counts (see ``duplicate_sections``)."""
        found: dict[SectionName, Section] = {}
        for name, section in self._named_sections:
            found.setdefault(name, section)
        return found

    @cached_property
    def duplicate_sections(self) -> tuple[tuple[SectionName, Section], ...]:
        seen: set[SectionName] = set()
        return tuple(
            (name, section)
            for name, section in self._named_sections
            if name in seen or seen.add(name)  # type: ignore[func-returns-value]
        )

    @cached_property
    def _named_sections(self) -> tuple[tuple[SectionName, Section], ...]:
        named = []
        for section in self.document.sections:
            if section.heading.level >= 2 and (name := self.dialect.section_name(section.heading)):
                named.append((name, section))
        return tuple(named)

    def section(self, name: SectionName) -> Section | None:
        return self.sections.get(name)

    def section_text(self, name: SectionName) -> str | None:
        """Markdown of a section's body, sub-sections included, trimmed."""
        section = self.sections.get(name)
        return self.document.slice(section.body).strip() if section else None

    @cached_property
    def decision(self) -> Decision | None:
        section = self.sections.get(SectionName.DECISION)
        if section is None:
            return None
        for paragraph in self.document.paragraphs:
            if paragraph.span in section.body:
                return Decision(paragraph.text, paragraph.span, paragraph.line)
        return None

    # -- alternatives, consequences, risks ---------------------------------------------------

    @cached_property
    def alternatives(self) -> tuple[Alternative, ...]:
        return self.dialect.alternatives(self.document, self.sections)

    @property
    def chosen(self) -> tuple[Alternative, ...]:
        return tuple(
            option
            for option in self.alternatives
            if option.verdict and option.verdict.kind is VerdictKind.CHOSEN
        )

    @cached_property
    def consequences(self) -> Consequences:
        return self.dialect.consequences(self.document, self.sections)

    @cached_property
    def risks(self) -> tuple[Risk, ...]:
        section = self.sections.get(SectionName.RISKS)
        tables = Document.within(self.document.tables, section.body) if section else ()
        if not tables:
            return ()
        table = tables[0]
        columns = [
            table.column("risk", "risks"), table.column("impact", "severity"),
            table.column("likelihood", "probability"), table.column("mitigation", "mitigations"),
        ]  # fmt: skip
        found = []
        for row in table.rows:
            risk, impact, likelihood, mitigation = (
                row.cell(column) if column is not None else None for column in columns
            )
            found.append(
                Risk(
                    risk.text if risk else "",
                    impact.text if impact else None,
                    likelihood.text if likelihood else None,
                    mitigation.text if mitigation else None,
                    impact.span if impact else None,
                    likelihood.span if likelihood else None,
                    row.span, row.line, row.raw_cell_count, table.column_count,
                )
            )  # fmt: skip
        return tuple(found)

    # -- links -------------------------------------------------------------------------------

    @cached_property
    def related(self) -> tuple[RelatedEntry, ...]:
        bodies = [s.body for name, s in self._named_sections if name is SectionName.RELATED]
        within = SpanSweep(bodies)
        entries = []
        for item in self.document.list_items if bodies else ():
            if item.depth or not within.holds(item.span):
                continue
            match = _LABELLED.search(self.document.text, item.span.start, item.span.end)
            starts = match is not None and item.text.startswith("**")
            low = match.end() if match and starts else item.span.end - len(item.text)
            label = match["label"].strip() if match and starts else ""
            value = self.document.text[low : item.span.end]
            entries.append(
                RelatedEntry(label, value.strip(), item.span, Span(low, item.span.end), item.line)
            )
        return tuple(entries)

    @cached_property
    def references(self) -> tuple[RecordReference, ...]:
        """Every mention of a record outside code: links to record files and ``ADR-NNNN``."""
        found: list[RecordReference] = []
        links: list[Span] = []
        for link in self.document.links:
            target = unquote(link.target.split("#")[0].split("?")[0])
            match = None if _SCHEME.match(target) else _LINKED_RECORD.search(target)
            if match and link.kind is not LinkKind.IMAGE:
                links.append(link.span)
                found.append(
                    RecordReference(
                        int(match.group(1)), ReferenceKind.LINK, link.text, link.target,
                        link.span, link.line,
                    )
                )  # fmt: skip
        title = self.title.span if self.title else Span(0, 0)
        skipped = SpanSweep([*links, title, *(code.span for code in self.document.code_spans)])
        prose = self.document.prose_spans
        starts = [span.start for span in prose]
        for match in _CITATION.finditer(self.document.text):
            at = Span(match.start(), match.end())
            place = bisect_right(starts, at.start) - 1
            if place < 0 or at not in prose[place] or skipped.holds(at):
                continue
            found.append(
                RecordReference(
                    int(match.group(1)), ReferenceKind.CITATION, match.group(), None, at,
                    self.document.line_of(at.start),
                )
            )  # fmt: skip
        return tuple(sorted(found, key=lambda reference: reference.span))

    @cached_property
    def relations(self) -> tuple[Relation, ...]:
        """Supersessions and amendments that the record declares, each once, in order."""
        unique: dict[tuple[RelationKind, int], Relation] = {}
        for item in declared_relations(self):
            kept = unique.setdefault((item.kind, item.number), item)
            if kept.target is None and item.target is not None:
                unique[item.kind, item.number] = dataclasses.replace(kept, target=item.target)
        return tuple(unique.values())

    @property
    def unnumbered_successors(self) -> tuple[str, ...]:
        """Link targets after "superseded by" that lead to records without a number."""
        found = [
            target
            for status in self.header.statuses
            for relation in status.relations
            if relation.kind is RelationKind.SUPERSEDED_BY
            for target in relation.targets
        ]
        for item in self.header.metadata.all("superseded by"):
            found += relation_values(item.values or (item.value,))[1]
        return tuple(dict.fromkeys(found))

    @property
    def supersedes(self) -> tuple[int, ...]:
        return tuple(r.number for r in self.relations if r.kind is RelationKind.SUPERSEDES)

    @property
    def superseded_by(self) -> tuple[int, ...]:
        return tuple(r.number for r in self.relations if r.kind is RelationKind.SUPERSEDED_BY)

    @cached_property
    def cited_paths(self) -> tuple[CitedPath, ...]:
        """Repository paths in backticks, and relative links that lead to no record."""
        found = []
        for code in self.document.code_spans:
            match = _PATH.fullmatch(code.content.strip())
            if match is None:
                continue
            path = match["path"]
            looks_like_path = "/" in path.strip("/") or (path.endswith("/") and len(path) > 1)
            if looks_like_path or _FILE_ENDING.search(path):
                found.append(
                    CitedPath(path, code.content, match["fragment"], False, code.span, code.line)
                )
        for link in self.document.links:
            target, mark, fragment = link.target.partition("#")
            target = unquote(target.split("?")[0])
            if not target or target.startswith("//") or _SCHEME.match(target) or "@" in target:
                continue
            if _LINKED_RECORD.search(target):
                continue
            found.append(
                CitedPath(target, link.target, mark + fragment, True, link.span, link.line)
            )
        return tuple(sorted(found, key=lambda cited: cited.span))

    @cached_property
    def checks(self) -> tuple[CheckBlock, ...]:
        return tuple(
            CheckBlock(fence.content, fence.info, fence.span, fence.line, fence.content_line)
            for fence in self.document.fences
            if fence.language == CHECK_LANGUAGE
        )

    @cached_property
    def word_count(self) -> int:
        """Words of prose and tables; fenced code, front matter and HTML are not counted."""
        text = self.document.text
        return sum(len(text[s.start : s.end].split()) for s in self.document.prose_spans)


def _items(field: Field | None) -> tuple[str, ...]:
    """Items of a list in front matter, or of "a, b; c" as people write them elsewhere."""
    if field is None:
        return ()
    values = field.values if len(field.values) > 1 else (field.value.strip("[]{}"),)
    parts = values if len(values) > 1 else re.split(r"[,;]|\s+#(?=\w)", values[0])
    return tuple(text for part in parts if (text := plain(part).strip(" -\"'")))


__all__ = ["CHECK_LANGUAGE", "Record", "Verdict", "file_number"]
