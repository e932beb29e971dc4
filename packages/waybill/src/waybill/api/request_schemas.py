"""The documents of a request for an export, and of the preview that a dry run answers with."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator

from waybill.catalog import Column
from waybill.catalog.filters import MAX_IN_VALUES, Operator
from waybill.formats import ENCODERS
from waybill.requests.preview import Preview
from waybill.requests.quota import QuotaState
from waybill.requests.request import MAX_LABEL_CHARACTERS, Compression, ExportRequest
from waybill.source.source import RowCount

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


class ExportBody(BaseModel):
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

    @model_validator(mode="before")
    @classmethod
    def _check_text(cls, value: Any) -> Any:
        # Neither has a place in PostgreSQL: a NUL nowhere, a lone surrogate not in UTF-8. Found
        # here, before any of it is shown or stored. A loop, since JSON nests deeper than calls.
        waiting = [value]
        while waiting:
            each = waiting.pop()
            if isinstance(each, str):
                if "\0" in each or (not each.isascii() and _has_surrogate(each)):
                    raise ValueError("texts may hold no NUL and no unpaired surrogate")
            elif isinstance(each, dict):
                waiting.extend([*each.keys(), *each.values()])
            elif isinstance(each, list):
                waiting.extend(each)
        return value

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


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


class PreviewColumn(BaseModel):
    """A column: ``name`` in the source, ``header`` in the file, ``type`` as PostgreSQL names it."""

    name: str
    header: str
    type: str


class QuotaDocument(BaseModel):
    """The caller's quota; ``resets_in_seconds`` is when it next gains an export."""

    policy: str
    limit: int
    remaining: int
    resets_in_seconds: int

    @classmethod
    def of(cls, state: QuotaState) -> Self:
        return cls(
            policy=state.policy,
            limit=state.limit,
            remaining=state.remaining,
            resets_in_seconds=state.reset_seconds,
        )


class PreviewDocument(BaseModel):
    """What an export would be. Nothing was made."""

    dry_run: Literal[True] = True
    type: str
    format: str
    columns: list[PreviewColumn]
    rows: int
    rows_are: Literal["exact", "estimate", "at least"] = Field(
        description="`at least`: so many were counted, of a type that gives each tenant or person "
        "their own rows, and there may be more; `bytes` and `seconds` are of these."
    )
    bytes: int = Field(description="The size of the file, estimated, before compression.")
    seconds: float = Field(description="How long the export would take, once it is begun.")
    seconds_from: Literal["earlier exports", "sample"] = Field(
        description="What the time was estimated by."
    )
    first_rows: list[dict[str, Any]] | None = Field(
        description="The rows the file would begin with; null when sorting them takes too long. "
        "A number that no float holds exactly is a string."
    )
    quota: QuotaDocument | None = Field(description="null when there is none.")

    @classmethod
    def of(cls, request: ExportRequest, preview: Preview, quota: QuotaState | None) -> Self:
        """Describe ``preview``."""
        return cls(
            type=request.export_type,
            format=request.format,
            columns=[
                PreviewColumn(name=c.name, header=c.header, type=c.type_name)
                for c in preview.columns
            ],
            rows=preview.rows.rows,
            rows_are=_rows_are(preview.rows),
            bytes=preview.bytes,
            seconds=preview.seconds,
            seconds_from=preview.seconds_from,
            first_rows=None if preview.first_rows is None else list(preview.first_rows),
            quota=None if quota is None else QuotaDocument.of(quota),
        )


def _rows_are(count: RowCount) -> Literal["exact", "estimate", "at least"]:
    if count.is_least:
        return "at least"
    return "exact" if count.is_exact else "estimate"
