"""What one run exports: an export type with its columns resolved, a format and its options."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql
from pydantic import BaseModel, ConfigDict

from waybill.catalog.model import ExportType


class FormatOptions(BaseModel):
    """Options of a format: a subclass per encoder. ``model_dump(mode="json")`` is what the job's
    row and the manifest hold, and what ``read_options`` reads back."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """Everything that decides a file's bytes, but for the data.

    ``where`` limits the rows (see ``where_clause``), ``limit`` takes the first of them only.
    ``compression`` names the codec of the whole file (see ``pipeline.compress``).
    """

    export_type: ExportType
    columns: tuple[ResolvedColumn, ...]
    format: str
    options: FormatOptions
    where: sql.Composable | None = None
    limit: int | None = None
    compression: str | None = None

    @property
    def order_by(self) -> tuple[str, ...]:
        """The source columns the file is ordered by; empty when the order is PostgreSQL's."""
        return self.export_type.key if self.export_type.order == "key" else ()
