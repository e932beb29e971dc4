"""``ADR-NNNN`` in code and documents: each must be a record that exists and is in force.

No citations are: what stands on a line with ``adr-check: ignore``, what stands between lines with
``adr-check: off`` and ``adr-check: on`` (examples, graphs), and whatever `adr index`, `adr site`,
`adr export` or a SARIF report wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from adrkit.checks.settings import CheckSettings
from adrkit.checks.verdict import Level, Result, Verdict
from adrkit.config import Config
from adrkit.drafts import draft_mentions, key_of_comment, may_mention_drafts
from adrkit.globs import matches_any
from adrkit.model import Status
from adrkit.project_files import ProjectFiles
from adrkit.record import Record

#: Said on the same line: the citation speaks of the past, or is no citation at all.
WAIVER = "adr-check: ignore"

_SWITCH = re.compile(
    rb"adr-(?:check:[ \t]*(?P<off>off)\b|check:[ \t]*on\b|index:end)"
    rb"|^[ \t]*<!-- (?P<begin>adr-index:begin)",
    re.MULTILINE,
)
_GENERATED = re.compile(rb'"\$?schema":\s*"(?:urn:adrkit:schema:export:|[^"]*sarif)')
_SITE_MARKER = ".adr-site"  # in the directory of every site
_CITATION = re.compile(rb"(?<![\w/-])ADR-(\d{1,6})(?![\w]|-\w)")
MAX_CITING_BYTES = 2_000_000  # larger files are data, not code or documents that cite


@dataclass(frozen=True, slots=True)
class Citation:
    """``path`` is relative to the project's root; ``text`` is what stands there."""

    number: int
    path: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class CitationRun:
    """``results`` has one entry per citation of a record that is not there or not in force."""

    results: tuple[Result, ...]
    citations: int
    files: int


def citations_in(path: str, data: bytes) -> Iterator[Citation]:
    """Citations of one file, those on lines that say ``adr-check: ignore`` left out."""
    if b"ADR-" not in data or b"\0" in data[:8192] or _GENERATED.search(data[:512]):
        return  # nothing, not text, or a copy of what the records say
    found = list(_CITATION.finditer(data))
    off = _switched_off(data) if found else []
    for match in found:
        if any(low <= match.start() < high for low, high in off):
            continue
        start = data.rfind(b"\n", 0, match.start()) + 1
        end = data.find(b"\n", match.end())
        whole = data[start : end if end >= 0 else len(data)]
        if WAIVER.encode() in whole:
            continue
        line = data.count(b"\n", 0, match.start()) + 1
        yield Citation(int(match.group(1)), path, line, match.group().decode())


def _switched_off(data: bytes) -> list[tuple[int, int]]:
    """Ranges that begin with ``adr-check: off``; without ``on`` they reach the end."""
    found: list[tuple[int, int]] = []
    begin: int | None = None
    for match in _SWITCH.finditer(data):
        if match["off"] or match["begin"]:
            begin = match.start() if begin is None else begin
        elif begin is not None:
            found.append((begin, match.start()))
            begin = None
    return found if begin is None else [*found, (begin, len(data))]


def check_citations(config: Config, files: ProjectFiles, records: Sequence[Record]) -> CitationRun:
    """All citations outside the records themselves, held against ``records``.

    Raises ConfigError.
    """
    settings = CheckSettings.of(config)
    by_number = {record.number: record for record in records if record.number is not None}
    drafts = _Drafts(records)
    sites = tuple(
        name.removesuffix(_SITE_MARKER)
        for name in files.all
        if name == _SITE_MARKER or name.endswith(f"/{_SITE_MARKER}")
    )
    results: list[Result] = []
    count = looked_at = 0
    for name in files.all:
        if not _is_wanted(name, settings) or name.startswith(sites):
            continue
        if not files.may_cite(name):
            continue  # its numbers are those of another records directory
        path = files.root / name
        if path.is_symlink():
            continue  # its target is looked at itself
        try:
            if not path.is_file() or path.stat().st_size > MAX_CITING_BYTES:
                continue
            data = path.read_bytes()
        except OSError:  # gone or not readable since it was listed
            continue
        results += drafts.stale(name, data)
        if path.is_relative_to(config.directory):
            continue  # links between records are lint's
        looked_at += 1
        for citation in citations_in(name, data):
            count += 1
            if found := _result(citation, by_number):
                results.append(found)
    return CitationRun(tuple(results), count, looked_at)


class _Drafts:
    """Drafts that there are, and the numbers of those that there were."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.waiting = {record.draft.key for record in records if record.draft is not None}
        self.numbered: dict[str, Record] = {}
        for record in records:
            if record.draft is None and (key := key_of_comment(record.document.text)):
                self.numbered[key] = record

    def stale(self, name: str, data: bytes) -> Iterator[Result]:
        """Mentions ``ADR-draft-…`` of drafts that are numbered, or are no records at all."""
        if not may_mention_drafts(data) or b"\0" in data[:8192] or _GENERATED.search(data[:512]):
            return
        text = data.decode("utf-8", "replace")
        off = _switched_off(text.encode())
        for mention in draft_mentions(text):
            at = len(text[: mention.start].encode())
            if any(low <= at < high for low, high in off):
                continue
            line = text.count("\n", 0, mention.start) + 1
            if mention.key in self.waiting or WAIVER in text.split("\n")[line - 1]:
                continue
            written = text[mention.start : mention.end]
            record = self.numbered.get(mention.key)
            message = (
                f"{written} is {record.label} now: run `adr number`"
                if record
                else f"{written} is cited, but there is no such draft and never was one"
            )
            yield Result(
                record.label if record else written, record.number if record else None, name, line,
                "citation", Verdict.MISSING, Level.ERROR, message, name=written,
            )  # fmt: skip


def _is_wanted(name: str, settings: CheckSettings) -> bool:
    return _matches(name, settings.citations) and not _matches(name, settings.exclude_citations)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    """A pattern without wildcards names a file, or a directory with all that is below it."""
    return matches_any(name, patterns) or any(name.startswith(f"{p}/") for p in patterns)


def _result(citation: Citation, records: Mapping[int, Record]) -> Result | None:
    label = f"ADR-{citation.number:04d}"
    record = records.get(citation.number)
    if record is None:
        verdict, message = Verdict.MISSING, f"{citation.text} is cited, but there is no such record"
        level = Level.ERROR
    elif record.status_kind in (Status.ACCEPTED, Status.PROPOSED, None):
        return None
    else:
        verdict, level = Verdict.VIOLATED, Level.ERROR
        message = f"{citation.text} is cited, but is {record.status_kind.value}"
        if successor := live_successor(record, records):
            message += f"; cite {successor.label} ({successor.name}) instead"
        if record.status_kind is not Status.SUPERSEDED:
            level = Level.WARNING
    return Result(
        label, citation.number, citation.path, citation.line, "citation", verdict, level, message,
        name=citation.text,
    )  # fmt: skip


def live_successor(record: Record, records: Mapping[int, Record]) -> Record | None:
    """The record in force at the end of the supersessions, None when there is none."""
    waiting, seen = list(record.superseded_by), {record.number}
    while waiting:
        number = waiting.pop(0)
        if number in seen or number not in records:
            continue
        seen.add(number)
        successor = records[number]
        if successor.status_kind is Status.ACCEPTED:
            return successor
        waiting += successor.superseded_by
    return None
