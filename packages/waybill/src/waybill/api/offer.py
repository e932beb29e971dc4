"""What the caller may ask for: the catalog, as far as it is theirs."""

from __future__ import annotations

from typing import Self

from fastapi import APIRouter
from pydantic import BaseModel, Field

from waybill.api.auth import CurrentPrincipal
from waybill.api.responses import AppServices, problem_responses
from waybill.catalog import ExportType
from waybill.catalog.filters import FilterType, Operator
from waybill.formats import ENCODERS
from waybill.requests.access import Usable
from waybill.requests.request import COMPRESSIONS

router = APIRouter(prefix="/api", tags=["exports"])


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


@router.get("/catalog", summary="What may I export?", responses=problem_responses(401, 403))
async def get_catalog(principal: CurrentPrincipal, services: AppServices) -> OfferDocument:
    """Return the types you may request, with the columns and filters that you may use."""
    return OfferDocument(
        types=[
            OfferedType.of(each, services.access.usable(principal, each))
            for each in services.exports.offered(principal)
        ],
        formats=list(ENCODERS),
        compressions=list(COMPRESSIONS),
    )
