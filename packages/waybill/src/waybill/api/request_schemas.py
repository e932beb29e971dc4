"""The documents of a request for an export, and of the preview that a dry run answers with."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from waybill.api.bodies import Body
from waybill.catalog import Column
from waybill.catalog.filters import MAX_IN_VALUES
from waybill.filter_types import Operator
from waybill.formats import ENCODERS
from waybill.requests.request import MAX_LABEL_CHARACTERS, Compression, ExportRequest

_MAX_NAME_CHARACTERS = 255
_MAX_COLUMNS = 1664
"""PostgreSQL's own limit on a SELECT's columns."""

# NUL has no place in PostgreSQL's texts.
_NO_NUL = r"^[^\x00]*$"
Name = Annotated[str, Field(min_length=1, max_length=_MAX_NAME_CHARACTERS, pattern=_NO_NUL)]
Text = Annotated[str, Field(pattern=_NO_NUL)]
OptionValue = bool | int | float | Text | Annotated[list[Name], Field(max_length=_MAX_COLUMNS)]
FilterScalar = bool | int | float | Text
FilterValue = FilterScalar | Annotated[list[FilterScalar], Field(max_length=MAX_IN_VALUES)]


class ColumnChoice(BaseModel):
    """A column and what its header shall be."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    name: Name
    label: Annotated[str, Field(min_length=1, max_length=MAX_LABEL_CHARACTERS, pattern=_NO_NUL)] = (
        Field(alias="as", description="The header in the file, or the key in JSON.")
    )


class ExportBody(Body):
    """The body of a request; every field is optional, so is the body."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"format": "csv", "columns": ["id", {"name": "email", "as": "E-mail"}]},
                {"format": "ndjson", "compression": "gzip"},
                {
                    "filters": {"country": {"in": ["DE", "FR"]}, "age": {"gte": 18}},
                    "since": "2026-05-01T00:00:00Z",
                    "dry_run": True,
                },
            ],
        },
    )

    format: str = Field(
        default="csv",
        max_length=32,
        # Told, not enforced here: a format that is unknown has a problem of its own.
        json_schema_extra={"enum": list(ENCODERS)},
        description="What kind of file.",
    )
    columns: list[Name | ColumnChoice] | None = Field(
        default=None,
        min_length=1,
        max_length=_MAX_COLUMNS,
        description="Columns by name, in the wanted order; all of them when left out.",
    )
    filters: dict[Name, dict[Operator, FilterValue]] = Field(
        default_factory=dict,
        max_length=100,
        description="Conditions by the type's filters; a row must meet all of them.",
    )
    since: str | None = Field(
        default=None,
        max_length=64,
        description="Only rows changed at this time or later, for types that offer it.",
        json_schema_extra={"format": "date-time"},
    )
    compression: Compression | None = Field(default=None, description="Of the file as a whole.")
    options: dict[Name, OptionValue] = Field(
        default_factory=dict,
        max_length=100,
        description="Options of the format, such as CSV's delimiter.",
    )
    dry_run: StrictBool = Field(
        default=False, description="Answer with a preview; make nothing and spend no quota."
    )

    def request(self, export_type: str) -> ExportRequest:
        """Return the request the body makes of ``export_type``."""
        return ExportRequest(
            export_type=export_type,
            format=self.format,
            columns=tuple(
                Column(each) if isinstance(each, str) else Column(each.name, each.label)
                for each in self.columns or ()
            ),
            filters={
                name: {str(operator): value for operator, value in each.items()}
                for name, each in self.filters.items()
            },
            since=self.since,
            compression=self.compression,
            format_options=self.options,
        )
