"""The review itself: two snapshots, the checks and citations of both, and what is new in one."""

from __future__ import annotations

import posixpath
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from adrkit.areas import area_of, owner
from adrkit.checks import Level, Result, Verdict, read_checks
from adrkit.checks.check import Check
from adrkit.checks.python_module import PythonModule
from adrkit.config import SETTINGS_FILES
from adrkit.errors import NotARepository, UnrelatedHistories
from adrkit.git import Git
from adrkit.globs import is_glob, matches_any
from adrkit.governance import Governance, governing_many, readings
from adrkit.model import Status
from adrkit.reading import Reading
from adrkit.record import Record
from adrkit.renames import Renames
from adrkit.review.diff import messages
from adrkit.review.exceptions import answered, read_claims
from adrkit.review.findings import Review, ReviewFinding
from adrkit.review.sides import Range, Side
from adrkit.review.signals import is_no_product
from adrkit.review.undecided import IN_FORCE, undecided

_LEVELS = {"error": 0, "warning": 1, "note": 2}


def review(
    git: Git,
    start: Path,
    base: str,
    head: str,
    *,
    directory: Path | None = None,
    text: str | None = None,
    parsed: dict[tuple[str, bytes], PythonModule] | None = None,
) -> Review:
    """Review what ``head`` adds to its merge base with ``base``.

    ``start`` is where settings are looked for, inside of the work tree; of a project with several
    records directories all that are in view from there count, or ``directory`` alone, relative to
    ``start``. ``text`` is the description of a pull request, for exceptions; ``parsed`` as in
    CheckContext. Reads git's objects alone: the work tree and the clone stay as they are, and no
    program that a check names is run.

    Raises UnknownRevision, UnrelatedHistories, ShallowClone, ConfigError, NotARepository for a
    ``directory`` outside, or GitCommandFailed (MissingObjects in a partial clone).
    """
    tip = git.resolve(head)
    fork = git.merge_base(base, tip)
    if fork is None:
        git.require_history()
        raise UnrelatedHistories(base, head)
    chosen: tuple[str | None, ...] = ()
    if directory is not None:
        try:
            chosen = (git.relative(start / directory),)
        except ValueError as error:
            raise NotARepository(start / directory) from error
    with tempfile.TemporaryDirectory(prefix="adrkit-review-") as folder:
        kept = {} if parsed is None else parsed
        between = Range(git, git.relative(start), fork, tip, Path(folder), kept)
        return _reviewed(between, chosen or between.directories(), text)


def _reviewed(between: Range, directories: Sequence[str | None], text: str | None) -> Review:
    parts = [_Part(between, directory) for directory in directories]
    said = messages(between.git, between.base.id, between.head.id)
    findings = [finding for part in parts for finding in part.findings()]
    findings += undecided(between, parts)
    claims = list(read_claims(between.files, said, text))
    known = frozenset(number for part in parts for number in part.numbers())
    kept, excused = answered(findings, claims, known)
    kept.sort(key=lambda item: (_LEVELS[item.level], item.path, item.line, item.rule))
    governed: dict[str, tuple[Governance, ...]] = {}
    for part in parts:
        for path, reasons in part.governed():
            governed[path] = (*governed.get(path, ()), *reasons)
    own = {path for part in parts for path in part.record_paths()}
    places = {r.path: part.shown(r) for part in parts for r in part.records if r.path}
    return Review(
        between.base.id, between.head.id, len(said), len(between.files),
        tuple((path, reasons) for path, reasons in sorted(governed.items()) if path not in own),
        tuple(kept), tuple(excused),
        tuple(name for part in parts for name in part.own_records()),
        sum(part.head.checks.skipped for part in parts),
        places, len(parts) > 1,
    )  # fmt: skip


class _Part:
    """The review for one records directory."""

    def __init__(self, between: Range, directory: str | None) -> None:
        self.between, self.git = between, between.git
        self.base, self.head = (
            Side(between, commit, directory) for commit in (between.base, between.head)
        )
        self.files, self.by_path, self.renamed = between.files, between.by_path, between.renamed

    @property
    def prefix(self) -> str:
        return self.head.snapshot.prefix

    @property
    def records(self) -> tuple[Record, ...]:
        return self.head.snapshot.records

    def findings(self) -> Iterator[ReviewFinding]:
        yield from self._broken()
        yield from self._removed()
        yield from self._stale_citations()
        yield from self._stale_paths()

    def numbers(self) -> Iterator[int]:
        for record in (*self.records, *self._base_records):
            if record.number:
                yield record.number

    def owns(self, path: str) -> bool:
        """Whether a file of the project, relative to it, is not another directory's."""
        return self.head.snapshot.files.may_cite(path)

    def speaks_of(self, path: str) -> bool:
        """Whether the directory's records may decide about a file: it lies in their area."""
        config = self.head.snapshot.config
        if owner(config.directories, config.directory) is None:
            return True
        return (config.root / path).is_relative_to(area_of(config.directory))

    # -- what governs --------------------------------------------------------------------------

    def governed(self) -> Iterator[tuple[str, tuple[Governance, ...]]]:
        """Changed files with the records that speak of them."""
        head, prefix = self.head.snapshot, self.prefix
        changed = [file.path[len(prefix) :] for file in self.files if file.path.startswith(prefix)]
        renames = Renames(head.config.root, head.git, head.config.directory)
        found = governing_many(head.files, head.records, changed, renames)
        yield from ((path, reasons) for path, reasons in found.items() if reasons)

    def record_paths(self) -> Iterator[str]:
        for record in self.records:
            yield self.shown(record)

    @cached_property
    def touched_records(self) -> tuple[Record, ...]:
        """Records that the diff adds or whose text it changes."""
        prefix = self.head.snapshot.prefix
        return tuple(
            record
            for record in self.head.snapshot.records
            if (file := self.by_path.get(prefix + self.shown(record))) is not None
            and (file.status == "A" or file.added)
        )

    def own_records(self) -> Iterator[str]:
        for record in self.touched_records:
            yield f"{record.label} {record.name}".strip()

    def shown(self, record: Record) -> str:
        return self.head.snapshot.shown(record.path) if record.path else record.label

    # -- checks --------------------------------------------------------------------------------

    def _broken(self) -> Iterator[ReviewFinding]:
        failing = [
            result
            for result in self.head.checks.results
            if result.level in (Level.ERROR, Level.NOTE) and result.verdict != "pass"
        ]
        if not failing:
            return
        before = Counter(
            _check_key(result)
            for result in self.base.checks.results
            if result.level in (Level.ERROR, Level.NOTE) and result.verdict != "pass"
        )
        for result in failing:
            key = _check_key(result)
            if before[key]:
                before[key] -= 1  # it was broken before this diff
                continue
            where = result.evidence
            place = (result.path, result.line)
            path, line = (where.path, where.line or 1) if where else place
            path, line = self._in_diff(path, line, result)
            yield ReviewFinding(
                "broken-check", "error" if result.level is Level.ERROR else "note",
                f"{result.label} {result.name or result.kind}: {result.message}"
                + (f" ({result.reason})" if result.reason else ""),
                path, line, result.label, result.number, place,
            )  # fmt: skip

    def _in_diff(self, path: str, line: int, result: Result) -> tuple[str, int]:
        """The place in the diff that did it, where the evidence is not in it: a file that went."""
        prefix = self.head.snapshot.prefix
        if prefix + path in self.by_path or prefix + result.path in self.by_path:
            return path, line
        for file in self.files:
            if file.status in "DR" and file.old_path == prefix + path:
                return file.path.removeprefix(prefix), 1
        return path, line

    @cached_property
    def _base_records(self) -> tuple[Record, ...]:
        """Records of the base that the diff touches, read without a snapshot."""
        folder = self.head.snapshot.repository.directory.resolve()
        inside = folder.relative_to(self.head.snapshot.top).as_posix()
        names = [
            file.old_path
            for file in self.files
            if file.status != "A" and file.old_path.startswith(f"{inside}/")
        ]
        found = []
        for name, data in self.git.read(f"{self.between.base.id}:{n}" for n in names).items():
            try:
                text = (data or b"").decode("utf-8-sig")
            except UnicodeDecodeError:
                continue
            path = self.head.snapshot.top / name.partition(":")[2]
            found.append(Record.from_text(text, path, self._base_reading))
        return tuple(found)

    @cached_property
    def _base_reading(self) -> Reading:
        """The base's own words, which the diff may have taken away together with a check."""
        changed = {posixpath.basename(file.old_path) for file in self.files}
        side = self.head if changed.isdisjoint(SETTINGS_FILES) else self.base
        return side.snapshot.config.reading

    def _removed(self) -> Iterator[ReviewFinding]:
        after = {record.number: record for record in self.head.snapshot.records if record.number}
        for old in self._base_records:
            new = after.get(old.number or 0)
            if old.status_kind is not Status.ACCEPTED or new is None or new.path is None:
                continue
            if new.status_kind is not Status.ACCEPTED:
                continue
            fewer = _kinds(old) - _kinds(new)
            if fewer:
                what = ", ".join(f"{n} {kind}" for kind, n in sorted(fewer.items()))
                path = self.shown(new)
                yield ReviewFinding(
                    "check-removed", "error",
                    f"{new.label} is in force and lost checks that it had: {what}",
                    path, 1, new.label, new.number, (path, 1),
                )  # fmt: skip

    # -- citations -----------------------------------------------------------------------------

    def _stale_citations(self) -> Iterator[ReviewFinding]:
        found = [r for r in self.head.citations.results if r.level is not Level.NONE]
        if not found:
            return
        old_prefix, new_prefix = self.base.snapshot.prefix, self.head.snapshot.prefix
        before: Counter[tuple[str, str]] = Counter()
        for result in self.base.citations.results:
            path = old_prefix + result.path
            before[(self.renamed.get(path, path), result.name)] += 1
        groups: dict[tuple[str, str], list[Result]] = {}
        for result in found:
            groups.setdefault((new_prefix + result.path, result.name), []).append(result)
        for (path, name), results in groups.items():
            new = len(results) - before[(path, name)]
            if new <= 0:
                continue
            file = self.by_path.get(path)
            lines = {line.number for line in file.added} if file else set()
            results.sort(key=lambda result: result.line not in lines)
            for result in results[:new]:
                level = "note" if self._is_example(result) else result.level.value
                yield ReviewFinding(
                    "stale-citation", level, result.message, result.path, result.line,
                    result.label, result.number,
                )  # fmt: skip

    def _is_example(self, result: Result) -> bool:
        """A number that no record ever had, in a test or a document: made up for the occasion.
        `adr check` holds it against the project all the same."""
        known = {record.number for record in self.base.snapshot.records}
        made_up = result.verdict is Verdict.MISSING and result.number not in known
        return made_up and is_no_product(result.path)

    def _stale_paths(self) -> Iterator[ReviewFinding]:
        """What was renamed is followed by every command; what was deleted is gone."""
        prefix = self.head.snapshot.prefix
        gone = {f.path[len(prefix) :] for f in self.files if f.status == "D"}
        if not gone:
            return
        after = {p[len(prefix) :] for p in self.between.head.paths if p.startswith(prefix)}
        moved = {path[len(prefix) :] for path in self.renamed}
        for record in self.head.snapshot.records:
            if record.status_kind not in IN_FORCE or record in self.touched_records:
                continue
            seen: set[str] = set()
            for cited in record.cited_paths:
                paths = list(
                    readings(self.head.snapshot.files, record, cited.path, is_link=cited.is_link)
                )
                lost = [path for path in paths if _is_there(path, gone)]
                kept = any(_is_there(path, after) or _is_there(path, moved) for path in paths)
                if not lost or kept or cited.path in seen:
                    continue
                seen.add(cited.path)
                yield ReviewFinding(
                    "stale-path", "error",
                    f"{record.label} names `{cited.path}`, which the diff takes away",
                    lost[0], 1, record.label, record.number, (self.shown(record), cited.line),
                )  # fmt: skip


def _check_key(result: Result) -> tuple[str, str, str]:
    return (result.label, result.kind, result.name)


def _kinds(record: Record) -> Counter[str]:
    return Counter(check.spec.kind for check in read_checks(record) if isinstance(check, Check))


def _is_there(path: str, names: set[str]) -> bool:
    if is_glob(path):
        return any(matches_any(name, [path]) for name in names)
    return path in names or any(name.startswith(f"{path.rstrip('/')}/") for name in names)
