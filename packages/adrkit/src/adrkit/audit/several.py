"""The audit of a project with several records directories, those included that are gone."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from adrkit.areas import named_by
from adrkit.audit.findings import AuditFinding, AuditReport
from adrkit.audit.plan import AuditPlan, AuditRun, run_audit
from adrkit.config import Config
from adrkit.errors import GitCommandFailed
from adrkit.git import Git
from adrkit.renames import MAX_COMMITS
from adrkit.repository import RecordRepository


def directories_gone(git: Git, config: Config, plan: AuditPlan) -> tuple[Path, ...]:
    """Records directories that the settings name in the base, or in the history that is walked,
    and no longer: with the last of its records a directory leaves the view, and nobody would miss
    them."""
    if plan.base is None or not config.patterns:
        return ()
    top, root = git.root.resolve(), config.root.resolve()
    names = {*_directories_at(git, plan.base.commit)}
    if plan.tip is not None:
        names |= {posixpath.dirname(c.old_path or c.path) for c in git.moves(MAX_COMMITS)}
    found = []
    for place in (top / name for name in sorted(names)):
        if place in config.directories or not place.is_relative_to(root):
            continue
        relative = place.relative_to(root).as_posix()
        if any(named_by(pattern, relative) for pattern in config.patterns):
            found.append(place)
    return tuple(found)


def audit_several(
    configs: Sequence[Config], gone: Sequence[Config], git: Git, plan: AuditPlan, *, below: Path
) -> AuditRun:
    """One run over all: reports of the same commits become one. ``gone`` are all that the project
    had: no other directory is asked for their records. Those that were ``below`` are audited."""
    moves = _Moves(git, plan) if gone else None
    runs = []
    for config in configs:
        others = [one.directory for one in gone if moves and not moves.leads(one, config)]
        known = replace(config, directories=(*config.directories, *others))
        runs.append(run_audit(RecordRepository.of(known), git, plan))
    for config in (one for one in gone if one.directory.is_relative_to(below)):
        run = run_audit(RecordRepository.of(config), git, plan)
        kept = [replace(r, findings=_unless(moves, configs, r.findings)) for r in run.reports]
        runs.append(replace(run, reports=tuple(kept)))
    merged: dict[tuple[str | None, str, bool], AuditReport] = {}
    for run in runs:
        for report in run.reports:
            key = (report.base, report.base_name, report.is_history)
            merged[key] = _joined(merged[key], report) if key in merged else report
    lacking = next((run.lacking for run in runs if run.lacking is not None), None)
    return AuditRun(tuple(merged.values()), lacking)


def _joined(one: AuditReport, other: AuditReport) -> AuditReport:
    return replace(
        one,
        findings=(*one.findings, *other.findings),
        compared=one.compared + other.compared,
        unguarded=(*one.unguarded, *other.unguarded),
        commits=max(one.commits, other.commits),
    )


def _directories_at(git: Git, commit: str) -> tuple[str, ...]:
    try:
        output = git.run("ls-tree", "-r", "-d", "-z", "--name-only", "--full-tree", commit)
    except GitCommandFailed:  # a partial clone: the audit itself says what it lacks
        return ()
    return tuple(name for name in output.decode("utf-8", "surrogateescape").split("\0") if name)


class _Moves:
    """Where records of directories that are gone went: what git knows as renamed, and whole
    directories that are new since the base, of which git may not have been told yet."""

    def __init__(self, git: Git, plan: AuditPlan) -> None:
        self._git = git
        self.renamed = {
            change.old_path: change.path
            for change in git.moves(MAX_COMMITS)
            if change.status == "R" and change.old_path
        }
        self._before = set(_directories_at(git, plan.base.commit)) if plan.base else set()

    def leads(self, gone: Config, config: Config) -> bool:
        """Whether the records of one directory may be those of another now."""
        old, new = self._git.relative(gone.directory), self._git.relative(config.directory)
        return new not in self._before or any(
            posixpath.dirname(source) == old and posixpath.dirname(target) == new
            for source, target in self.renamed.items()
        )

    def is_elsewhere(self, path: str, configs: Sequence[Config]) -> bool:
        name = posixpath.basename(path)
        return path in self.renamed or any(
            (config.directory / name).is_file()
            and self._git.relative(config.directory) not in self._before
            for config in configs
        )


def _unless(
    moves: _Moves | None, configs: Sequence[Config], findings: Sequence[AuditFinding]
) -> tuple[AuditFinding, ...]:
    """Findings but those of records that are elsewhere: their new directory is audited, too."""
    return tuple(
        item
        for item in findings
        if item.rule != "record-deleted"
        or (moves is not None and not moves.is_elsewhere(item.path, configs))
    )
