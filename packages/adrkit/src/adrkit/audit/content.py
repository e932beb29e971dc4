"""What of a decided record may not change, in a form that can be compared.

Left out, because they may change at any time: the status and its reason, the link to the context,
the entries of Related, targets of links and repository paths in backticks, HTML comments (nobody
reads them), and headings under which nothing else stands. Amendments and ``adr-check`` blocks are
read apart.

Two forms. ``lines`` is cheap: white space and table padding evened out. When two versions differ
there, ``tree`` decides: what a Markdown parser makes of them, so that ``*`` for ``-`` or a wrapped
line is no change either.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from adrkit.checks.block import read_checks
from adrkit.checks.check import Check
from adrkit.document import Document, Span
from adrkit.model import SectionName
from adrkit.record import CHECK_LANGUAGE, Record

_AMENDMENT = re.compile(
    r"(?P<mark>> ?|[-*+][ \t]+)?\*\*Amended (?P<date>\d{4}-\d{2}-\d{2})(?::\*\*|\*\*:?)[ \t]*"
    r"(?P<text>\S.*)"
)
_RELATION = re.compile(r"[*_]*(?:super[cs]ede[sd]|amend(?:s|ed by))\b|.*\]\(", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
# Keys of front matter that say where a record stands, or link it (MADR 3 and 4: `date` is when
# the decision was last updated).
_MUTABLE_KEYS = {"status", "reason", "date", "supersedes", "superseded-by", "superseded_by"}

_PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


@dataclass(frozen=True, slots=True)
class Amendment:
    """``> **Amended 2026-11-24:** what was corrected, and why``, also as a list item."""

    date: datetime.date
    text: str  # white space evened out
    line: int


@dataclass(frozen=True, slots=True)
class Part:
    """One unit of content; ``line`` is the record's."""

    text: str
    line: int


class Content:
    """The immutable part of one version of a record."""

    def __init__(self, record: Record) -> None:
        self.record = record

    @cached_property
    def _kept(self) -> tuple[list[Part], tuple[Amendment, ...]]:
        return _keep(self.record)

    @property
    def amendments(self) -> tuple[Amendment, ...]:
        return self._kept[1]

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The lines that stay: indentation kept, other white space evened out, no table rulings."""
        document = self.record.document
        fenced = _lines_of(document, [fence.span for fence in document.fences])
        tables = _lines_of(document, [table.span for table in document.tables])
        rulings = {table.delimiter.line for table in document.tables}
        found = [self._front_matter]
        for part in self._kept[0]:
            if part.line in fenced:
                found.append(part.text.rstrip())
            elif part.line in rulings:
                continue
            elif not part.text.strip():
                if found[-1]:
                    found.append("")  # one blank line may mean something, several mean the same
            elif part.line in tables:
                cells = re.split(r"(?<!\\)\|", part.text.strip().strip("|"))
                found.append("|".join(" ".join(cell.split()) for cell in cells))
            else:
                indent = part.text[: len(part.text) - len(part.text.lstrip())]
                found.append(indent + " ".join(part.text.split()))
        while len(found) > 1 and not found[-1]:
            found.pop()
        return tuple(found)

    @cached_property
    def tree(self) -> tuple[Part, ...]:
        """Blocks in order, as the parser sees them, links without target."""
        kept = self._kept[0]
        text = "\n".join(part.text for part in kept)
        numbers = [part.line for part in kept]
        parts = [Part(self._front_matter, 1)] if self._front_matter else []
        for token in _PARSER.parse(text):
            line = numbers[min(token.map[0], len(numbers) - 1)] if token.map and numbers else 1
            shown = _shown(token)
            if shown is not None:
                parts.append(Part(shown, line or (parts[-1].line if parts else 1)))
        return tuple(parts)

    @cached_property
    def _front_matter(self) -> str:
        front = self.record.document.front_matter
        if front is None:
            return ""
        if front.data is None:
            return front.text
        kept = {k: v for k, v in front.data.items() if k.casefold() not in _MUTABLE_KEYS}
        return json.dumps(kept, sort_keys=True, default=str) if kept else ""

    @cached_property
    def promises(self) -> tuple[str, ...]:
        """Each check without the keys that only say where the code is, in a canonical form."""
        return tuple(
            _promise(check) if isinstance(check, Check) else f"malformed: {check.message}"
            for check in read_checks(self.record)
        )


def _promise(check: Check) -> str:
    spec = check.spec
    fields: Mapping[str, Any] = {
        name: getattr(spec, name)
        for name in spec.__dataclass_fields__  # type: ignore[attr-defined]
        if name.replace("_", "-") not in spec.location_keys
    }
    entries = {name: _plain(value) for name, value in fields.items()}
    return json.dumps([spec.kind, entries, check.revisit, check.alternative], default=str)


def _plain(value: Any) -> Any:
    name = getattr(value, "name", None)  # an operator is known by its name
    return name if isinstance(name, str) else value


# --- what is left out -----------------------------------------------------------------------


def _keep(record: Record) -> tuple[list[Part], tuple[Amendment, ...]]:
    document = record.document
    source = document.source
    dropped = set[int]()
    if document.front_matter:
        dropped |= _lines_of(document, [document.front_matter.span])
    dropped |= _check_blocks(document) | _status_section(record) | _related_lines(record)
    reason = _reason_lines(record)
    dropped |= reason
    fenced = _lines_of(document, [fence.span for fence in document.fences])
    amendments = _amendments(document, dropped | fenced)
    for amendment, last in amendments:
        dropped |= set(range(amendment.line, last + 1))
    replaced = _replacements(record)
    lines: list[Part] = []
    for line in range(1, source.line_count + 1):
        if line in dropped:
            lines.append(Part("", line))
            continue
        span = source.line_span(line)
        text = source.text[span.start : span.end]
        for cut in replaced.get(line, ()):  # from the last to the first
            low, high = max(cut.start, span.start), min(cut.end, span.end)
            text = text[: low - span.start] + text[high - span.start :]
        lines.append(Part(text.replace("\0", "\ufffd"), line))
    kept = _without_empty_sections(document, lines)
    # A reason stands amid the lines of the header: a blank line in its place would split these.
    kept = [part for part in kept if part.line not in reason]
    return kept, tuple(found for found, _ in amendments)


def _lines_of(document: Document, spans: list[Span]) -> set[int]:
    found: set[int] = set()
    for span in spans:
        last = document.line_of(max(span.end - 1, span.start))
        found |= set(range(document.line_of(span.start), last + 1))
    return found


def _check_blocks(document: Document) -> set[int]:
    return _lines_of(document, [f.span for f in document.fences if f.language == CHECK_LANGUAGE])


def _status_section(record: Record) -> set[int]:
    """The Status section of formats that have one."""
    section = record.section(SectionName.STATUS)
    return _lines_of(record.document, [section.body]) if section and len(section.body) else set()


def _reason_lines(record: Record) -> set[int]:
    reason = record.header.fields.get("reason")
    if reason is None:
        return set()
    return _lines_of(record.document, [Span(reason.key_span.start, reason.span.end)])


def _related_lines(record: Record) -> set[int]:
    """Entries of Related; in other formats, where that section holds prose too, only its links.

    A line that is not indented is prose under the list, though Markdown lets it run on.
    """
    section = record.section(SectionName.RELATED)
    if section is None:
        return set()
    house = record.dialect.name == "house"
    items = [
        item.span
        for item in Document.within(record.document.list_items, section.body)
        if item.depth == 0 and (house or _RELATION.match(item.text))
    ]
    source = record.document.source
    first = {source.line_of(span.start) for span in items}
    return {
        line
        for line in _lines_of(record.document, items)
        if line in first or source.line_text(line)[:1] in (" ", "\t")
    }


def _replacements(record: Record) -> dict[int, list[Span]]:
    """Spans to cut out by line, last first: status, context link, cited paths, comments."""
    document = record.document
    spans = [field.span for field in (record.status, record.context_link) if field]
    spans += [cited.span for cited in record.cited_paths if not cited.is_link]
    if "<!--" in document.text:
        code = [fence.span for fence in document.fences] + [c.span for c in document.code_spans]
        for match in _COMMENT.finditer(document.text):
            span = Span(match.start(), match.end())
            if not any(span in other for other in code):
                spans.append(span)
    found: dict[int, list[Span]] = {}
    for span in sorted(set(spans), reverse=True):
        for line in _lines_of(document, [span]):
            found.setdefault(line, []).append(span)
    return found


def _amendments(document: Document, excluded: set[int]) -> list[tuple[Amendment, int]]:
    """Each with its last line: a quotation or list item may run over several."""
    source = document.source
    found: list[tuple[Amendment, int]] = []
    line = 1
    while line <= source.line_count:
        match = None if line in excluded else _AMENDMENT.match(source.line_text(line))
        if match is None:
            line += 1
            continue
        first, texts = line, [match["text"]]
        mark = (match["mark"] or "").strip()
        while (line := line + 1) <= source.line_count and line not in excluded:
            text = source.line_text(line)
            if not text.strip() or _AMENDMENT.match(text):
                break
            if (mark == ">") != text.startswith(">"):
                break
            if mark and mark != ">" and not text.startswith((" ", "\t")):
                break
            texts.append(text.lstrip("> \t"))
        try:
            day = datetime.date.fromisoformat(match["date"])
        except ValueError:
            continue  # no such day: not an amendment, so its lines are content
        found.append((Amendment(day, " ".join(" ".join(texts).split()), first), line - 1))
    return found


def _without_empty_sections(document: Document, lines: list[Part]) -> list[Part]:
    """Headings under which only mutable parts stood are mutable themselves."""
    filled = [bool(part.text.strip()) for part in lines]
    for section in reversed(document.sections):
        first = section.line
        if section.heading.level < 2:
            continue
        start = document.line_of(section.body.start) if len(section.body) else first + 1
        end = document.line_of(max(section.span.end - 1, section.span.start))
        if not any(filled[start - 1 : end]):
            for line in range(first, start):
                filled[line - 1] = False
    return [part if filled[i] else Part("", part.line) for i, part in enumerate(lines)]


# --- the parser's view ----------------------------------------------------------------------

# Tight or loose lists, and thereby paragraphs inside of them, are matters of blank lines.
_SILENT = {"paragraph_open", "paragraph_close"}


def _shown(token: Token) -> str | None:
    if token.type in _SILENT:
        return None
    if token.type == "inline":
        return " ".join("".join(map(_inline, token.children or [])).split())
    if token.type == "fence":
        code = "\n".join(line.rstrip() for line in token.content.rstrip().split("\n"))
        return f"```{token.info.strip()}\n{code}"
    if token.type == "code_block":
        return "\n".join(line.rstrip() for line in token.content.rstrip().split("\n"))
    if token.type == "html_block":
        return " ".join(token.content.split())
    start = token.attrs.get("start", "") if token.type == "ordered_list_open" else ""
    return f"<{token.type} {token.tag} {start}>"


def _inline(token: Token) -> str:
    if token.type in ("text", "text_special", "html_inline"):
        return token.content
    if token.type == "code_inline":
        return f"`{token.content}`"
    if token.type in ("softbreak", "hardbreak"):
        return " "
    if token.type == "image":
        return f"![{token.content}]"
    return f"<{token.type}>"
