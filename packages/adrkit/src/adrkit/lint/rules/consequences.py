"""ADR5xx: consequences and risks."""

from __future__ import annotations

import re
from collections.abc import Iterable

from adrkit.document import Document, Edit, Span, Table, plain
from adrkit.lint.open_points import is_open
from adrkit.lint.rule import HOUSE, Group, Problem, ProjectView, Severity
from adrkit.model import SectionName
from adrkit.record import Record
from adrkit.templates import house_placeholders

GROUP = Group()

_VACUOUS = re.compile(
    r"(?:none|n/?a|nothing|tbd|todo|no (?:real |significant |known |major )?"
    r"(?:negatives?|downsides?|drawbacks?|disadvantages?|costs?|impact)|-+)"
    r"(?: (?:known|identified|at this time|so far|yet))?[.!]?",
    re.IGNORECASE,
)
_LEVEL = re.compile(r"(?P<level>High|Medium|Med|Low)\b(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
# "Medium-High", "Low to Medium", "High/Med", "High-ish": not one of three.
_TWO_LEVELS = re.compile(
    r"[^\s(\[,.;:*_—–]|[*_]*\s*(?:/|\||&|\+|,|[-–—]|to|or|and)\s*(?:very\s+|rather\s+)?[*_]*"
    r"(?:High|Medium|Med|Low)\b",
    re.IGNORECASE,
)
_COLUMNS = ("risk", "impact", "likelihood", "mitigation")


@GROUP.rule("ADR501", "negatives-missing", dialects=HOUSE, remedy="name what the decision costs")
def negatives_missing(record: Record, project: ProjectView) -> Iterable[Problem]:
    """Every decision costs something; a record that names no cost was not thought through."""
    section = record.section(SectionName.NEGATIVE)
    if section and not _says_something(record, section.body, bool(record.consequences.negative)):
        yield Problem("no negative consequence is named", section.heading.text_span)


@GROUP.rule("ADR502", "positives-missing", dialects=HOUSE, remedy="name what the decision brings")
def positives_missing(record: Record, project: ProjectView) -> Iterable[Problem]:
    """The benefits are what the decision will be measured by."""
    section = record.section(SectionName.POSITIVE)
    if section and not _says_something(record, section.body, bool(record.consequences.positive)):
        yield Problem("no positive consequence is named", section.heading.text_span)


def _says_something(record: Record, body: Span, items: bool) -> bool:
    return items or bool(Document.within(record.document.paragraphs, body))


@GROUP.rule(
    "ADR503", "negatives-vacuous", remedy="be honest about downsides: what will hurt, and whom?"
)
def negatives_vacuous(record: Record, project: ProjectView) -> Iterable[Problem]:
    """ "None" is never true of a trade-off."""
    section = record.section(SectionName.NEGATIVE)
    if section is None:
        return
    for paragraph in Document.within(record.document.paragraphs, section.own):
        if _VACUOUS.fullmatch(plain(paragraph.text).removeprefix("- ").strip()):
            yield Problem(
                f"{plain(paragraph.text)!r} is no honest account of the costs", paragraph.span
            )


def risk_table(record: Record) -> Table | None:
    section = record.section(SectionName.RISKS)
    tables = Document.within(record.document.tables, section.body) if section else ()
    return tables[0] if tables else None


@GROUP.rule(
    "ADR504", "risk-table-missing", dialects=HOUSE,
    remedy="add the table | Risk | Impact | Likelihood | Mitigation | with a row per risk",
)  # fmt: skip
def risk_table_missing(record: Record, project: ProjectView) -> Iterable[Problem]:
    """Risks are weighed by impact and likelihood, which needs both for each of them."""
    section = record.section(SectionName.RISKS)
    if section is None:
        return
    table = risk_table(record)
    if table is None or not table.rows:
        yield Problem("no table of risks", section.heading.text_span)


@GROUP.rule(
    "ADR505", "risk-cells", dialects=HOUSE,
    remedy="write a bar inside a cell as \\|, also within backticks",
)  # fmt: skip
def risk_cells(record: Record, project: ProjectView) -> Iterable[Problem]:
    """A bar splits a cell even inside backticks, and the mitigation is silently not shown."""
    for risk in record.risks:
        if risk.raw_cell_count != risk.column_count:
            yield Problem(
                f"row has {risk.raw_cell_count} cells, the table {risk.column_count} columns",
                risk.span,
            )


@GROUP.rule(
    "ADR506", "risk-level", dialects=HOUSE, fixable=True,
    remedy="begin with High, Med (or Medium) or Low; a remark may follow in brackets",
)  # fmt: skip
def risk_level(record: Record, project: ProjectView) -> Iterable[Problem]:
    """Three levels are enough to compare risks, and only if all records use the same three."""
    for risk in record.risks:
        if risk.raw_cell_count != risk.column_count:
            continue
        for name, text, span in (
            ("impact", risk.impact, risk.impact_span),
            ("likelihood", risk.likelihood, risk.likelihood_span),
        ):
            if text is None or span is None or text in house_placeholders():
                continue
            match = _LEVEL.match(text.strip("*_"))
            if match is None or _TWO_LEVELS.match(match["rest"]):
                at = span if text else risk.span
                yield Problem(f"{name} {text!r} is not High, Med or Low", at)
            elif match["level"] != match["level"].capitalize():
                start = record.document.text.index(match["level"], span.start)
                at = Span(start, start + len(match["level"]))
                level = match["level"].capitalize()
                yield Problem(f"{name} {text!r} is written {level!r}", at, (Edit(at, level),))


@GROUP.rule(
    "ADR507", "mitigation-missing", dialects=HOUSE,
    remedy="say what is done about it, or that it is accepted and by whom",
)  # fmt: skip
def mitigation_missing(record: Record, project: ProjectView) -> Iterable[Problem]:
    """A risk that nobody answers for is only a complaint."""
    for risk in record.risks:
        if (
            risk.raw_cell_count == risk.column_count
            and risk.mitigation is not None
            and (_VACUOUS.fullmatch(risk.mitigation) or is_open(risk.mitigation))
        ):
            yield Problem(f"risk {risk.risk!r} has no mitigation", risk.span)


@GROUP.rule(
    "ADR508", "risk-columns", dialects=HOUSE, severity=Severity.ERROR,
    remedy="name the columns Risk, Impact, Likelihood and Mitigation",
)  # fmt: skip
def risk_columns(record: Record, project: ProjectView) -> Iterable[Problem]:
    """All four columns are needed to weigh a risk."""
    table = risk_table(record)
    if table and (missing := [n for n in _COLUMNS if table.column(n, f"{n}s") is None]):
        yield Problem(f"the table has no column {', '.join(missing)}", table.header.span)
