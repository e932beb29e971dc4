"""ADR2xx: date, status and context line."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from itertools import pairwise

from adrkit.document import Edit, Span
from adrkit.lint.open_points import is_open
from adrkit.lint.rule import HOUSE, Group, Problem, ProjectView, Severity, title_span
from adrkit.model import FieldPlace, RelationKind, SectionName, Status, StatusField
from adrkit.record import Record
from adrkit.templates import house_placeholders
from adrkit.vocabulary import read_date, status_kind

GROUP = Group()

_UNPADDED = re.compile(r"\bADR-(?P<number>\d{1,3})(?!\d)", re.IGNORECASE)
_VOCABULARY = "Proposed, Accepted, Rejected, Deprecated or Superseded by ADR-NNNN"
_YEAR_FIRST = re.compile(r"(\d{4})[/. ](\d{1,2})[/. ](\d{1,2})|(\d{4})-(\d{1,2})-(\d{1,2})")


@GROUP.rule("ADR201", "date-missing", remedy="add `**Date:** YYYY-MM-DD` under the title")
def date_missing(record: Record, project: ProjectView) -> Iterable[Problem]:
    """A decision is judged by what was known on its day."""
    if record.date is None and record.date_value is not None:
        return  # the file's name has it
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
    if record.status and field.span in record.document.source.line_span(record.status.line):
        return  # the day of "Accepted (2026-01-31)"
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
    """Five words say all there is to say; tools and readers rely on them. Words of your own are
    known once `statuses` of the settings say what they mean."""
    status = record.status
    if status is None or not status.raw.strip():
        return
    shown = first_line(status.raw)
    if status.others:
        words = " and ".join(repr(word) for word in (status.word, *status.others))
        yield Problem(f"status {shown!r} says {words} at once", status.span)
    elif status.kind is None:
        yield Problem(f"status {shown!r} is not in the vocabulary", status.span)


@GROUP.rule("ADR206", "status-spelling", fixable=True, remedy=f"spell it {_VOCABULARY}")
def status_spelling(record: Record, project: ProjectView) -> Iterable[Problem]:
    """ "superceded" is understood, and mended by --fix; so is the case of the word in records of
    the house template. Another word that is understood ("Draft", "Approved") stays: to replace it
    may change what its author meant."""
    status = record.status
    if status is None or not status.kind or not status.word or status.others:
        return
    meant = status_kind(status.word, record.reading)
    if meant is None or status.word.casefold() in record.reading.status_words:
        return  # one of the project's own
    proper = meant.value
    house = record.dialect.name in HOUSE
    start = record.document.text.find(status.word, status.span.start, status.span.end)
    span = Span(start, start + len(status.word))
    if start < 0:
        return
    if status.misspelled or status.word.casefold() == proper.casefold():
        text = proper if house or status.word[:1].isupper() else proper.lower()
        if status.word != text and (status.misspelled or house):
            yield Problem(f"status {status.word!r} is spelled {text!r}", span, (Edit(span, text),))
    elif house:
        yield Problem(
            f"status {status.word!r} is understood as {proper!r}, which is the template's word",
            span, severity=Severity.WARNING,
        )  # fmt: skip


@GROUP.rule(
    "ADR207", "successor-missing",
    remedy="`adr supersede N --by M` names the successor in both records",
)  # fmt: skip
def successor_missing(record: Record, project: ProjectView) -> Iterable[Problem]:
    """A superseded record is a dead end unless it names the decision that replaced it."""
    named = record.superseded_by or record.unnumbered_successors
    if record.status and record.status_kind is Status.SUPERSEDED and not named:
        yield Problem("superseded, but by which record?", record.status.span)


@GROUP.rule(
    "ADR208", "context-link-missing", dialects=HOUSE,
    remedy="add `**Context:** ` with a link to the ticket, epic or design document",
)  # fmt: skip
def context_link_missing(record: Record, project: ProjectView) -> Iterable[Problem]:
    """The ticket or design document that asked for the decision must be one step away."""
    link = record.context_link
    if link is None or not link.value or is_open(link.value):
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


@GROUP.rule(
    "ADR211", "metadata-repeated", remedy="keep the one that is true; the record's history is git's"
)
def metadata_repeated(record: Record, project: ProjectView) -> Iterable[Problem]:
    """Of two statuses or dates in one record, readers and tools may each believe another. A history
    in a Status section, with a day in each entry or ended by a supersession, is none."""
    metadata = record.header.metadata
    fields = {field.span: field for field in metadata.all("status")}
    first: StatusField | None = None
    line_seen = False
    for status in sorted(record.header.statuses, key=lambda status: status.span):
        field = fields.get(status.span)
        if field is None and record.header.is_history:
            continue
        line = field is not None and field.place is FieldPlace.LINE
        other = first is not None and status.kind not in (None, first.kind)
        if (line and line_seen) or other:
            yield Problem(f"a second status, {first_line(status.raw)!r}", status.span)
        line_seen = line_seen or line
        first = first or (status if status.kind is not None else None)
    dates = [f for f in metadata.all("date") if f.key.casefold() == "date" and f.value]
    for field in sorted(dates, key=lambda field: field.line)[1:]:
        if read_date(field.value) != read_date(dates[0].value) or field.place is dates[0].place:
            yield Problem(f"a second date, {field.value!r}", field.span)


@GROUP.rule(
    "ADR212", "successor-form", dialects=HOUSE, fixable=True, remedy="write Superseded by ADR-NNNN"
)
def successor_form(record: Record, project: ProjectView) -> Iterable[Problem]:
    """Numbers have four digits everywhere, so that a search for ADR-0012 finds this line."""
    status = record.status
    if status is None or not status.successors:
        return
    text = record.document.text
    for match in _UNPADDED.finditer(text, status.span.start, status.span.end):
        span = Span(match.start(), match.end())
        if int(match["number"]) not in status.successors or text[span.start - 1] in "(/":
            continue
        wanted = f"ADR-{int(match['number']):04d}"
        yield Problem(f"{match.group()} is written {wanted}", span, (Edit(span, wanted),))


@GROUP.rule(
    "ADR213",
    "front-matter-unread",
    remedy='put quotes around values with ":", "@", "#" or brackets',
)
def front_matter_unread(record: Record, project: ProjectView) -> Iterable[Problem]:
    """What does not parse is not read, but for plain `key: value` lines: other tools may not read
    even these."""
    front = record.document.front_matter
    if front is not None and front.problem is not None:
        line = record.document.source.line_span(record.document.line_of(front.span.start))
        yield Problem(f"the front matter is not read: {front.problem}", line)


def first_line(text: str) -> str:
    """The beginning of a status, for messages."""
    line = text.strip().splitlines()[0] if text.strip() else ""
    return line if len(line) <= 60 else line[:59] + "…"
