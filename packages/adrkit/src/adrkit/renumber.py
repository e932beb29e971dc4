"""Give a record another number: file name, title, links and citations, nothing ambiguous.

Links name a file and are always mended. ``ADR-NNNN`` in prose or code names only a number: it is
mended when no other record has that number, when it stands in the record itself, or when git
knows that its line came in with a commit that also touched this record and not the other one.
What remains is reported, not guessed.
"""

from __future__ import annotations

import fnmatch
import functools
import os.path
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from adrkit.config import Config
from adrkit.document import Document, Edit, Source, Span, SpanSweep
from adrkit.errors import (
    DocumentError,
    GitCommandFailed,
    MissingObjects,
    NumberMissing,
    NumberTaken,
    RecordExists,
)
from adrkit.git import Git
from adrkit.ledger import NumberLedger
from adrkit.names import same_name
from adrkit.record import Record
from adrkit.repository import RecordRepository
from adrkit.transaction import FileChange, apply_changes, is_left_over

_SKIPPED_FOLDERS = {".git", ".hg", ".venv", "venv", "node_modules", "__pycache__", "build", "dist"}
_MAX_FILE_BYTES = 2_000_000  # larger files are data, not code or documents that cite
_PLAIN = "/!$&'()*+,;=:@~"  # what a path in a URL may hold as it is
_FILE_PREFIX = re.compile(r"((?:adr[-_]?)?)(\d{1,6})([a-z]?)(?=[-_. ]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Citation:
    """``ADR-NNNN`` in a file; ``path`` is absolute."""

    path: Path
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class FileEdit:
    path: Path
    before: bytes
    after: bytes
    lines: tuple[int, ...]  # lines edited, from 1


@dataclass(frozen=True, slots=True)
class RenumberPlan:
    """What ``apply_plan`` will do. ``old`` is None for a record that had no number."""

    record: Record
    old: int | None
    new: int
    old_path: Path
    new_path: Path
    edits: tuple[FileEdit, ...]  # of other files
    content: bytes  # of the record at its new path
    ambiguous: tuple[Citation, ...]


def plan_renumber(
    config: Config,
    repository: RecordRepository,
    ledger: NumberLedger,
    record: Record,
    number: int | None = None,
) -> RenumberPlan:
    """Plan to give ``record`` the ``number``, by default the next free one.

    Raises NumberTaken, RecordExists or NumberMissing (a record without a path).
    """
    if record.path is None:
        raise NumberMissing(None)
    if number is None:
        number = ledger.next()
    elif ledger.is_taken(number):
        raise NumberTaken(number, ledger.uses[number][0].description)
    old_path = record.path
    new_path = old_path.with_name(_renamed(old_path, number))
    if new_path.exists():
        raise RecordExists(new_path)
    old = record.number
    rivals = [r for r in repository.list() if r.number == old and r.path != old_path]
    evidence = _Evidence(ledger.git, old_path, [r.path for r in rivals if r.path])
    edits: list[FileEdit] = []
    ambiguous: list[Citation] = []
    content = record.document.edit(*_title_edit(record, number)).to_bytes()
    for path in citing_files(config, ledger.git):
        try:
            data = path.read_bytes()
        except OSError:
            continue
        own = path == old_path.resolve()
        if not own and not _may_cite(data, old, old_path):
            continue
        try:
            source = Source.from_bytes(data, path)
        except DocumentError:
            continue  # not text: nothing cites from there
        changes = list(_link_edits(source, path, old_path, new_path))
        if own:
            changes += _title_edit(record, number)
        title = [record.title.span] if own and record.title else []
        edited = SpanSweep([*(edit.span for edit in changes), *title])
        for span in _citations(source, old) if old is not None else ():
            if edited.holds(span):
                continue
            meant = own or evidence.meant(path, source.line_of(span.start))
            if meant:
                text = source.text[span.start : span.end]
                changes.append(Edit(span, _renumbered(text, number)))
            elif meant is None and not _is_rival_link(source, span):
                line = source.line_of(span.start)
                ambiguous.append(Citation(path, line, source.line_text(line).strip()))
        if not changes:
            continue
        after = source.edited(changes).to_bytes()
        if own:
            content = after
        else:
            lines = tuple(sorted({source.line_of(edit.span.start) for edit in changes}))
            edits.append(FileEdit(path, data, after, lines))
    return RenumberPlan(
        record, old, number, old_path, new_path, tuple(edits), content, tuple(ambiguous)
    )  # fmt: skip


def apply_plan(config: Config, repository: RecordRepository, plan: RenumberPlan) -> None:
    """Make all changes or none; citations are edited anywhere in the checkout.

    Raises PathOutside or TransactionError.
    """
    changes = [
        FileChange(plan.new_path, None, plan.content),
        *(FileChange(edit.path, edit.before, edit.after) for edit in plan.edits),
        FileChange(plan.old_path, plan.record.document.to_bytes(), None),
    ]
    apply_changes(repository.directory, changes, config.boundary)


def _renamed(path: Path, number: int) -> str:
    match = _FILE_PREFIX.match(path.stem)
    if match is None:
        return f"{number:04d}-{path.name}"
    width = max(len(match.group(2)), 4) if not match.group(1) else len(match.group(2))
    return f"{match.group(1)}{number:0{width}d}{path.stem[match.end() :]}{path.suffix}"


def _title_edit(record: Record, number: int) -> list[Edit]:
    """Empty when the title has no number, or not the file's: then it is for the author to mend."""
    title = record.title
    if title is None or title.number is None or title.number != record.number:
        return []
    digits = re.search(r"\d+[a-z]?", title.prefix, re.IGNORECASE)
    if digits is None:
        return []
    written = re.sub(r"[a-z]$", "", digits.group(), flags=re.IGNORECASE)
    start = title.span.start + digits.start()
    return [Edit(Span(start, start + len(digits.group())), _padded(number, written))]


def _padded(number: int, like: str) -> str:
    """Zero-padded as the old number was: "7" stays unpadded, "0007" keeps four digits."""
    return f"{number:0{len(like)}d}" if like.startswith("0") or len(like) >= 4 else str(number)


def _renumbered(citation: str, number: int) -> str:
    return re.sub(r"\d+", lambda match: _padded(number, match.group()), citation, count=1)


def _citations(source: Source, number: int) -> Iterator[Span]:
    pattern = rf"(?<![\w/-])ADR[-_ ]?0*{number}(?!\d|[-\w]*\.(?:md|markdown))(?![a-z]\b)"
    for match in re.finditer(pattern, source.text, re.IGNORECASE):
        yield Span(match.start(), match.end())


def _is_rival_link(source: Source, span: Span) -> bool:
    """``[ADR-0005](0005-other.md)``: the link's target says which record is meant."""
    rest = source.text[span.end : span.end + 300]
    return (
        re.match(r"[^\[\]\n]*\]\([^()\s]*\d{1,6}[a-z]?[-_][^()\s]*\.(?:md|markdown)", rest)
        is not None
    )


def _may_cite(data: bytes, number: int | None, record: Path) -> bool:
    names = (*_spellings(record.name), *(f"[[{stem}" for stem in _spellings(record.stem)))
    if any(name.encode() in data for name in names):
        return True
    if number is None:
        return False
    return re.search(rb"adr[-_ ]?0*%d(?!\d)" % number, data, re.IGNORECASE) is not None


def _link_edits(source: Source, path: Path, old: Path, new: Path) -> Iterator[Edit]:
    """Edits of every mention of the record's file: links, with their text if it is a citation.

    In Markdown only what resolves to the record counts; elsewhere its file name does.
    """
    named = re.compile(
        rf"(?<![\w-])(?:{_any_of(old.name)})(?![\w-])|(?<=\[\[)(?:{_any_of(old.stem)})(?=[]|#])"
    )
    if path.suffix.lower() not in (".md", ".markdown"):
        for match in named.finditer(source.text):
            yield _renamed_at(match.start(), old, new)
        return
    document = Document(source, path)
    record = old.resolve()
    inside: list[Span] = []
    for link in document.links:
        target = unquote(link.target.split("#")[0].split("?")[0])
        resolves = same_name(os.path.normpath(path.parent / target), str(record))
        hosted = ":" in target and target.endswith("/" + old.name)  # a permanent link on a forge
        if not (resolves or hosted):
            continue
        inside.append(link.span)
        if link.target_span is not None:
            written = source.text[link.target_span.start : link.target_span.end]
            for match in [*re.finditer(_any_of(old.name), written)][-1:]:
                yield _renamed_at(link.target_span.start + match.start(), old, new)
        text = Span(link.span.start, link.target_span.start) if link.target_span else link.span
        before, fresh = _FILE_PREFIX.match(old.stem), _FILE_PREFIX.match(new.stem)
        if before and fresh:
            number, other = int(before.group(2)), int(fresh.group(2))
            shown = source.text[text.start : text.end]
            pattern = rf"(?:\bADR[-_ ]?0*{number}(?!\d)|(?<=\[)0*{number}(?=\.\s))"
            for match in re.finditer(pattern, shown, re.IGNORECASE):
                start = text.start + match.start()
                yield Edit(Span(start, text.start + match.end()), _renumbered(match.group(), other))
    linked = SpanSweep(inside)
    # Names in code spans and reference definitions, which are no links themselves.
    for match in named.finditer(source.text):
        if not linked.holds(Span(match.start(), match.end())):
            yield _renamed_at(match.start(), old, new)


@functools.lru_cache(maxsize=8)
def _spellings(name: str) -> tuple[str, ...]:
    """A file's name as links write it: as it is, or percent-encoded in part; in both normal forms
    of Unicode. They begin alike, with what has the number."""
    forms = dict.fromkeys(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    ways = dict.fromkeys(
        way
        for form in (name, *forms)
        for way in (
            form, form.replace(" ", "%20"), quote(form, safe=_PLAIN), quote(form),
            quote(form, safe=_PLAIN).replace("%20", " "),
        )
    )  # fmt: skip
    return tuple(ways)


@functools.lru_cache(maxsize=8)
def _any_of(name: str) -> str:
    """A pattern of the spellings, the longest first; hexadecimal digits may be small."""
    found = sorted(_spellings(name), key=len, reverse=True)
    escaped = (re.sub(r"%[0-9A-F]{2}", r"(?i:\g<0>)", re.escape(way)) for way in found)
    return "|".join(escaped)


def _renamed_at(start: int, old: Path, new: Path) -> Edit:
    """The number alone is written: what follows stays as it is spelled there."""
    before = _FILE_PREFIX.match(old.stem)
    low = before.end() if before else 0
    return Edit(Span(start, start + low), new.stem[: len(new.stem) - len(old.stem) + low])


def citing_files(config: Config, git: Git | None) -> Iterable[Path]:
    """Files that may cite records: absolute paths, as the settings choose them."""
    if git is not None:
        root = git.root.resolve()
        names: Iterable[Path] = (root / name for name in git.tracked())
    else:
        root = config.root.resolve()
        names = _walk(root)
    for path in names:
        relative = path.relative_to(root).as_posix()
        if is_left_over(path):
            continue  # left over from a change that was killed
        if not config.owns(path):
            continue  # its numbers are those of another records directory
        if not any(_matches(relative, pattern) for pattern in config.citations):
            continue
        try:
            if path.is_symlink() or is_left_over(path) or not path.is_file():
                continue
            if path.stat().st_size <= _MAX_FILE_BYTES:
                yield path
        except OSError:
            continue


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED_FOLDERS)
        yield from (Path(folder, name) for name in sorted(files))


def _matches(relative: str, pattern: str) -> bool:
    return pattern == "**/*" or fnmatch.fnmatch(relative, pattern)


class _Evidence:
    """Which record the author of a citing line meant, by the commits that brought them in."""

    def __init__(self, git: Git | None, record: Path, rivals: Sequence[Path]) -> None:
        self.git = git
        self.rivals = {path.resolve() for path in rivals}
        self._ours: set[str] = set()
        self._theirs: set[str] = set()
        self._blamed: dict[Path, dict[int, str]] = {}
        if git is None or not rivals or git.head().commit is None:
            self.git = None
            return
        try:
            self._ours = self._touching(git, [record])
            self._theirs = self._touching(git, rivals)
        except MissingObjects:
            self.git = None

    @staticmethod
    def _touching(git: Git, paths: Sequence[Path]) -> set[str]:
        names = [git.relative(path) for path in paths]
        return {change.commit for change in git.changes(*names, revisions=("HEAD",))}

    def meant(self, path: Path, line: int) -> bool | None:
        """True for this record, False for another one, None when nobody can tell."""
        if not self.rivals:
            return True
        if path in self.rivals:
            return False  # another record of that number speaks of itself
        if self.git is None:
            return None
        if path not in self._blamed:
            self._blamed[path] = self._blame(self.git, path)
        commit = self._blamed[path].get(line)
        ours, theirs = commit in self._ours, commit in self._theirs
        return None if ours == theirs else ours

    @staticmethod
    def _blame(git: Git, path: Path) -> dict[int, str]:
        try:
            output = git.run("blame", "--no-textconv", "--line-porcelain", "--", git.relative(path))
        except GitCommandFailed:  # not committed yet
            return {}
        found = {}
        for entry in re.finditer(rb"^([0-9a-f]{40,64}) \d+ (\d+)", output, re.MULTILINE):
            found[int(entry.group(2))] = entry.group(1).decode()
        return found
