"""Refuses parameters that an operation does not know: a misspelt filter that was passed over would
answer with more than was asked for."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError

from waybill.api.auth import CurrentPrincipal
from waybill.api.own_app import app_of


async def require_known_query(request: Request, _principal: CurrentPrincipal) -> None:
    """Refuse what the operation's own entry in the OpenAPI document does not name.

    Raises:
        RequestValidationError: names the parameters that are unknown, and those that are known.
    """
    if not request.query_params:
        return
    known = _parameters(request)
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        names = ", ".join(known) or "none"
        raise RequestValidationError(
            [
                {
                    "type": "unknown_parameter",
                    "loc": ("query", name[:64]),
                    "msg": f"there is no such parameter; known: {names}",
                }
                for name in unknown
            ]
        )


def _parameters(request: Request) -> list[str]:
    # The document is made once and kept by the application.
    paths: dict[str, Any] = app_of(request.scope).openapi()["paths"]
    operation = paths[request.scope["route"].path_format][request.method.lower()]
    return [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
