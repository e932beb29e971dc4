"""Two versions of a decided record: what changed that may not change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from adrkit.audit.content import Content, Part
from adrkit.lifecycle import MOVES
from adrkit.model import Status

#: Statuses whose records are history: their content stays as it was decided.
DECIDED = (Status.ACCEPTED, Status.REJECTED, Status.DEPRECATED, Status.SUPERSEDED)

RULES: Mapping[str, str] = {
    "content-changed": "The content of a decided record changed without an amendment.",
    "check-changed": "A check of a decided record promises something else, or is gone.",
    "amendment-changed": "An amendment was changed or removed.",
    "illegal-move": "The status changed in a way that the life cycle does not allow.",
    "record-deleted": "A decided record is gone.",
    "record-renamed": "A decided record has another file name.",
    "number-reused": "A number was given a second time.",
    "unreadable": "A decided record cannot be read any more.",
}
REMEDIES: Mapping[str, str] = {
    "content-changed": "restore the text, write a new record that supersedes this one, or add a "
    "line `> **Amended YYYY-MM-DD:** what was corrected and why`",
    "check-changed": "restore the check, or add an amendment line; paths may change freely",
    "amendment-changed": "restore the amendment; add another one below it",
    "illegal-move": "restore the status; `adr accept|reject|deprecate|supersede` make legal moves",
    "record-deleted": "restore the file; a decision that is over is Deprecated or Superseded",
    "record-renamed": "restore the name: links from outside lead there",
    "number-reused": "give the newer record a number of its own: `adr renumber PATH`",
    "unreadable": "restore the file",
}


@dataclass(frozen=True, slots=True)
class Difference:
    rule: str
    message: str
    line: int


def reachable(status: Status) -> frozenset[Status]:
    """What a status may have become in any number of legal moves, itself included."""
    found = {status}
    waiting = [status]
    while waiting:
        for after in MOVES[waiting.pop()]:
            if after not in found:
                found.add(after)
                waiting.append(after)
    return frozenset(found)


def differences(old: Content, new: Content) -> tuple[Difference, ...]:
    """What may not have changed from ``old``, which is decided, to ``new``.

    A new amendment explains every change beside it, but not the loss of an older amendment.
    """
    found = list(_lost_amendments(old, new))
    if _texts(new) - _texts(old):
        return tuple(found)
    found += _status(old, new)
    if (changed := _content(old, new)) is not None:
        found.append(changed)
    found += _checks(old, new)
    return tuple(found)


def _texts(content: Content) -> Counter[tuple[str, str]]:
    return Counter((item.date.isoformat(), item.text) for item in content.amendments)


def _lost_amendments(old: Content, new: Content) -> Iterable[Difference]:
    for (date, text), _ in (_texts(old) - _texts(new)).items():
        yield Difference("amendment-changed", f"the amendment of {date} is gone: {_cut(text)}", 1)


def _status(old: Content, new: Content) -> Iterable[Difference]:
    before, after = old.record.status_kind, new.record.status_kind
    if before is None or (after is not None and after in reachable(before)):
        return
    status = new.record.status
    written = after.value if after else (repr(status.raw) if status else "no status")
    line = status.line if status else 1
    yield Difference("illegal-move", f"the status {before.value} became {written}", line)


def _content(old: Content, new: Content) -> Difference | None:
    if old.lines == new.lines:
        return None
    before, after = old.tree, new.tree
    first = 0
    while first < min(len(before), len(after)) and before[first].text == after[first].text:
        first += 1
    if first == len(before) == len(after):
        return None
    was, now = _at(before, first), _at(after, first)
    line = now.line if now else (after[-1].line if after else 1)
    if was and now:
        message = f"was {_cut(was.text)}, is {_cut(now.text)}"
    else:
        message = f"{_cut(was.text)} is gone" if was else f"{_cut(now.text) if now else ''} is new"
    return Difference("content-changed", message, line)


def _at(parts: tuple[Part, ...], index: int) -> Part | None:
    """The part at ``index``, or the next one that a reader can see."""
    for part in parts[index:]:
        if not part.text.startswith("<") or len(part.text) > 40:
            return part
    return None


def _checks(old: Content, new: Content) -> Iterable[Difference]:
    if old.record.checks == new.record.checks:
        return
    lost = Counter(old.promises) - Counter(new.promises)
    blocks = new.record.checks
    for promise in lost:
        yield Difference(
            "check-changed", f"a check is changed or gone: {_cut(promise)}",
            blocks[0].line if blocks else 1,
        )  # fmt: skip


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
