"""Liveness and readiness."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response

from waybill.api.own_app import app_of
from waybill.api.schemas import Readiness
from waybill.bootstrap.api import ApiParts
from waybill.doctor.readiness import readiness

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> dict[str, str]:
    """Answer as long as the process does. Asks nothing of its dependencies."""
    return {"status": "ok"}


@router.get(
    "/readyz", summary="Can the service do its work?", responses={503: {"model": Readiness}}
)
async def readyz(request: Request, response: Response) -> Readiness:
    """Ask each dependency. The broker or storage being away does not make the API unready, as
    requests are accepted all the same, but it is said (`degraded`). What needs somebody to mend it
    does: a missing bucket or right, a database that was not migrated."""
    services: ApiParts = app_of(request.scope).state.services
    found = await readiness(services)
    response.status_code = 200 if found.is_ready else 503
    status: Literal["ready", "degraded", "unready"] = (
        "ready" if found.is_whole else "degraded" if found.is_ready else "unready"
    )
    return Readiness(status=status, checks=dict(found.checks))
