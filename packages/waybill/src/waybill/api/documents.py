"""What the API answers beside exports themselves: what may be asked for, and previews.

Free of the server's parts, as ``schemas`` is: the client reads these documents without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, Field

from waybill.filter_types import FilterType, Operator

if TYPE_CHECKING:
    from waybill.catalog import ExportType
    from waybill.requests.access import Usable
    from waybill.requests.preview import Preview
    from waybill.requests.quota import QuotaState
    from waybill.requests.request import ExportRequest
    from waybill.source.source import RowCount


class OfferedColumn(BaseModel):
    """A column: ``name`` in the source, ``header`` in the file; ``scope`` is what personal data
    asks for."""

    name: str
    header: str
    scope: str | None


class OfferedFilter(BaseModel):
    """A filter, how its values are read, and what may be compared; ``scope`` as of a column."""

    name: str
    type: FilterType
    operators: list[Operator]
    values: list[str] | None = Field(description="The only values it takes; null for any.")
    scope: str | None


class OfferedType(BaseModel):
    """An export type."""

    name: str
    title: str | None
    columns: list[OfferedColumn] | None = Field(
        description="null: every column that the source has."
    )
    filters: list[OfferedFilter]
    has_since: bool = Field(description="Whether `since` may be asked for.")
    since_scope: str | None = Field(description="What `since` needs, if anything.")
    requires_recent_login_seconds: int | None

    @classmethod
    def of(cls, export_type: ExportType, usable: Usable) -> Self:
        """Describe what is ``usable`` of ``export_type``."""
        columns = [
            OfferedColumn(name=column.name, header=column.header, scope=column.pii or None)
            for column in usable.columns
        ]
        return cls(
            name=export_type.name,
            title=export_type.title or None,
            columns=columns if export_type.columns else None,
            filters=[
                OfferedFilter(
                    name=each.name,
                    type=each.type,
                    operators=list(each.allowed),
                    values=list(each.values) or None,
                    scope=export_type.scope_of_filter(each) or None,
                )
                for each in usable.filters
            ],
            has_since=usable.has_since,
            since_scope=(export_type.scope_of_since() or None) if usable.has_since else None,
            requires_recent_login_seconds=export_type.requires_recent_login_seconds,
        )


class OfferDocument(BaseModel):
    types: list[OfferedType]
    formats: list[str]
    compressions: list[str]


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


class QuotaItem(BaseModel):
    """A quota, and the types whose exports count towards it."""

    types: list[str]
    quota: QuotaDocument | None = Field(description="null: as many as you like.")


class QuotaList(BaseModel):
    items: list[QuotaItem]
