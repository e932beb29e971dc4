"""Liveness and readiness."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from waybill.api.schemas import Readiness
from waybill.bootstrap import Services

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> dict[str, str]:
    """Answer as long as the process does. Asks nothing of its dependencies."""
    return {"status": "ok"}


@router.get(
    "/readyz", summary="Can the service do its work?", responses={503: {"model": Readiness}}
)
async def readyz(request: Request, response: Response) -> Readiness:
    """Ask each dependency. The broker and storage being away does not make the API unready, as
    requests are accepted all the same, but it is said."""
    services: Services = request.app.state.services
    checks = await services.check()
    ready = checks["database"] == "ok"
    response.status_code = 200 if ready else 503
    return Readiness(status="ready" if ready else "unready", checks=checks)
