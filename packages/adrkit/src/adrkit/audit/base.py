"""Which commit an audit starts from."""

from __future__ import annotations

from dataclasses import dataclass

from adrkit.config import Config
from adrkit.errors import (
    ConfigError,
    DefaultBranchUnknown,
    GitCommandFailed,
    UnknownRevision,
    UnrelatedHistories,
)
from adrkit.git import Git

_USUAL = ("main", "master", "trunk", "develop")


@dataclass(frozen=True, slots=True)
class AuditBase:
    """``name`` is how people know the commit: "merge base with origin/main"."""

    commit: str
    name: str


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """``[tool.adrkit.audit]``: ``branch`` is the default branch, ``since`` the revision from which
    on ``--history`` holds records to the rules."""

    branch: str | None
    since: str | None

    @classmethod
    def of(cls, config: Config) -> AuditSettings:
        """Raises ConfigError."""
        table = config.table("audit")
        source = config.source or config.root
        for key, value in table.items():
            if key not in ("branch", "since"):
                raise ConfigError(
                    source, f"unknown setting audit.{key}", remedy="known settings: branch, since"
                )
            if not isinstance(value, str) or not value:
                raise ConfigError(
                    source, f"audit.{key} must be a string", remedy=f'write {key} = "main"'
                )
        return cls(table.get("branch"), table.get("since"))


def find_base(git: Git, settings: AuditSettings, revision: str | None = None) -> AuditBase | None:
    """The merge base of HEAD with ``revision``, by default the default branch; None before the
    first commit, when nothing is decided yet.

    Raises ShallowClone, UnknownRevision, DefaultBranchUnknown or UnrelatedHistories.
    """
    if git.head().commit is None:
        return None
    git.require_history()
    other = revision or default_branch(git, settings)
    commit = git.merge_base("HEAD", other)
    if commit is None:
        raise UnrelatedHistories("HEAD", other)
    return AuditBase(commit, f"merge base with {other}")


def default_branch(git: Git, settings: AuditSettings) -> str:
    """The branch that others start from, as a revision.

    In this order: the ``branch`` setting (as a branch of origin, else a local one); what origin
    calls its HEAD; origin's main, master, trunk or develop; a local branch of these names; the only
    branch there is. Raises DefaultBranchUnknown, or UnknownRevision for a wrong setting.
    """
    refs = {ref.name: ref.short for ref in git.refs()}
    if settings.branch:
        for prefix in ("refs/remotes/origin/", "refs/heads/"):
            if f"{prefix}{settings.branch}" in refs:
                return refs[f"{prefix}{settings.branch}"]
        raise UnknownRevision(settings.branch)
    try:
        head = git.run("symbolic-ref", "-q", "refs/remotes/origin/HEAD").decode().strip()
    except GitCommandFailed:
        head = ""
    if head in refs:
        return refs[head]
    for prefix in ("refs/remotes/origin/", "refs/heads/"):
        for name in _USUAL:
            if f"{prefix}{name}" in refs:
                return refs[f"{prefix}{name}"]
    if len(refs) == 1:
        return next(iter(refs.values()))
    raise DefaultBranchUnknown(tuple(refs.values()))


def history_tip(git: Git, branch: str) -> str:
    """HEAD when it stands on the default branch itself, commits not pushed yet included."""
    current = git.head().branch
    return "HEAD" if current is not None and branch in (current, f"origin/{current}") else branch
