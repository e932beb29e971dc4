"""What an audit compares, decided once from where HEAD stands and which history is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from adrkit.audit.base import AuditBase, AuditSettings, default_branch, find_base, history_tip
from adrkit.audit.findings import AuditReport
from adrkit.audit.history import audit_history
from adrkit.audit.work_tree import audit_work_tree, records_on_disk
from adrkit.errors import GitError, MissingObjects
from adrkit.git import Git
from adrkit.repository import RecordRepository


@dataclass(frozen=True, slots=True)
class AuditPlan:
    """``base`` for the work tree, None before the first commit; ``tip`` of the history to walk,
    None for none of it; ``since`` where the walk begins, None for the very beginning.

    ``shortfall`` is why less could be compared than was asked for, None when nothing is missing.
    """

    base: AuditBase | None
    tip: str | None = None
    since: str | None = None
    shortfall: GitError | None = None


def plan_audit(
    git: Git,
    settings: AuditSettings,
    *,
    revision: str | None = None,
    history: bool = False,
    since: str | None = None,
    best_effort: bool = False,
) -> AuditPlan:
    """The work tree against its merge base with ``revision`` (by default the default branch).

    Where HEAD is that merge base, as on the default branch itself and in most CI runs after a
    merge, comparing would prove nothing about what is committed: then the history of HEAD is
    walked, too, unless ``revision`` was chosen by name.

    Raises ShallowClone, UnknownRevision, DefaultBranchUnknown or UnrelatedHistories; with
    ``best_effort`` they become ``shortfall``, and what there is of the history of HEAD is walked.
    """
    since = since or settings.since
    try:
        base = find_base(git, settings, revision)
        if base is None:
            return AuditPlan(None)
        if history:
            tip: str | None = history_tip(git, revision or default_branch(git, settings))
        else:
            tip = "HEAD" if revision is None and base.commit == git.head().commit else None
        return AuditPlan(base, tip, since if tip else None)
    except GitError as error:
        head = git.head().commit
        if not best_effort or head is None:
            raise
        if git.is_shallow:
            since = _oldest(git)
        return AuditPlan(AuditBase(head, "HEAD"), "HEAD", since, error)


def _oldest(git: Git) -> str:
    """The first commit that a shallow clone still has along the first parents of HEAD."""
    return git.run("rev-list", "--first-parent", "HEAD").decode().split()[-1]


@dataclass(frozen=True, slots=True)
class AuditRun:
    """None, one or two reports: of the work tree, and of the history. ``lacking`` is why one that
    was planned is not there: a partial clone without its objects."""

    reports: tuple[AuditReport, ...] = ()
    lacking: MissingObjects | None = None


def run_audit(repository: RecordRepository, git: Git, plan: AuditPlan) -> AuditRun:
    base, tip = plan.base, plan.tip
    if base is None:
        return AuditRun()
    audits: list[Callable[[], AuditReport]] = [lambda: audit_work_tree(repository, git, base)]
    if tip is not None:
        audits.append(
            lambda: audit_history(
                repository, git, tip, since=plan.since, on_disk=records_on_disk(repository, git)
            )
        )
    reports: list[AuditReport] = []
    lacking = None
    for audit in audits:
        try:
            reports.append(audit())
        except MissingObjects as error:
            lacking = error
    return AuditRun(tuple(reports), lacking)
