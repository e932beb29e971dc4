"""What the source makes of a selected column."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ResolvedColumn:
    """A selected column as the source's snapshot has it.

    ``type_name`` is PostgreSQL's own spelling (``numeric(12,2)``). ``base_type_oid`` is
    ``type_oid`` with domains taken off, which is what decides how a value is written, and
    ``base_type_name`` its spelling (``type_name`` where there is no domain).
    """

    name: str
    header: str
    type_name: str
    type_oid: int
    base_type_oid: int
    nullable: bool = True
    base_type_name: str = ""

    def __post_init__(self) -> None:
        if not self.base_type_name:
            object.__setattr__(self, "base_type_name", self.type_name)
