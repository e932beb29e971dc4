"""ADR2xx: date, status and context line."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from itertools import pairwise

from adrkit.document import Edit, Span
from adrkit.lint.rule import HOUSE, Group, Problem, ProjectView, Severity, title_span
from adrkit.model import RelationKind, SectionName, Status
from adrkit.record import Record
from adrkit.templates import house_placeholders

GROUP = Group()

_VOCABULARY = "Proposed, Accepted, Rejected, Deprecated or Superseded by ADR-NNNN"
_YEAR_FIRST = re.compile(r"(\d{4})[/. ](\d{1,2})[/. ](\d{1,2})|(\d{4})-(\d{1,2})-(\d{1,2})")


@GROUP.rule("ADR201", "date-missing", remedy="add `**Date:** YYYY-MM-DD` under the title")
def date_missing(record: Record, project: ProjectView) -> Iterable[Problem]:
    """A decision is judged by what was known on its day."""
    if record.date is None or not record.date.value:
        at = record.date.key_span if record.date else title_span(record)
        yield Problem("the record has no date", at)


@GROUP.rule("ADR202", "date-form", fixable=True, remedy="write it as YYYY-MM-DD")
def date_form(record: Record, project: ProjectView) -> Iterable[Problem]:
    """Only YYYY-MM-DD sorts, and means one day everywhere. A date with the year first is mended
    by --fix; 03/04/2026 is not: nobody knows which day that is."""
    field = record.date
    if field is None or not field.value or field.value in house_placeholders():
        return
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", field.value) and record.date_value:
        return
    edits: tuple[Edit, ...] = ()
    if match := _YEAR_FIRST.fullmatch(field.value):
        year, month, day = (int(part) for part in match.groups() if part)
        try:
            edits = (Edit(field.span, datetime.date(year, month, day).isoformat()),)
        except ValueError:
            edits = ()
    yield Problem(f"date {field.value!r} is not a day as YYYY-MM-DD", field.span, edits)


@GROUP.rule("ADR203", "date-future", remedy="write the day of the decision")
def date_future(record: Record, project: ProjectView) -> Iterable[Problem]:
    """A decision cannot have been taken later than tomorrow (of some time zone)."""
    day = record.date_value
    if record.date and day and day > project.today + datetime.timedelta(days=1):
        yield Problem(f"date {record.date.value} is in the future", record.date.span)


@GROUP.rule("ADR204", "status-missing", remedy=f"add the status: {_VOCABULARY}")
def status_missing(record: Record, project: ProjectView) -> Iterable[Problem]:
    """Readers must see at once whether a decision is in force."""
    if record.status is None or not record.status.raw.strip():
        section = record.section(SectionName.STATUS)
        at = section.heading.text_span if section else title_span(record)
        if record.status:
            at = record.status.span
        yield Problem("the record has no status", at)


@GROUP.rule("ADR205", "status-unknown", remedy=f"one of {_VOCABULARY}")
def status_unknown(record: Record, project: ProjectView) -> Iterable[Problem]:
    """Five words say all there is to say; tools and readers rely on them."""
    status = record.status
    if status is None or not status.raw.strip():
        return
    if status.kind is None or "|" in status.raw:
        yield Problem(f"status {status.raw!r} is not in the vocabulary", status.span)


@GROUP.rule("ADR206", "status-spelling", fixable=True, remedy=f"spell it {_VOCABULARY}")
def status_spelling(record: Record, project: ProjectView) -> Iterable[Problem]:
    """ "superceded" is understood, and mended by --fix; so is the case of the word in records of
    the house template."""
    status = record.status
    if status is None or status.kind is None or "|" in status.raw:
        return
    proper = status.kind.value
    house = record.dialect.name in HOUSE
    if not status.misspelled and (not house or status.word == proper):
        return
    start = record.document.text.find(status.word, status.span.start, status.span.end)
    if start < 0:
        return
    span = Span(start, start + len(status.word))
    text = proper if house or status.word[:1].isupper() else proper.lower()
    yield Problem(f"status {status.word!r} is spelled {text!r}", span, (Edit(span, text),))


@GROUP.rule(
    "ADR207", "successor-missing",
    remedy="`adr supersede N --by M` names the successor in both records",
)  # fmt: skip
def successor_missing(record: Record, project: ProjectView) -> Iterable[Problem]:
    """A superseded record is a dead end unless it names the decision that replaced it."""
    if record.status and record.status_kind is Status.SUPERSEDED and not record.superseded_by:
        yield Problem("superseded, but by which record?", record.status.span)


@GROUP.rule(
    "ADR208", "context-link-missing", dialects=HOUSE,
    remedy="add `**Context:** ` with a link to the ticket, epic or design document",
)  # fmt: skip
def context_link_missing(record: Record, project: ProjectView) -> Iterable[Problem]:
    """The ticket or design document that asked for the decision must be one step away."""
    link = record.context_link
    if link is None or not link.value:
        yield Problem(
            "the record has no context line", link.key_span if link else title_span(record)
        )


@GROUP.rule(
    "ADR209", "header-order", severity=Severity.WARNING, dialects=HOUSE,
    remedy="Date, then Status, then Context",
)  # fmt: skip
def header_order(record: Record, project: ProjectView) -> Iterable[Problem]:
    """The same order in every record lets the eye find the status without reading."""
    fields = [f for f in (record.date, record.status, record.context_link) if f is not None]
    for before, after in pairwise(fields):
        if after.line < before.line:
            yield Problem("Date, Status and Context are in another order", after.span)
            return


@GROUP.rule(
    "ADR210", "status-unexplained", severity=Severity.WARNING, dialects=HOUSE,
    remedy='add a `**Reason:** ` line; `adr reject N --reason "..."` writes it',
)  # fmt: skip
def status_unexplained(record: Record, project: ProjectView) -> Iterable[Problem]:
    """The specification wants documented why a record was rejected, and what replaces a
    deprecated one."""
    if record.status is None or "reason" in record.header.fields or record.status.note:
        return
    if record.status_kind is Status.REJECTED:
        yield Problem("rejected without a reason", record.status.span)
    elif record.status_kind is Status.DEPRECATED and not any(
        relation.kind is RelationKind.SUPERSEDED_BY for relation in record.relations
    ):
        yield Problem("deprecated without a reason or replacement", record.status.span)
