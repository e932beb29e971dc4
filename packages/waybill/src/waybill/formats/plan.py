"""What one run exports: an export type with its columns resolved, a format and its options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql
from pydantic import BaseModel, ConfigDict

from waybill.catalog.model import ExportType
from waybill.catalog.resolved import ResolvedColumn

if TYPE_CHECKING:
    from waybill.formats.base import Encoder
    from waybill.formats.compress import Codec


class FormatOptions(BaseModel):
    """Options of a format: a subclass per encoder. ``model_dump(mode="json")`` is what the job's
    row and the manifest hold, and what ``read_options`` reads back."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """Everything that decides a file's bytes, but for the data.

    ``where`` limits the rows (see ``where_clause``), ``limit`` takes the first of them only.
    ``codec`` compresses the whole file (see ``formats.compress``). For requests, plans are made in
    ``requests.plan`` alone.
    """

    export_type: ExportType
    columns: tuple[ResolvedColumn, ...]
    encoder: Encoder
    options: FormatOptions
    where: sql.Composable | None = None
    limit: int | None = None
    codec: Codec | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The header of each column, by the column's name."""
        return {column.name: column.header for column in self.columns}

    @property
    def computed(self) -> tuple[ResolvedColumn, ...]:
        """The columns that Python makes (``formats.computed``)."""
        return tuple(column for column in self.columns if column.computed is not None)

    @property
    def reads(self) -> tuple[ResolvedColumn, ...]:
        """The source's columns that those are made of, each once."""
        return tuple({read.name: read for each in self.computed for read in each.reads}.values())

    @property
    def order_by(self) -> tuple[str, ...]:
        """The source columns the file is ordered by; empty when the order is PostgreSQL's."""
        return self.export_type.key if self.export_type.order == "key" else ()

    @property
    def is_compressed(self) -> bool:
        """Whether the file is, by its codec or inside."""
        return self.codec is not None or self.encoder.is_compressed

    @property
    def media_type(self) -> str:
        """The file's: the format's, or its compression's."""
        return self.encoder.media_type if self.codec is None else self.codec.media_type

    @property
    def extension(self) -> str:
        """The file's, without the first dot."""
        return self.encoder.extension + ("" if self.codec is None else self.codec.suffix)
