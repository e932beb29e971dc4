"""What the source makes of a selected column."""

from __future__ import annotations

from dataclasses import dataclass

from waybill.catalog.computed import TYPES, Computed


@dataclass(frozen=True, slots=True)
class ResolvedColumn:
    """A selected column as the source's snapshot has it.

    ``type_name`` is PostgreSQL's own spelling (``numeric(12,2)``). ``base_type_oid`` is
    ``type_oid`` with domains taken off, which is what decides how a value is written, and
    ``base_type_name`` its spelling (``type_name`` where there is no domain). A ``computed`` one is
    made of ``reads``, and its type is what its function says.
    """

    name: str
    header: str
    type_name: str
    type_oid: int
    base_type_oid: int
    nullable: bool = True
    base_type_name: str = ""
    computed: Computed | None = None
    reads: tuple[ResolvedColumn, ...] = ()

    def __post_init__(self) -> None:
        if not self.base_type_name:
            object.__setattr__(self, "base_type_name", self.type_name)


def computed_column(
    name: str, header: str, computed: Computed, reads: tuple[ResolvedColumn, ...]
) -> ResolvedColumn:
    """Return a column that is made of others."""
    oid, type_name = TYPES[computed.type]
    return ResolvedColumn(name, header, type_name, oid, oid, computed=computed, reads=reads)
