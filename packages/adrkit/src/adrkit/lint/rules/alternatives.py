"""ADR4xx: the table of alternatives and its verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from adrkit.document import Document, Edit, Span, Table
from adrkit.lint.open_points import is_open
from adrkit.lint.rule import HOUSE, Group, Problem, ProjectView, Severity
from adrkit.model import SectionName, Status, VerdictKind
from adrkit.record import Record
from adrkit.templates import house_placeholders
from adrkit.vocabulary import verdict_kinds

GROUP = Group()

_COLUMNS = ("approach", "pros", "cons", "verdict")
_MARKS = {
    VerdictKind.CHOSEN: "✅", VerdictKind.REJECTED: "❌", VerdictKind.FUTURE: "⏸️",
}  # fmt: skip


def alternatives_table(record: Record) -> Table | None:
    section = record.section(SectionName.ALTERNATIVES)
    tables = Document.within(record.document.tables, section.body) if section else ()
    return tables[0] if tables else None


def missing_columns(table: Table) -> list[str]:
    return [name for name in _COLUMNS if table.column(name) is None]


def judged(record: Record) -> bool:
    """Whether verdicts can be read at all: other rules report why not."""
    table = alternatives_table(record)
    return table is not None and table.column("verdict") is not None


@GROUP.rule(
    "ADR401", "alternatives-table-missing", dialects=HOUSE,
    remedy="add the table | Approach | Pros | Cons | Verdict |",
)  # fmt: skip
def table_missing(record: Record, project: ProjectView) -> Iterable[Problem]:
    """A table makes alternatives comparable and their verdicts findable."""
    section = record.section(SectionName.ALTERNATIVES)
    if section and alternatives_table(record) is None:
        yield Problem("no table of alternatives", section.heading.text_span)


@GROUP.rule(
    "ADR402", "alternatives-columns", dialects=HOUSE,
    remedy="name the columns Approach, Pros, Cons and Verdict",
)  # fmt: skip
def table_columns(record: Record, project: ProjectView) -> Iterable[Problem]:
    """All four columns are needed: what, for, against, and what became of it."""
    table = alternatives_table(record)
    if table and (missing := missing_columns(table)):
        yield Problem(f"the table has no column {', '.join(missing)}", table.header.span)


@GROUP.rule(
    "ADR403", "alternatives-cells",
    remedy="write a bar inside a cell as \\|, also within backticks",
)  # fmt: skip
def row_cells(record: Record, project: ProjectView) -> Iterable[Problem]:
    """A bar splits a cell even inside backticks, and what then stands beyond the last column, the
    verdict, is silently not shown."""
    for option in record.alternatives:
        if option.raw_cell_count != option.column_count:
            yield Problem(
                f"row has {option.raw_cell_count} cells, the table {option.column_count} columns",
                option.span,
            )


@GROUP.rule(
    "ADR404", "alternatives-too-few", dialects=(*HOUSE, "madr"),
    remedy="add what else was thought of, doing nothing included",
)  # fmt: skip
def too_few(record: Record, project: ProjectView) -> Iterable[Problem]:
    """With one option there was nothing to decide."""
    section = record.section(SectionName.ALTERNATIVES)
    if section is None or (record.dialect.name in HOUSE and alternatives_table(record) is None):
        return
    if len(record.alternatives) < 2:
        yield Problem(
            f"{len(record.alternatives)} alternative, at least two are needed",
            section.heading.text_span,
        )


def _rows_whole(record: Record) -> bool:
    return all(o.raw_cell_count == o.column_count for o in record.alternatives)


@GROUP.rule("ADR405", "none-chosen", dialects=HOUSE, remedy="mark one row ✅ **Chosen** - reason")
def none_chosen(record: Record, project: ProjectView) -> Iterable[Problem]:
    """Exactly one alternative is the decision. (None has to be in a rejected record.)"""
    if not judged(record) or not record.alternatives or not _rows_whole(record):
        return
    if not record.chosen and record.status_kind is not Status.REJECTED:
        section = record.sections[SectionName.ALTERNATIVES]
        yield Problem("no alternative is ✅ Chosen", section.heading.text_span)


@GROUP.rule("ADR406", "several-chosen", remedy="choose one, or write the mixture as a row")
def several_chosen(record: Record, project: ProjectView) -> Iterable[Problem]:
    """Exactly one alternative is the decision."""
    if record.dialect.name == "madr":
        return  # options whose names begin alike cannot be told apart there
    for option in record.chosen[1:]:
        yield Problem(f"{option.approach!r} is ✅ Chosen as well", option.span)


@GROUP.rule(
    "ADR407", "verdict-unknown", dialects=HOUSE,
    remedy="✅ **Chosen** - reason, ❌ Rejected - reason or ⏸️ Future consideration - reason",
)  # fmt: skip
def verdict_unknown(record: Record, project: ProjectView) -> Iterable[Problem]:
    """Every alternative was chosen, rejected or put off."""
    if not judged(record):
        return
    for option in record.alternatives:
        if option.raw_cell_count != option.column_count:
            continue
        if option.verdict is None or option.verdict.kind is None:
            at = option.verdict.span if option.verdict and option.verdict.raw else option.span
            yield Problem(f"{option.approach!r} has no verdict", at)


@GROUP.rule(
    "ADR408", "verdict-mark", severity=Severity.WARNING, dialects=HOUSE, fixable=True,
    remedy="begin the verdict with ✅, ❌ or ⏸️",
)  # fmt: skip
def verdict_mark(record: Record, project: ProjectView) -> Iterable[Problem]:
    """The mark lets the eye find the chosen row."""
    for option in record.alternatives:
        verdict = option.verdict
        if verdict and verdict.kind and not verdict.mark and verdict.raw:
            at = Span(verdict.span.start, verdict.span.start)
            mark = _MARKS[verdict.kind]
            yield Problem(
                f"verdict {verdict.word!r} has no {mark}", verdict.span, (Edit(at, f"{mark} "),)
            )


@GROUP.rule("ADR409", "verdict-reason-missing", dialects=HOUSE, remedy="add ` - ` and the reason")
def reason_missing(record: Record, project: ProjectView) -> Iterable[Problem]:
    """Whoever asks again later wants to know why an alternative was rejected or put off."""
    for option in record.alternatives:
        verdict = option.verdict
        if (
            verdict
            and verdict.kind in (VerdictKind.REJECTED, VerdictKind.FUTURE)
            and is_open(verdict.reason)
        ):
            yield Problem(f"{option.approach!r}: no reason for the verdict", verdict.span)


@GROUP.rule(
    "ADR410", "chosen-reason-missing", severity=Severity.WARNING, dialects=HOUSE,
    remedy="add ` - ` and what tipped the scales",
)  # fmt: skip
def chosen_reason_missing(record: Record, project: ProjectView) -> Iterable[Problem]:
    """The table should say in a few words why the chosen one won."""
    for option in record.chosen:
        if option.verdict and is_open(option.verdict.reason):
            yield Problem(f"{option.approach!r}: chosen without a reason", option.verdict.span)


@GROUP.rule(
    "ADR411", "pros-cons-empty", severity=Severity.WARNING, dialects=HOUSE,
    remedy="every alternative has an advantage and a price: name both",
)  # fmt: skip
def pros_cons_empty(record: Record, project: ProjectView) -> Iterable[Problem]:
    """An alternative without pros is a straw man, one without cons an advertisement."""
    for option in record.alternatives:
        if option.raw_cell_count != option.column_count:
            continue
        for name, text in (("pros", option.pros), ("cons", option.cons)):
            if text is not None and is_open(text):
                yield Problem(f"{option.approach!r} has no {name}", option.span)


@GROUP.rule("ADR412", "alternative-repeated", remedy="merge the rows, or tell them apart by name")
def alternative_repeated(record: Record, project: ProjectView) -> Iterable[Problem]:
    """Two rows with one name cannot be told apart."""
    seen: Counter[str] = Counter()
    for option in record.alternatives:
        key = option.approach.casefold().strip()
        if not key or option.approach in house_placeholders():
            continue
        seen[key] += 1
        if seen[key] == 2:
            yield Problem(f"alternative {option.approach!r} is there twice", option.span)


@GROUP.rule("ADR413", "verdict-contradicts", remedy="let mark and word of the verdict say the same")
def verdict_contradicts(record: Record, project: ProjectView) -> Iterable[Problem]:
    """ "❌ Chosen" is chosen to one reader and rejected to another."""
    for option in record.alternatives:
        if option.verdict is None or record.dialect.name == "madr":
            continue
        kinds = verdict_kinds(option.verdict.raw)
        if len(kinds) > 1:
            said = " and ".join(kind.value for kind in kinds)
            yield Problem(f"{option.approach!r} is {said} at once", option.verdict.span)
