"""What a check of a catalog finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong (``error``), risky (``warning``) or good to know (``note``)."""

    severity: Severity
    export_type: str
    """Empty when the catalog as a whole is meant."""
    code: str
    """Stable, for programs: ``table_missing``, ``key_not_unique``, …"""
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        where = f" [exports.{self.export_type}]" if self.export_type else ""
        return f"{self.severity}:{where} {self.message} {self.remedy}".rstrip()
