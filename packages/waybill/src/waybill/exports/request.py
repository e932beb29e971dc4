"""What a caller asks for, checked against the catalog and stored with the job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from waybill.catalog import Catalog
from waybill.pipeline.encoders import read_options


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """One request. ``columns`` empty means all of the type's columns."""

    export_type: str
    format: str = "csv"
    columns: tuple[str, ...] = ()
    format_options: Mapping[str, Any] = field(default_factory=dict)

    def validate(self, catalog: Catalog) -> None:
        """Check the request before anything is stored.

        Raises:
            UnknownExportType, UnknownFormat, UnknownColumn, InvalidOption
        """
        export_type = catalog.get_type(self.export_type)
        read_options(self.format, self.format_options)
        if self.columns:
            export_type.select(self.columns)

    def options_json(self) -> dict[str, Any]:
        """Return what the job's row keeps, the inverse of ``from_job``."""
        return {"columns": list(self.columns), "format_options": dict(self.format_options)}

    @classmethod
    def from_job(cls, export_type: str, format: str, options: Mapping[str, Any]) -> ExportRequest:
        """Rebuild the request from a job's row."""
        return cls(
            export_type=export_type,
            format=format,
            columns=tuple(options.get("columns", ())),
            format_options=options.get("format_options", {}),
        )
