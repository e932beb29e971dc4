"""The life of a record: legal moves only, and supersession written into both records or neither.

============  =====================================
from          to
============  =====================================
Proposed      Accepted, Rejected, Superseded
Accepted      Deprecated, Superseded
Deprecated    Superseded
Rejected      nothing (write a new record)
Superseded    nothing (supersede its successor)
============  =====================================

A Proposed record may be superseded: a newer proposal takes over its question before it was ever
accepted, and readers should find the newer one. A Deprecated record may be superseded: the
specification wants the replacement documented once there is one.

The reason goes where the format has room for it: a ``**Reason:**`` line under the status (house),
``Reason:`` in the Status section (Nygard), ``reason:`` in the front matter (MADR).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from adrkit.dialects import Successor
from adrkit.document import Document
from adrkit.errors import (
    IllegalMove,
    InvalidInput,
    NumberMissing,
    ProposedSuccessor,
    SupersedeCycle,
    UnknownStatus,
)
from adrkit.model import Status
from adrkit.record import Record
from adrkit.repository import RecordRepository
from adrkit.transaction import FileChange, Writer, apply_changes

MOVES: Mapping[Status, tuple[Status, ...]] = {
    Status.PROPOSED: (Status.ACCEPTED, Status.REJECTED, Status.SUPERSEDED),
    Status.ACCEPTED: (Status.DEPRECATED, Status.SUPERSEDED),
    Status.DEPRECATED: (Status.SUPERSEDED,),
    Status.REJECTED: (),
    Status.SUPERSEDED: (),
}

#: Statuses whose decision is still in force or was until someone says otherwise.
_IN_FORCE = (Status.ACCEPTED, Status.DEPRECATED)


@dataclass(frozen=True, slots=True)
class Move:
    """What was done to one record."""

    record: Record  # as it was before
    path: Path
    before: Status
    after: Status


def check_move(record: Record, wanted: Status) -> Status:
    """The current status. Raises UnknownStatus or IllegalMove."""
    current = record.status_kind
    if current is None:
        raise UnknownStatus(record.label, record.status.raw if record.status else None)
    if wanted not in MOVES[current]:
        raise IllegalMove(record.label, current, wanted, MOVES[current])
    return current


def accept(
    repository: RecordRepository,
    record: Record,
    *,
    reason: str | None = None,
    write: Writer = apply_changes,
) -> Move:
    """Raises LifecycleError, EditNotPossible or TransactionError; so do the others."""
    return _move(repository, record, Status.ACCEPTED, reason, write)


def reject(
    repository: RecordRepository,
    record: Record,
    *,
    reason: str | None = None,
    write: Writer = apply_changes,
) -> Move:
    return _move(repository, record, Status.REJECTED, reason, write)


def deprecate(
    repository: RecordRepository,
    record: Record,
    *,
    reason: str | None = None,
    write: Writer = apply_changes,
) -> Move:
    return _move(repository, record, Status.DEPRECATED, reason, write)


def _move(
    repository: RecordRepository, record: Record, wanted: Status, reason: str | None, write: Writer
) -> Move:
    path = path_of(record)
    current = check_move(record, wanted)
    edits = record.dialect.status_edits(record.document, wanted, None, checked_reason(reason))
    after = record.document.edit(*edits)
    write(repository.directory, [FileChange(path, record.document.to_bytes(), after.to_bytes())])
    return Move(record, path, current, wanted)


def supersede(
    repository: RecordRepository,
    predecessor: Record,
    successor: Record,
    *,
    reason: str | None = None,
    force: bool = False,
    write: Writer = apply_changes,
) -> Move:
    """Mark ``predecessor`` as superseded by ``successor`` and link both, in one transaction.

    Raises IllegalMove, SupersedeCycle, or ProposedSuccessor unless ``force``.
    """
    check_supersession(repository, predecessor, successor, force=force)
    before = check_move(predecessor, Status.SUPERSEDED)
    old_path, new_path = path_of(predecessor), path_of(successor)
    old = superseded_document(predecessor, _as_successor(successor), checked_reason(reason))
    new = superseding_document(successor.document, predecessor)
    write(
        repository.directory,
        [
            FileChange(new_path, successor.document.to_bytes(), new.to_bytes()),
            FileChange(old_path, predecessor.document.to_bytes(), old.to_bytes()),
        ],
    )
    return Move(predecessor, old_path, before, Status.SUPERSEDED)


def check_supersession(
    repository: RecordRepository, predecessor: Record, successor: Record, *, force: bool
) -> None:
    """Raises when ``successor`` may not supersede ``predecessor``."""
    check_move(predecessor, Status.SUPERSEDED)
    check_cycle(repository, predecessor, successor)
    status = successor.status_kind
    if status is None:
        raise UnknownStatus(successor.label, successor.status.raw if successor.status else None)
    if status is Status.PROPOSED:
        if predecessor.status_kind in _IN_FORCE and not force:
            raise ProposedSuccessor(successor.label, predecessor.label)
    elif status is not Status.ACCEPTED:
        raise IllegalMove(
            successor.label, status, f"the successor of {predecessor.label}", MOVES[status]
        )


def check_cycle(repository: RecordRepository, predecessor: Record, successor: Record) -> None:
    """Raises SupersedeCycle when ``successor`` is already, through others, superseded by
    ``predecessor``."""
    first, last = number_of(predecessor), number_of(successor)
    if first == last:
        raise SupersedeCycle((first, last))
    graph: dict[int, set[int]] = {}  # number: numbers that supersede it
    for record in repository.list():
        if record.number is None:
            continue
        graph.setdefault(record.number, set()).update(record.superseded_by)
        for older in record.supersedes:
            graph.setdefault(older, set()).add(record.number)
    trails: list[tuple[int, ...]] = [(last,)]
    seen: set[int] = set()
    while trails:
        trail = trails.pop()
        for newer in sorted(graph.get(trail[-1], ())):
            if newer == first:
                raise SupersedeCycle((first, *trail, newer))
            if newer not in seen:
                seen.add(newer)
                trails.append((*trail, newer))


def superseded_document(predecessor: Record, successor: Successor, reason: str | None) -> Document:
    """The predecessor's text with status and link to ``successor``."""
    document = predecessor.document
    dialect = predecessor.dialect
    document = document.edit(*dialect.status_edits(document, Status.SUPERSEDED, successor, reason))
    edits = dialect.relation_edits(document, "Superseded by", successor, path_of(predecessor))
    return document.edit(*edits)


def superseding_document(document: Document, predecessor: Record) -> Document:
    """The successor's text with a link back to ``predecessor``."""
    record = Record(document, predecessor.reading)
    edits = record.dialect.relation_edits(
        document, "Supersedes", _as_successor(predecessor), path_of(record)
    )
    return document.edit(*edits)


def checked_reason(reason: str | None) -> str | None:
    """Raises InvalidInput for a reason of white space only."""
    if reason is not None and not reason.strip():
        raise InvalidInput("reason", reason, remedy="give a reason in words, or leave it out")
    return reason


def _as_successor(record: Record) -> Successor:
    return Successor(number_of(record), record.name, path_of(record))


def number_of(record: Record) -> int:
    """Raises NumberMissing."""
    if record.number is None:
        raise NumberMissing(record.path)
    return record.number


def path_of(record: Record) -> Path:
    """Raises InvalidInput for a record that was not read from a file."""
    if record.path is None:
        raise InvalidInput("record", record.label, remedy="read the record from a file")
    return record.path
