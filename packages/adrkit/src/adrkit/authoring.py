"""Writing new records: names, numbers and first texts."""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adrkit.config import Config
from adrkit.dialects import Successor
from adrkit.document import Document
from adrkit.drafts import DraftName, draft_comment, new_draft_name
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
from adrkit.templates import CONTEXT_PLACEHOLDER, FORMATS, HOUSE, TemplateValues, render
from adrkit.transaction import FileChange, Writer, apply_changes

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
    """What was written: the new record's path and the records it superseded.

    ``number`` is None for a draft, which supersedes nothing before it has its number.
    """

    number: int | None
    label: str
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
    draft: bool = False,
    template: Path | None = None,
    format: str = "auto",
    reason: str | None = None,
    force: bool = False,
    write: Writer = apply_changes,
) -> NewRecord:
    """Write a record from the template and, in the same transaction, mark those it supersedes.

    ``template`` overrides the configured one, and either of them the ``format``: "auto" is that
    of the records there are. A ``draft`` has a name of its own instead of a number; it says what
    it supersedes, and ``adr number`` tells the other side. Raises InvalidTitle, NumberTaken,
    TemplateError, LifecycleError or TransactionError; nothing is written then.
    """
    title = checked_title(title)
    if status not in (_MAY_SUPERSEDE if supersedes else _FIRST_STATUSES):
        raise InvalidInput(
            "status of a new record", status, remedy="begin with Proposed or Accepted"
        )
    name = new_draft_name(slug(title)) if draft else None
    if name is None:
        number = _free_number(ledger, number)
    elif number is not None:
        raise InvalidInput(
            "number of a draft", str(number), remedy="leave --number out: `adr number` assigns it"
        )
    path = repository.directory / (f"{name.stem}.md" if name else file_name(number or 0, title))
    label = name.label if name else f"ADR-{number:04d}"
    for old in supersedes:
        check_move(old, Status.SUPERSEDED)
        if status is Status.PROPOSED and old.status_kind is not Status.PROPOSED and not force:
            raise ProposedSuccessor(label, old.label)
    chosen, front_matter = chosen_format(repository, format)
    values = TemplateValues(
        number=None if name else number,
        title=title,
        date=today.isoformat(),
        status=status.value,
        context_link=" ".join((context_link or CONTEXT_PLACEHOLDER).split()),
        slug=slug(title),
        supersedes=[f"[{old.label}]({old.path.name})" for old in supersedes if old.path],
        draft=name.stem if name else None,
        front_matter=front_matter,
    )
    text = render(template or config.template, values, chosen)
    document = Document.from_text(_with_key(text, name), path)
    changes = []
    for old in supersedes:
        document = superseding_document(document, old)  # a no-op where the template did it
        if name is None and number is not None:
            own = Successor(number, title, path)
            after = superseded_document(old, own, checked_reason(reason))
            changes.append(FileChange(path_of(old), old.document.to_bytes(), after.to_bytes()))
    changes.insert(0, FileChange(path, None, document.to_bytes()))
    write(repository.directory, changes)
    return NewRecord(
        None if name else number, label, path, tuple(change.path for change in changes[1:])
    )


def _free_number(ledger: NumberLedger, number: int | None) -> int:
    if number is None:
        return ledger.next()
    if number in ledger.uses:
        raise NumberTaken(number, ledger.uses[number][0].description)
    if not 0 <= number <= 999_999:
        raise InvalidInput("number", str(number), remedy="give a number from 1 to 9999")
    return number


def _with_key(text: str, name: DraftName | None) -> str:
    """The text with the comment by which a record is found as the draft that it was."""
    if name is None:
        return text
    newline = "\r\n" if "\r\n" in text else "\n"
    return f"{text.rstrip()}{newline}{newline}{draft_comment(name.key)}{newline}"


def chosen_format(repository: RecordRepository, format: str) -> tuple[str, bool]:
    """The format to write, and whether MADR records here have front matter.

    "auto": what most of the newest records are, so that a project that changes its habit is
    followed; the house template where there is none. Raises InvalidInput.
    """
    if format not in ("auto", *FORMATS):
        raise InvalidInput("format", format, remedy=f"choose auto, {', '.join(FORMATS)}")
    records = repository.list()[-_NEWEST:] if repository.directory.is_dir() else ()
    known = [record for record in records if record.dialect.name in FORMATS]
    chosen = format
    if format == "auto":
        counts = Counter(record.dialect.name for record in reversed(known))
        chosen = counts.most_common(1)[0][0] if counts else HOUSE
    matter = [r.document.front_matter is not None for r in known if r.dialect.name == "madr"]
    return chosen, not matter or 2 * sum(matter) >= len(matter)


_NEWEST = 20
_FIRST_STATUSES = (Status.PROPOSED, Status.ACCEPTED, Status.REJECTED)
_MAY_SUPERSEDE = (Status.PROPOSED, Status.ACCEPTED)
