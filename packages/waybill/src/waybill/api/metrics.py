"""The monitor's figures for Prometheus."""

from __future__ import annotations

import contextlib

from fastapi import APIRouter, Request, Response

from waybill.api.auth import CurrentPrincipal
from waybill.api.own_app import app_of
from waybill.api.schemas import ProblemDocument
from waybill.bootstrap.api import ApiParts
from waybill.errors import QueueUnavailable
from waybill.requests.access import Deed
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
    """Return the figures of the jobs that you administer: of all tenants with the scope
    `exports:all-tenants`. They need the scope of administrators, as they tell how much a service is
    used; Prometheus sends a bearer token by `authorization: credentials_file`."""
    services: ApiParts = app_of(request.scope).state.services
    within = services.access.reach(principal, Deed.ADMINISTER)
    set_aside: int | None = None
    if within.is_everything:  # the broker knows of no tenants
        with contextlib.suppress(QueueUnavailable):  # the other figures do not need the broker
            set_aside = await services.queue.set_aside()
    return Response(
        exposition(await services.monitor.figures(within), set_aside=set_aside),
        media_type="text/plain; version=0.0.4; charset=utf-8",
    )
