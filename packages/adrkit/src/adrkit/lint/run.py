"""Running the rules over all records, on all processors when that pays."""

from __future__ import annotations

import datetime
import gc
import multiprocessing
import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from adrkit.config import Config
from adrkit.confine import boundary_of
from adrkit.document import Document
from adrkit.errors import DocumentError, NoRecords
from adrkit.git import Git
from adrkit.globs import is_glob
from adrkit.ledger import NumberLedger
from adrkit.lint.baseline import shown
from adrkit.lint.rule import (
    Facts,
    Finding,
    Place,
    Problem,
    ProjectView,
    Rule,
    Severity,
    place_of,
    title_span,
)
from adrkit.lint.rules import BY_CODE, RULES
from adrkit.lint.settings import LintSettings
from adrkit.lint.waivers import Waiver, config_waivers, record_waivers
from adrkit.model import Status
from adrkit.names import file_number, real_path
from adrkit.project_files import ProjectFiles
from adrkit.reading import Reading
from adrkit.record import Record
from adrkit.renames import Followed, Renames
from adrkit.repository import RecordRepository, require_inside

# Below this many records another process costs more than it saves (measured: about 250 ms).
_PARALLEL_FROM = 250
_PATH_RULES = ("ADR601", "ADR602")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One record's share: picklable, without its document."""

    findings: tuple[Finding, ...]
    facts: Facts | None
    waivers: tuple[Waiver, ...]
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """``findings`` in order of path and line, waived ones left out; ``waived`` counts those.

    ``followed`` are paths that are gone from where records name them, with where they are now.
    """

    findings: tuple[Finding, ...]
    records: int
    waived: int
    unreadable: int
    followed: tuple[Followed, ...] = ()

    @property
    def errors(self) -> int:
        return sum(finding.severity is Severity.ERROR for finding in self.findings)


def lint_record(record: Record, project: ProjectView, settings: LintSettings) -> list[Finding]:
    """Findings of the rules that look at one record alone."""
    found = []
    for rule in RULES:
        if rule.check is None or rule.code not in settings.enabled:
            continue
        if record.dialect.name in rule.dialects:
            found += [
                _finding(rule, problem, record, settings) for problem in rule.check(record, project)
            ]
    return found


def _finding(rule: Rule, problem: Problem, record: Record, settings: LintSettings) -> Finding:
    place = place_of(record, problem.at)
    severity = settings.severities.get(rule.code, problem.severity or rule.severity)
    return Finding(
        rule.code, rule.name, severity, problem.message, rule.remedy, record.path or Path("record"),
        place.line, place.column, place.length, place.source, problem.edits, problem.subject,
    )  # fmt: skip


def _placed(code: str, message: str, path: Path, place: Place, settings: LintSettings) -> Finding:
    rule = BY_CODE[code]
    severity = settings.severities.get(code, rule.severity)
    return Finding(
        code, rule.name, severity, message, rule.remedy, path,
        place.line, place.column, place.length, place.source,
    )  # fmt: skip


def outcome_of(
    path: Path,
    project: ProjectView,
    settings: LintSettings,
    texts: Mapping[Path, str] | None = None,
) -> Outcome:
    """``texts`` are texts that are being written; they count instead of what the disk holds."""
    try:
        text = texts.get(path) if texts else None
        if text is None:
            require_inside(path, boundary_of(real_path(project.directory)))
        document = Document.read(path) if text is None else Document.from_text(text, path)
    except DocumentError as error:
        finding = _placed("ADR001", str(error), path, Place(1, 1, 1, ""), settings)
        return Outcome((finding,), None, (), unreadable=True)
    record = Record(document, project.reading)
    findings = lint_record(record, project, settings)
    facts = Facts(
        path, record.number, record.label, record.status_kind, record.relations,
        place_of(record, title_span(record)),
        tuple(place_of(record, relation.span) for relation in record.relations),
    )  # fmt: skip
    return Outcome(tuple(findings), facts, record_waivers(record))


def view_of(config: Config, settings: LintSettings, paths: Iterable[Path]) -> ProjectView:
    by_number: dict[int, Path] = {}
    for path in paths:
        named = file_number(path)
        number = named[0] if named else _title_number(path, config.reading)
        if number is not None:
            by_number.setdefault(number, path)
    return ProjectView(
        config.root, config.directory, datetime.datetime.now().astimezone().date(),
        frozenset(by_number), by_number, settings.max_words, config.reading,
    )  # fmt: skip


def _title_number(path: Path, reading: Reading) -> int | None:
    try:
        return Record.read(path, reading).number
    except DocumentError:
        return None


def lint(
    config: Config,
    repository: RecordRepository,
    git: Git | None,
    settings: LintSettings,
    *,
    only: Sequence[Path] = (),
    processes: int | None = None,
    texts: Mapping[Path, str] | None = None,
) -> Report:
    """Lint all records, or report on ``only`` some (the others are still read for relations).

    ``texts`` are texts of records that an editor holds and the disk does not have yet.

    Raises RecordsDirectoryMissing or NoRecords: nothing to check is not a pass.
    """
    paths = list(repository.paths) if repository.directory.is_dir() or not only else []
    known = {real_path(path) for path in paths}
    extra = [path for path in only if real_path(path) not in known]
    paths += extra
    if not paths:
        raise NoRecords(repository.directory)
    project = view_of(config, settings, paths)
    written = {real_path(path): text for path, text in (texts or {}).items()}
    held = {path: written[real_path(path)] for path in paths if real_path(path) in written}
    outcomes = list(_outcomes(paths, project, settings, processes, held))
    facts = [outcome.facts for outcome in outcomes if outcome.facts]
    findings = [finding for outcome in outcomes for finding in outcome.findings]
    for rule in RULES:
        if rule.project_check and rule.code in settings.enabled:
            findings += (
                _placed(rule.code, problem.message, problem.path, problem.place, settings)
                for problem in rule.project_check(facts)
            )
    findings += _number_findings(repository, git, facts, settings)
    proposed = {fact.path for fact in facts if fact.status in (Status.PROPOSED, None)}
    findings, followed = _with_destinations(findings, config, git, proposed)
    waivers = [waiver for outcome in outcomes for waiver in outcome.waivers]
    waivers += config_waivers(settings.waivers, config.source)
    kept, waived = _without_waived(findings, waivers, project, settings)
    wanted = {real_path(path) for path in only}
    if wanted:
        kept = [finding for finding in kept if real_path(finding.path) in wanted]
    kept.sort(key=lambda finding: (str(finding.path), finding.line, finding.column, finding.code))
    unreadable = sum(
        outcome.unreadable and (not wanted or real_path(path) in wanted)
        for path, outcome in zip(paths, outcomes, strict=True)
    )
    return Report(tuple(kept), len(wanted) or len(paths), waived, unreadable, followed)


def lint_alone(
    config: Config, path: Path, text: str, project: ProjectView, settings: LintSettings
) -> tuple[Finding, ...]:
    """What can be said of one text on every keystroke: without the rules that need the other
    records, git or a look at the whole project."""
    outcome = outcome_of(path, project, settings, {path: text})
    waivers = [*outcome.waivers, *config_waivers(settings.waivers, config.source)]
    kept, _ = _without_waived(outcome.findings, waivers, project, settings)
    left_out = (*_PATH_RULES, "ADR904")
    return tuple(f for f in kept if f.path == path and f.code not in left_out)


def _outcomes(
    paths: Sequence[Path],
    project: ProjectView,
    settings: LintSettings,
    processes: int | None,
    texts: Mapping[Path, str],
) -> Iterator[Outcome]:
    workers = processes or (os.cpu_count() or 1)
    work = partial(outcome_of, project=project, settings=settings, texts=texts)
    if workers < 2 or len(paths) < _PARALLEL_FROM:
        yield from map(work, paths)
        return
    # Forking shares what is loaded already; where it is not safe the platform's way is taken.
    forks = os.name == "posix" and os.uname().sysname == "Linux"
    context = multiprocessing.get_context("fork" if forks else None)
    chunk = max(10, len(paths) // (workers * 8))
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_no_collection) as pool:
        yield from pool.map(work, paths, chunksize=chunk)


def _no_collection() -> None:
    """A worker lives for a second and makes many small objects."""
    gc.freeze()
    gc.disable()


def _number_findings(
    repository: RecordRepository, git: Git | None, facts: Sequence[Facts], settings: LintSettings
) -> Iterator[Finding]:
    numbered = {fact.number: fact for fact in facts if fact.number is not None}
    by_path = {real_path(fact.path): fact for fact in facts}
    if not repository.directory.is_dir():
        return
    ledger = NumberLedger(repository, git)
    root = git.root if git else Path()
    if "ADR107" in settings.enabled:
        for collision in ledger.collisions():
            other = f" on {collision.other_branch}" if collision.other_branch else ""
            fact = by_path.get(real_path(root / collision.path)) or numbered.get(collision.number)
            if fact is not None:
                message = f"number {collision.number:04d} is also {collision.other}{other}"
                yield _placed("ADR107", message, fact.path, fact.place, settings)
    # Of a clone without its history nobody knows whether a number was never given, or removed.
    if "ADR108" in settings.enabled and numbered and ledger.is_whole:
        numbers = sorted(numbered)
        for before, after in zip([0, *numbers], numbers, strict=False):
            missing = [n for n in range(before + 1, after) if not ledger.is_taken(n)]
            if missing:
                fact = numbered[after]
                shown_missing = f"{missing[0]:04d}"
                if len(missing) > 1:
                    shown_missing += f" to {missing[-1]:04d}"
                message = f"number {shown_missing} was never given"
                yield _placed("ADR108", message, fact.path, fact.place, settings)


def _with_destinations(
    findings: Sequence[Finding], config: Config, git: Git | None, proposed: set[Path]
) -> tuple[list[Finding], tuple[Followed, ...]]:
    """Paths that stand elsewhere in the project are left out, and so are those that git followed
    from a decided record. A ``proposed`` one can still be written anew: there git only says where
    the path went."""
    if not any(finding.code in _PATH_RULES for finding in findings):
        return list(findings), ()
    files = ProjectFiles(config.root, git).all
    suffixes = {
        "/".join(parts[depth:])
        for name in files
        for parts in [PurePosixPath(name).parts]
        for depth in range(len(parts))
    }
    folders = {
        "/".join(parts[low:high])
        for name in files
        for parts in [PurePosixPath(name).parts[:-1]]
        for low in range(len(parts))
        for high in range(low + 1, len(parts) + 1)
    }
    renames = Renames(config.root, git, config.directory)
    kept: list[Finding] = []
    followed: dict[Followed, None] = {}
    for finding in findings:
        if finding.code not in _PATH_RULES or finding.subject is None:
            kept.append(finding)
            continue
        subject = finding.subject
        if finding.code == "ADR602":
            wild = any(mark in subject for mark in "*{[")
            if subject in suffixes or subject in folders or (wild and _globbed(subject, files)):
                continue
        if finding.path in proposed:
            kept.append(_with_hint(finding, renames))
        elif moved := _follow(finding, subject, config, renames):
            followed |= dict.fromkeys(moved)
        else:
            remark = renames.remark(finding.path, subject, _written(finding))
            kept.append(replace(finding, message=f"{finding.message}{remark}"))
    return kept, tuple(followed)


def _with_hint(finding: Finding, renames: Renames) -> Finding:
    moved = renames.latest(finding.subject or "")
    if moved is None:
        return finding
    return replace(
        finding, message=f"{finding.message}; git says it went to {moved}", moved_to=moved
    )


def _follow(
    finding: Finding, subject: str, config: Config, renames: Renames
) -> tuple[Followed, ...]:
    """A path in backticks may be relative to the project or to the record."""
    written = _written(finding)
    readings = [subject]
    if finding.code == "ADR602" and finding.path.is_relative_to(config.root):
        folder = finding.path.parent.relative_to(config.root).as_posix()
        readings.append(posixpath.normpath(posixpath.join(folder, subject)))
    for reading in readings:
        if is_glob(reading):
            if found := renames.follow_files(finding.path, reading, written):
                return found
        elif one := renames.follow(finding.path, reading, written):
            return (one,)
    # Where a name that stands somewhere in the project is enough, its last parts are.
    end = renames.follow_end(finding.path, subject, written) if finding.code == "ADR602" else None
    return (end,) if end else ()


def _written(finding: Finding) -> str:
    """What the record says there, link or code, as far as it is on one line."""
    low = finding.column - 1
    return finding.source[low : low + finding.length]


def _globbed(pattern: str, files: Sequence[str]) -> bool:
    return any(PurePosixPath(name).match(pattern) for name in files)


def _without_waived(
    findings: Sequence[Finding],
    waivers: Sequence[Waiver],
    project: ProjectView,
    settings: LintSettings,
) -> tuple[list[Finding], int]:
    faults: list[Finding] = []
    active: list[Waiver] = []
    for waiver in waivers:
        wrong = list(waiver.problems(project.today))
        faults += (
            _placed(code, text, waiver.file, waiver.place, settings)
            for code, text in wrong
            if code in settings.enabled
        )
        if not wrong:
            active.append(waiver)
    used: set[int] = set()
    kept: list[Finding] = []
    for finding in findings:
        relative = shown(finding.path, project.root)
        covering = [
            waiver
            for waiver in active
            if finding.code in waiver.covered() and waiver.applies_to(relative, finding.path)
        ]
        used.update(id(waiver) for waiver in covering)
        if not covering:
            kept.append(finding)
    if "ADR904" in settings.enabled:
        faults += (
            _placed("ADR904", f"nothing to waive: {', '.join(w.codes)}", w.file, w.place, settings)
            for w in active
            if id(w) not in used and w.covered() <= settings.enabled
        )
    return kept + faults, len(findings) - len(kept)
