"""Liveness and readiness."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response

from waybill.api.schemas import Readiness
from waybill.bootstrap.api import ApiParts
from waybill.errors import WaybillError

router = APIRouter(tags=["health"])

_CHECK_SECONDS = 3.0


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
    services: ApiParts = request.app.state.services
    checks = await check(services)
    ready = checks["database"] == "ok"
    response.status_code = 200 if ready else 503
    return Readiness(status="ready" if ready else "unready", checks=checks)


async def check(services: ApiParts) -> dict[str, str]:
    """Ask every dependency; ``ok``, or a word that is safe to show."""
    names = ("database", "broker", "storage")
    results = await asyncio.gather(
        *(
            asyncio.wait_for(answer, _CHECK_SECONDS)
            for answer in (
                services.ping_database(),
                services.queue.check(),
                asyncio.to_thread(services.storage.check),
            )
        ),
        return_exceptions=True,
    )
    return {name: _word(result) for name, result in zip(names, results, strict=True)}


def _word(result: object) -> str:
    if isinstance(result, TimeoutError):
        return "does not answer"
    if isinstance(result, WaybillError):
        return result.code
    return "unavailable" if isinstance(result, BaseException) else "ok"
