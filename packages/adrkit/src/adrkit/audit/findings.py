"""What an audit reports."""

from __future__ import annotations

from dataclasses import dataclass

from adrkit.audit.comparison import REMEDIES, Difference
from adrkit.audit.trees import Version


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """``path`` is relative to the top level; ``commit`` is where it happened, None for the work
    tree against its base."""

    rule: str
    label: str
    path: str
    line: int
    message: str
    commit: str | None = None

    @property
    def remedy(self) -> str:
        return REMEDIES[self.rule]


@dataclass(frozen=True, slots=True)
class AuditReport:
    """``base`` is the commit compared with (None: there was none to compare with), ``compared`` how
    many decided records it holds. ``unguarded`` are its records without a known status.
    ``is_history``: ``commits`` were walked one by one."""

    base: str | None
    base_name: str
    findings: tuple[AuditFinding, ...]
    compared: int
    unguarded: tuple[str, ...] = ()
    commits: int = 0
    is_history: bool = False


def finding(version: Version, difference: Difference, commit: str | None = None) -> AuditFinding:
    return AuditFinding(
        difference.rule, version.label, version.path, difference.line, difference.message, commit
    )
