"""What the caller may ask for: the catalog, as far as it is theirs."""

from __future__ import annotations

from fastapi import APIRouter

from waybill.api.auth import CurrentPrincipal
from waybill.api.documents import OfferDocument, OfferedType
from waybill.api.responses import AppServices, problem_responses
from waybill.formats import installed
from waybill.requests.request import COMPRESSIONS

router = APIRouter(prefix="/api", tags=["exports"])


@router.get("/catalog", summary="What may I export?", responses=problem_responses(401, 403))
async def get_catalog(principal: CurrentPrincipal, services: AppServices) -> OfferDocument:
    """Return the types you may request, with the columns and filters that you may use."""
    return OfferDocument(
        types=[
            OfferedType.of(each, services.access.usable(principal, each))
            for each in services.exports.offered(principal)
        ],
        formats=list(installed()),
        compressions=list(COMPRESSIONS),
    )
