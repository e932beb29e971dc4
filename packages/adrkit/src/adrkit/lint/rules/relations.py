"""ADR1xx and ADR7xx: what records say of each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from adrkit.dialects import Successor
from adrkit.lint.rule import HOUSE, Facts, Group, Problem, ProjectProblem, ProjectView
from adrkit.model import RelationKind, Status
from adrkit.record import Record

GROUP = Group()

_MUTUAL = {
    RelationKind.SUPERSEDES: RelationKind.SUPERSEDED_BY,
    RelationKind.SUPERSEDED_BY: RelationKind.SUPERSEDES,
}


def _by_number(facts: Sequence[Facts]) -> dict[int, Facts]:
    found: dict[int, Facts] = {}
    for fact in facts:
        if fact.number is not None:
            found.setdefault(fact.number, fact)
    return found


@GROUP.across(
    "ADR701", "supersession-one-way",
    remedy="`adr supersede OLD --by NEW` writes both sides",
)  # fmt: skip
def one_way(facts: Sequence[Facts]) -> Iterable[ProjectProblem]:
    """Readers arrive from either side: the old record must name the new one and the new one the
    old."""
    records = _by_number(facts)
    for fact in facts:
        for relation, place in zip(fact.relations, fact.relation_places, strict=True):
            wanted = _MUTUAL.get(relation.kind)
            other = records.get(relation.number)
            if wanted is None or other is None or fact.number is None or other is fact:
                continue
            if not any(r.kind is wanted and r.number == fact.number for r in other.relations):
                yield ProjectProblem(
                    f"{fact.label} says it {_says(relation.kind)} {other.label}; "
                    f"{other.label} does not say so",
                    fact.path, place,
                )  # fmt: skip


def _says(kind: RelationKind) -> str:
    return "supersedes" if kind is RelationKind.SUPERSEDES else "is superseded by"


@GROUP.across("ADR702", "relation-unknown", remedy="`adr list` shows the records there are")
def unknown(facts: Sequence[Facts]) -> Iterable[ProjectProblem]:
    """A relation to a record that is not there is a dead end."""
    records = _by_number(facts)
    for fact in facts:
        for relation, place in zip(fact.relations, fact.relation_places, strict=True):
            if relation.number not in records:
                yield ProjectProblem(
                    f"{relation.kind.value} ADR-{relation.number:04d}, which is not there",
                    fact.path, place,
                )  # fmt: skip


@GROUP.across(
    "ADR703", "supersession-cycle", remedy="decide which of them is in force, and mend the others"
)
def cycle(facts: Sequence[Facts]) -> Iterable[ProjectProblem]:
    """Records that replace each other in a circle leave none in force."""
    newer: dict[int, set[int]] = {}
    for fact in facts:
        for relation in fact.relations:
            if fact.number is None:
                continue
            if relation.kind is RelationKind.SUPERSEDED_BY:
                newer.setdefault(fact.number, set()).add(relation.number)
            elif relation.kind is RelationKind.SUPERSEDES:
                newer.setdefault(relation.number, set()).add(fact.number)
    for fact in facts:
        if fact.number is not None and _reaches(newer, fact.number):
            places = zip(fact.relations, fact.relation_places, strict=True)
            at = next((place for relation, place in places if relation.kind in _MUTUAL), fact.place)
            yield ProjectProblem(
                f"{fact.label} is superseded, through others, by itself", fact.path, at
            )


def _reaches(newer: dict[int, set[int]], start: int) -> bool:
    todo, seen = list(newer.get(start, ())), set[int]()
    while todo:
        number = todo.pop()
        if number == start:
            return True
        if number not in seen:
            seen.add(number)
            todo += newer.get(number, ())
    return False


@GROUP.rule(
    "ADR704", "status-contradicts", remedy="`adr supersede N --by M` sets status and links together"
)
def status_contradicts(record: Record, project: ProjectView) -> Iterable[Problem]:
    """A record that names a successor is superseded, whatever its status says."""
    if record.status_kind in (Status.SUPERSEDED, Status.DEPRECATED, None):
        return
    for relation in record.relations:
        if relation.kind is RelationKind.SUPERSEDED_BY:
            yield Problem(
                f"names ADR-{relation.number:04d} as successor, but its status is "
                f"{record.status_kind}",
                relation.span,
            )
            return


@GROUP.rule(
    "ADR705", "successor-unlinked", dialects=HOUSE, fixable=True,
    remedy="add `- **Superseded by:** [ADR-NNNN](NNNN-title.md)` to Related",
)  # fmt: skip
def successor_unlinked(record: Record, project: ProjectView) -> Iterable[Problem]:
    """The specification wants a link to the replacement, not its number alone."""
    if record.status is None or record.path is None:
        return
    linked = {
        number
        for entry in record.related
        if entry.label.casefold() in ("superseded by", "superceded by")
        for number in (reference.number for reference in record.references
                       if reference.target and reference.span in entry.span)
    }  # fmt: skip
    for number in record.status.successors:
        path = project.successors.get(number)
        if number in linked or path is None:
            continue
        edits = record.dialect.relation_edits(
            record.document, "Superseded by", Successor(number, "", path), record.path
        )
        yield Problem(
            f"ADR-{number:04d} is not linked under Related", record.status.span, tuple(edits)
        )
