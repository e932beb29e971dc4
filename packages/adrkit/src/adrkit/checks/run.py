"""Carries out the checks of records and weighs their outcomes by the records' statuses."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from adrkit.checks.block import read_checks
from adrkit.checks.check import Check, Kind, Malformed
from adrkit.checks.context import CheckContext
from adrkit.checks.kinds.command import CommandCheck
from adrkit.checks.patterns import Patterns
from adrkit.checks.python_module import PythonModule
from adrkit.checks.settings import CheckSettings
from adrkit.checks.verdict import (
    PAST,
    CannotEvaluate,
    Evidence,
    Level,
    MissingEvidence,
    Outcome,
    Result,
    Verdict,
    level_of,
)
from adrkit.config import Config
from adrkit.errors import FileTooLarge, PathOutside, UnreadableFile
from adrkit.git import Git
from adrkit.model import Status
from adrkit.project_files import ProjectFiles
from adrkit.record import Record
from adrkit.renames import Followed, Renames


@dataclass(frozen=True, slots=True)
class CheckRun:
    """``skipped`` counts the command checks that were left out on request."""

    results: tuple[Result, ...]
    records: int
    skipped: int = 0

    @property
    def findings(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.level is not Level.NONE)

    def counts(self) -> Mapping[str, int]:
        return {
            verdict.value: sum(result.verdict is verdict for result in self.results)
            for verdict in Verdict
        }


def make_context(
    config: Config,
    git: Git | None,
    *,
    now: datetime.datetime | None = None,
    commands: str = "refuse",
    parsed: dict[tuple[str, bytes], PythonModule] | None = None,
) -> CheckContext:
    """``parsed`` as in CheckContext. Raises ConfigError for wrong settings in
    ``[tool.adrkit.check]``."""
    settings = CheckSettings.of(config)
    return CheckContext(
        ProjectFiles(config.root, git, config.owns),
        git,
        now or datetime.datetime.now(datetime.UTC),
        commands,
        settings.source_roots,
        Patterns(settings.pattern_timeout_seconds),
        Renames(config.root, git, config.directory),
        {} if parsed is None else parsed,
    )


def run_checks(
    context: CheckContext, records: Sequence[Record], *, all_records: Iterable[Record] = ()
) -> CheckRun:
    """Every check of ``records``. ``all_records`` (by default the same) are searched for the
    successors of superseded ones: what a successor still asks for is not reported as a relic."""
    known = {record.number: record for record in (*all_records, *records) if record.number}
    results: list[Result] = []
    skipped = 0
    for record in records:
        checks = read_checks(record)
        if checks and record.status_kind is None:
            results.append(_no_status(context, record))
        kept = _kept_by_successors(record, known)
        for check in checks:
            if isinstance(check, Malformed):
                results.append(_malformed(context, record, check))
            elif context.commands == "skip" and isinstance(check.spec, CommandCheck):
                skipped += 1
            else:
                results.append(_result(context, record, check, kept))
    return CheckRun(tuple(results), len(records), skipped)


def evaluate(context: CheckContext, check: Check) -> Outcome:
    """One check's outcome. Nothing that a block or a file says makes this raise."""
    try:
        return check.spec.evaluate(context)
    except MissingEvidence as error:
        return Outcome(Verdict.MISSING, str(error), error.evidence)
    except CannotEvaluate as error:
        return Outcome(Verdict.ERROR, str(error), error.evidence)
    except (PathOutside, FileTooLarge, UnreadableFile) as error:
        return Outcome(Verdict.ERROR, f"{error}; {error.remedy}")


def _result(context: CheckContext, record: Record, check: Check, kept: tuple[Kind, ...]) -> Result:
    context = context.of(record)
    outcome = evaluate(context, check)
    evidence = _now(outcome.evidence, context.followed)
    status = record.status_kind
    level = level_of(status, outcome.verdict, revisit=check.revisit)
    message = outcome.message
    if check.revisit and level is not Level.NONE and outcome.verdict is Verdict.PASS:
        about = f": {check.alternative}" if check.alternative else ""
        message = f"time to look at this decision again{about}; {message}"
    elif check.alternative and not check.revisit and outcome.verdict is Verdict.VIOLATED:
        message = f"what was said of {check.alternative} no longer holds; {message}"
    elif status in PAST and not check.revisit and outcome.verdict is Verdict.PASS:
        if check.spec in kept:
            level = Level.NONE
        else:
            message = f"the code still follows it; {message}"
    return Result(
        record.label, record.number, _shown(context, record), check.line, check.spec.kind,
        outcome.verdict, level, message, check.reason, check.name or check.spec.title,
        evidence, followed=context.followed,
    )  # fmt: skip


def _now(evidence: Evidence | None, followed: Sequence[Followed]) -> Evidence | None:
    """Evidence at the place where a file is, for editors and code hosts."""
    for item in followed:
        if evidence is not None and evidence.path == item.path:
            return replace(evidence, path=item.to)
    return evidence


def _kept_by_successors(record: Record, known: Mapping[int, Record]) -> tuple[Kind, ...]:
    """Checks of all records that, one after the other, took this one's place."""
    if record.status_kind not in (Status.SUPERSEDED, Status.DEPRECATED):
        return ()
    found: list[Kind] = []
    waiting, seen = list(record.superseded_by), {record.number}
    while waiting:
        number = waiting.pop()
        successor = known.get(number)
        if number in seen or successor is None:
            continue
        seen.add(number)
        waiting += successor.superseded_by
        if successor.status_kind in (Status.ACCEPTED, Status.PROPOSED):
            found += (check.spec for check in read_checks(successor) if isinstance(check, Check))
    return tuple(found)


def _malformed(context: CheckContext, record: Record, check: Malformed) -> Result:
    return Result(
        record.label, record.number, _shown(context, record), check.line, check.kind,
        Verdict.ERROR, Level.ERROR, check.message, malformed=True,
    )  # fmt: skip


def _no_status(context: CheckContext, record: Record) -> Result:
    written = f"status {record.status.raw!r}" if record.status else "no status"
    line = record.status.line if record.status else 1
    return Result(
        record.label, record.number, _shown(context, record), line, "status", Verdict.ERROR,
        Level.ERROR, f"{written}: not known, so nobody can tell whether its checks bind",
        malformed=True,
    )  # fmt: skip


def _shown(context: CheckContext, record: Record) -> str:
    if record.path is None:
        return record.label
    try:
        return record.path.resolve().relative_to(context.files.root).as_posix()
    except ValueError:
        return str(record.path)
