"""The review itself: two snapshots, the checks and citations of both, and what is new in one."""

from __future__ import annotations

import posixpath
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from adrkit.checks import (
    CitationRun,
    Level,
    Result,
    Verdict,
    check_citations,
    make_context,
    read_checks,
    run_checks,
)
from adrkit.checks.check import Check
from adrkit.checks.python_module import PythonModule
from adrkit.checks.run import CheckRun
from adrkit.config import SETTINGS_FILES
from adrkit.errors import UnrelatedHistories
from adrkit.git import Git
from adrkit.globs import is_glob, matches_any
from adrkit.governance import Governance, governing_many, readings
from adrkit.model import Status
from adrkit.reading import Reading
from adrkit.record import Record
from adrkit.renames import Renames
from adrkit.review.diff import messages, read_diff
from adrkit.review.exceptions import answered, read_claims
from adrkit.review.findings import Review, ReviewFinding
from adrkit.review.signals import Sides, Signal, is_no_product, signals
from adrkit.review.snapshot import Snapshot

_IN_FORCE = (Status.ACCEPTED, Status.PROPOSED)


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

    ``start`` is where settings are looked for, inside of the work tree; ``text`` is the
    description of a pull request, for exceptions; ``parsed`` as in CheckContext. Reads git's
    objects alone: the work tree and the clone stay as they are, and no program that a check names
    is run.

    Raises UnknownRevision, UnrelatedHistories, ShallowClone, ConfigError, or GitCommandFailed
    (MissingObjects in a partial clone).
    """
    tip = git.resolve(head)
    fork = git.merge_base(base, tip)
    if fork is None:
        git.require_history()
        raise UnrelatedHistories(base, head)
    with tempfile.TemporaryDirectory(prefix="adrkit-review-") as folder:
        made = _Review(git, start, fork, tip, Path(folder), directory)
        made.parsed = {} if parsed is None else parsed
        return made.run(text)


class _Side:
    """One of the two commits; its files are written when something asks for them."""

    def __init__(self, review: _Review, commit: str, name: str) -> None:
        self._review, self.commit, self._name = review, commit, name

    @cached_property
    def snapshot(self) -> Snapshot:
        made = self._review
        return Snapshot(
            made.git, self.commit, made.folder / self._name, made.inside, made.directory
        )

    @cached_property
    def paths(self) -> tuple[str, ...]:
        return self._review.git.files_at(self.commit)

    @cached_property
    def checks(self) -> CheckRun:
        found, parsed = self.snapshot, self._review.parsed
        context = make_context(found.config, found.git, commands="skip", parsed=parsed)
        return run_checks(context, self.snapshot.records)

    @cached_property
    def citations(self) -> CitationRun:
        found = self.snapshot
        return check_citations(found.config, found.files, found.records)

    def read(self, path: str) -> bytes | None:
        name = f"{self.commit}:{path}"
        return self._review.git.read([name])[name]


class _Review:
    def __init__(
        self, git: Git, start: Path, base: str, head: str, folder: Path, directory: Path | None
    ) -> None:
        self.git, self.folder, self.directory = git, folder, directory
        self.parsed: dict[tuple[str, bytes], PythonModule] = {}
        self.inside = git.relative(start)
        self.base, self.head = _Side(self, base, "base"), _Side(self, head, "head")
        self.files = read_diff(git, base, head)
        self.by_path = {file.path: file for file in self.files}
        self.renamed = {f.old_path: f.path for f in self.files if f.status == "R"}

    def run(self, text: str | None) -> Review:
        prefix = self.head.snapshot.prefix
        said = messages(self.git, self.base.commit, self.head.commit)
        findings = [
            *self._broken(), *self._removed(), *self._stale_citations(), *self._stale_paths(),
            *self._undecided(),
        ]  # fmt: skip
        claims = list(read_claims(self.files, said, text))
        known = {r.number for r in (*self.head.snapshot.records, *self._base_records) if r.number}
        kept, excused = answered(findings, claims, frozenset(known))
        order = {"error": 0, "warning": 1, "note": 2}
        kept.sort(key=lambda item: (order[item.level], item.path, item.line, item.rule))
        changed = [file.path[len(prefix) :] for file in self.files if file.path.startswith(prefix)]
        return Review(
            self.base.commit, self.head.commit, len(said), len(self.files),
            tuple(self._governed(changed)), tuple(kept), tuple(excused),
            tuple(self._own_records()), self.head.checks.skipped,
        )  # fmt: skip

    # -- what governs --------------------------------------------------------------------------

    def _governed(self, changed: Sequence[str]) -> Iterator[tuple[str, tuple[Governance, ...]]]:
        head = self.head.snapshot
        renames = Renames(head.config.root, head.git, head.config.directory)
        found = governing_many(head.files, head.records, changed, renames)
        own = {self._shown(record) for record in self.head.snapshot.records}
        for path, reasons in found.items():
            if reasons and path not in own:
                yield path, reasons

    @cached_property
    def _touched_records(self) -> tuple[Record, ...]:
        """Records that the diff adds or whose text it changes."""
        prefix = self.head.snapshot.prefix
        return tuple(
            record
            for record in self.head.snapshot.records
            if (file := self.by_path.get(prefix + self._shown(record))) is not None
            and (file.status == "A" or file.added)
        )

    def _own_records(self) -> Iterator[str]:
        for record in self._touched_records:
            yield f"{record.label} {record.name}".strip()

    def _shown(self, record: Record) -> str:
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
        for name, data in self.git.read(f"{self.base.commit}:{n}" for n in names).items():
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
                path = self._shown(new)
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
        after = {p[len(prefix) :] for p in self.head.paths if p.startswith(prefix)}
        moved = {path[len(prefix) :] for path in self.renamed}
        for record in self.head.snapshot.records:
            if record.status_kind not in _IN_FORCE or record in self._touched_records:
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
                    lost[0], 1, record.label, record.number, (self._shown(record), cited.line),
                )  # fmt: skip

    # -- decisions without a record ------------------------------------------------------------

    def _undecided(self) -> Iterator[ReviewFinding]:
        if any(record.status_kind in _IN_FORCE for record in self._touched_records):
            return  # the diff brings its record
        prefix = self.head.snapshot.prefix
        sides = Sides(self.base.read, self.head.read, self.base.paths)
        inside = [file for file in self.files if file.path.startswith(prefix)]
        for signal in signals(inside, sides):
            path = signal.path.removeprefix(prefix)
            speaking = self._speaking(signal, path)
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

    def _speaking(self, signal: Signal, path: str) -> list[Record]:
        """Records in force that speak of what is new, or of the file that it is in."""
        records = [r for r in self.head.snapshot.records if r.status_kind in _IN_FORCE]
        if signal.kind == "dependency":
            return [record for record in records if _names_package(record, signal.subject)]
        reasons = governing_many(self.head.snapshot.files, records, [path])[path]
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


def _check_key(result: Result) -> tuple[str, str, str]:
    return (result.label, result.kind, result.name)


def _kinds(record: Record) -> Counter[str]:
    return Counter(check.spec.kind for check in read_checks(record) if isinstance(check, Check))


def _is_there(path: str, names: set[str]) -> bool:
    if is_glob(path):
        return any(matches_any(name, [path]) for name in names)
    return path in names or any(name.startswith(f"{path.rstrip('/')}/") for name in names)
