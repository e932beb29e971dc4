"""Writing new records: names, numbers and first texts."""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adrkit.config import Config
from adrkit.dialects import Successor
from adrkit.document import Document
from adrkit.errors import InvalidInput, InvalidTitle, NumberTaken, ProposedSuccessor
from adrkit.ledger import NumberLedger
from adrkit.lifecycle import (
    check_move,
    checked_reason,
    path_of,
    superseded_document,
    superseding_document,
)
from adrkit.model import Status
from adrkit.record import Record
from adrkit.repository import RecordRepository
from adrkit.templates import CONTEXT_PLACEHOLDER, TemplateValues, render
from adrkit.transaction import FileChange, apply_changes

_MAX_SLUG_CHARACTERS = 80
_UNDECOMPOSED = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "þ": "th", "&": " and "}
)


def slug(title: str) -> str:
    """``short-kebab-case`` of a title: ASCII letters and digits, at most 80 characters.

    Letters of other scripts are kept as they are rather than lost. Raises InvalidTitle when
    nothing remains.
    """
    lowered = title.lower().translate(_UNDECOMPOSED).replace("'", "").replace("’", "")
    decomposed = unicodedata.normalize("NFKD", lowered)
    letters = "".join(c for c in decomposed if not unicodedata.combining(c))
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFC", letters))
    text = ""
    for word in words:
        longer = f"{text}-{word}" if text else word
        if len(longer) > _MAX_SLUG_CHARACTERS:
            break
        text = longer
    if not text and words:
        text = words[0][:_MAX_SLUG_CHARACTERS]
    if not text:
        raise InvalidTitle(title, "has no letter or digit for a file name")
    return text


def file_name(number: int, title: str) -> str:
    """``NNNN-short-kebab-case-title.md``."""
    return f"{number:04d}-{slug(title)}.md"


def checked_title(title: str) -> str:
    """Raises InvalidTitle."""
    if any(unicodedata.category(c) == "Cc" for c in title.strip()):
        raise InvalidTitle(title, "must be one line without control characters")
    cleaned = " ".join(title.split())
    if not cleaned:
        raise InvalidTitle(title, "is empty")
    slug(cleaned)
    return cleaned


@dataclass(frozen=True, slots=True)
class NewRecord:
    """What was written: the new record's path and the records it superseded."""

    number: int
    path: Path
    superseded: tuple[Path, ...]


def create_record(
    config: Config,
    repository: RecordRepository,
    ledger: NumberLedger,
    title: str,
    *,
    today: datetime.date,
    status: Status = Status.PROPOSED,
    supersedes: Sequence[Record] = (),
    context_link: str | None = None,
    number: int | None = None,
    template: Path | None = None,
    reason: str | None = None,
    force: bool = False,
) -> NewRecord:
    """Write a record from the template and, in the same transaction, mark those it supersedes.

    ``template`` overrides the configured one. Raises InvalidTitle, NumberTaken, TemplateError,
    LifecycleError or TransactionError; nothing is written then.
    """
    title = checked_title(title)
    if status not in (_MAY_SUPERSEDE if supersedes else _FIRST_STATUSES):
        raise InvalidInput(
            "status of a new record", status, remedy="begin with Proposed or Accepted"
        )
    if number is None:
        number = ledger.next()
    elif number in ledger.uses:
        raise NumberTaken(number, ledger.uses[number][0].description)
    elif not 0 <= number <= 999_999:
        raise InvalidInput("number", str(number), remedy="give a number from 1 to 9999")
    path = repository.directory / file_name(number, title)
    for old in supersedes:
        check_move(old, Status.SUPERSEDED)
        if status is Status.PROPOSED and old.status_kind is not Status.PROPOSED and not force:
            raise ProposedSuccessor(f"ADR-{number:04d}", old.label)
    values = TemplateValues(
        number=number,
        title=title,
        date=today.isoformat(),
        status=status.value,
        context_link=" ".join((context_link or CONTEXT_PLACEHOLDER).split()),
        slug=slug(title),
        supersedes=[f"[{old.label}]({old.path.name})" for old in supersedes if old.path],
    )
    document = Document.from_text(render(template or config.template, values), path)
    changes = []
    own = Successor(number, title, path)
    for old in supersedes:
        document = superseding_document(document, old)  # a no-op where the template did it
        after = superseded_document(old, own, checked_reason(reason))
        changes.append(FileChange(path_of(old), old.document.to_bytes(), after.to_bytes()))
    changes.insert(0, FileChange(path, None, document.to_bytes()))
    apply_changes(repository.directory, changes)
    return NewRecord(number, path, tuple(change.path for change in changes[1:]))


_FIRST_STATUSES = (Status.PROPOSED, Status.ACCEPTED, Status.REJECTED)
_MAY_SUPERSEDE = (Status.PROPOSED, Status.ACCEPTED)
