"""ADR1xx: file name, title and number."""

from __future__ import annotations

import re
from collections.abc import Iterable

from adrkit.document import Edit
from adrkit.lint.rule import HOUSE, Group, Problem, ProjectView, Severity, title_span
from adrkit.model import Title
from adrkit.record import Record
from adrkit.templates import house_placeholders

GROUP = Group()

_FILE_NAME = re.compile(r"\d{4}-[^\W_A-Z]+(?:-[^\W_A-Z]+)*\.md")
_MAX_TITLE_CHARACTERS = 90
# Lower case in the middle of a title (Chicago Manual of Style 8.159: articles, conjunctions and
# prepositions).
_SMALL_WORDS = frozenset(
    {
        "a", "an", "and", "as", "at", "but", "by", "for", "from", "if", "in", "into", "nor", "of",
        "on", "onto", "or", "over", "per", "so", "than", "the", "to", "up", "upon", "versus", "via",
        "vs", "when", "with", "within", "without", "yet",
    }
)  # fmt: skip


@GROUP.rule(
    "ADR101", "file-name", dialects=HOUSE,
    remedy="name it NNNN-short-kebab-case-title.md; `adr renumber` changes links with it",
)  # fmt: skip
def file_name(record: Record, project: ProjectView) -> Iterable[Problem]:
    """Records sort and link by name: four digits and the title in lower-case kebab form."""
    if record.draft is not None:
        return  # `adr number` names it
    if record.path is not None and not _FILE_NAME.fullmatch(record.path.name):
        yield Problem(
            f"file name {record.path.name!r} is not NNNN-short-kebab-case-title.md",
            title_span(record),
        )


@GROUP.rule("ADR102", "title-missing", remedy="begin with `# ADR-NNNN: Title`")
def title_missing(record: Record, project: ProjectView) -> Iterable[Problem]:
    """Without a title a record cannot be found or cited."""
    if record.title is None:
        yield Problem("the record has no title", record.document.source.line_span(1))
    elif not record.title.text.strip():
        yield Problem("the title has a number and no words", record.title.span)


@GROUP.rule(
    "ADR103", "title-repeated", remedy="make it a section (`##`), or split the record in two"
)
def title_repeated(record: Record, project: ProjectView) -> Iterable[Problem]:
    """One record, one decision: a second level-1 heading begins another document."""
    for title in record.titles[1:]:
        if plain_heading(title) not in ("ADR Guidelines",):
            yield Problem(f"second title {title.raw!r}", title.span)


def plain_heading(title: Title) -> str:
    return title.raw.strip("*_ ")


@GROUP.rule(
    "ADR104", "title-form", dialects=HOUSE, fixable=True, remedy="write `# ADR-NNNN: Title`"
)
def title_form(record: Record, project: ProjectView) -> Iterable[Problem]:
    """The title carries the number, zero-padded to four digits, so that text search finds it."""
    title = record.title
    if title is None or not title.text.strip() or title.prefix.startswith("[NNNN]"):
        return
    if record.draft is not None:
        return
    number = title.number if title.number is not None else record.file_number
    if number is None or title.suffix:
        return
    wanted = f"ADR-{number:04d}: "
    if title.prefix != wanted and "[NNNN]" not in title.raw:
        yield Problem(
            f"title begins {title.prefix or title.text[:20]!r}, not {wanted!r}",
            title.span,
            (Edit(title.span, wanted + title.text),) if record.titles else (),
        )


@GROUP.rule(
    "ADR105", "title-case", severity=Severity.WARNING, dialects=HOUSE,
    remedy="capitalise every word but articles, conjunctions and prepositions",
)  # fmt: skip
def title_case(record: Record, project: ProjectView) -> Iterable[Problem]:
    """The specification asks for a short title in Title Case."""
    if record.title is None or set(re.findall(r"\[[^\]]+\]", record.title.raw)) & (
        house_placeholders()
    ):
        return
    without_code = re.sub(r"`[^`]*`", "", record.title.text)
    words = re.findall(r"(?<![\w./-])[a-z]+(?![\w./]|-\d)", without_code)
    wrong = [word for word in words if word not in _SMALL_WORDS and len(word) > 1]
    if wrong:
        yield Problem(f"not in Title Case: {', '.join(wrong)}", record.title.span)


@GROUP.rule(
    "ADR106", "number-mismatch", remedy="`adr renumber` gives file, title and links one number"
)
def number_mismatch(record: Record, project: ProjectView) -> Iterable[Problem]:
    """File name and title must name the same number, or links lead to the wrong decision."""
    title = record.title
    if title is None or title.number is None or record.file_number is None:
        return
    if title.number != record.file_number:
        yield Problem(
            f"the title says {title.number:04d}, the file name {record.file_number:04d}",
            title.span,
        )


@GROUP.rule(
    "ADR109", "title-length", severity=Severity.WARNING,
    remedy="keep what a reader of the index needs; the rest belongs into Decision",
)  # fmt: skip
def title_length(record: Record, project: ProjectView) -> Iterable[Problem]:
    """Titles are read in lists; more than 90 characters do not fit there."""
    if record.title and len(record.title.text) > _MAX_TITLE_CHARACTERS:
        yield Problem(
            f"the title has {len(record.title.text)} characters, more than {_MAX_TITLE_CHARACTERS}",
            record.title.span,
        )
