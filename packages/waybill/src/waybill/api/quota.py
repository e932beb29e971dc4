"""How many exports the caller may still request."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response

from waybill.api.auth import CurrentPrincipal
from waybill.api.documents import QuotaDocument, QuotaItem, QuotaList
from waybill.api.rate_limit import limited
from waybill.api.responses import AppServices, problem_responses

router = APIRouter(prefix="/api", tags=["exports"])


@router.get(
    "/quota",
    summary="How many exports are left?",
    dependencies=[Depends(limited("poll"))],
    responses=problem_responses(401, 403, 429),
)
async def get_quota(
    response: Response, principal: CurrentPrincipal, services: AppServices
) -> QuotaList:
    """Return your quotas, each with the types that it counts."""
    found = await services.exports.quotas(principal)
    response.headers["Cache-Control"] = "no-store"
    return QuotaList(
        items=[
            QuotaItem(types=list(types), quota=None if state is None else QuotaDocument.of(state))
            for state, types in found
        ]
    )
