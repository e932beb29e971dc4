"""Whether a diff looks like a decision that nobody wrote down."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Protocol

from adrkit.governance import governing_many
from adrkit.model import Status
from adrkit.record import Record
from adrkit.review.findings import ReviewFinding
from adrkit.review.sides import Range, Side
from adrkit.review.signals import Sides, Signal, signals

IN_FORCE = (Status.ACCEPTED, Status.PROPOSED)

_ARTICLES = {
    "dependency": "new dependency",
    "service": "new",
    "schema": "changed data:",
    "auth": "changed access:",
}


class Part(Protocol):
    """What is asked of one records directory."""

    head: Side

    @property
    def prefix(self) -> str: ...
    @property
    def records(self) -> tuple[Record, ...]: ...
    @property
    def touched_records(self) -> tuple[Record, ...]: ...
    def owns(self, path: str) -> bool: ...
    def speaks_of(self, path: str) -> bool: ...


def undecided(between: Range, parts: Sequence[Part]) -> Iterator[ReviewFinding]:
    """Signals of a decision, but where the diff brings a record of the file's area, and where the
    file belongs to a records directory that is not looked at."""
    prefix = parts[0].prefix  # the project's, whatever directory of it
    sides = Sides(between.base.read, between.head.read, between.base.paths)
    inside = [
        file
        for file in between.files
        if file.path.startswith(prefix)
        and any(part.owns(file.path.removeprefix(prefix)) for part in parts)
        and not any(_brings_record(part, file.path.removeprefix(prefix)) for part in parts)
    ]
    for signal in signals(inside, sides):
        path = signal.path.removeprefix(prefix)
        speaking = [record for part in parts for record in _speaking(part, signal, path)]
        level = "note" if speaking else "warning"
        message = f"{_ARTICLES[signal.kind]} {signal.subject}"
        if signal.kind == "dependency" and speaking:
            continue  # decided already
        if speaking:
            labels = ", ".join(dict.fromkeys(record.label for record in speaking))
            message += f": does {labels} still say what is done?"
        else:
            message += ": is there a decision to record? `adr new --draft`"
        number = speaking[0].number if speaking else None
        yield ReviewFinding(
            f"undecided-{signal.kind}", level, message, path, signal.line, "", number
        )


def _brings_record(part: Part, path: str) -> bool:
    return part.speaks_of(path) and any(r.status_kind in IN_FORCE for r in part.touched_records)


def _speaking(part: Part, signal: Signal, path: str) -> list[Record]:
    """Records in force that speak of what is new, or of the file that it is in."""
    records = [record for record in part.records if record.status_kind in IN_FORCE]
    if signal.kind == "dependency":
        if not part.speaks_of(path):
            return []
        return [record for record in records if _names_package(record, signal.subject)]
    reasons = governing_many(part.head.snapshot.files, records, [path])[path]
    return [reason.record for reason in reasons]


def _names_package(record: Record, package: str) -> bool:
    """In backticks, in a check, or as a name in title or decision: `requests` is a package, "the
    requests of users" are none."""
    name = re.escape(package.rpartition("/")[2]).replace(r"\-", "[-_. ]")
    pattern = re.compile(rf"(?<![\w-]){name}(?![\w-])", re.I)
    if any(pattern.search(span.content) for span in record.document.code_spans):
        return True
    quoted = re.compile(rf"[\"']{name}[\"'\[.]", re.I)
    if any(quoted.search(block.content) for block in record.checks):
        return True
    decision = record.decision.plain if record.decision else ""
    said = pattern.finditer(f"{record.name}\n{decision}")
    return any(not match.group().islower() for match in said)


_ARTICLES = {
    "dependency": "new dependency",
    "service": "new",
    "schema": "changed data:",
    "auth": "changed access:",
}
