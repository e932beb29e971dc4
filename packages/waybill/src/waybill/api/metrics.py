"""The monitor's figures for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from waybill.api.auth import CurrentPrincipal
from waybill.api.schemas import ProblemDocument
from waybill.bootstrap import Services
from waybill.errors import PermissionDenied
from waybill.principal import ADMIN
from waybill.upkeep.monitor import exposition

router = APIRouter(tags=["operations"])

_PROBLEM = {"model": ProblemDocument, "content": {"application/problem+json": {}}}


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={
        200: {
            "description": "Text format 0.0.4.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        401: _PROBLEM,
        403: _PROBLEM,
    },
)
async def metrics(request: Request, principal: CurrentPrincipal) -> Response:
    """Return the figures of all jobs. Needs the scope of administrators, as they tell how much a
    service is used; Prometheus sends a bearer token by `authorization: credentials_file`."""
    if not principal.may(ADMIN):
        raise PermissionDenied(ADMIN)
    services: Services = request.app.state.services
    return Response(
        exposition(await services.monitor.figures()),
        media_type="text/plain; version=0.0.4; charset=utf-8",
    )
