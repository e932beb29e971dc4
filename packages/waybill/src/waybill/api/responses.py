"""What routes share: the services of the application, its address, and how errors are described."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.datastructures import URL

from waybill.api.own_app import app_of
from waybill.api.problem_examples import problem_examples
from waybill.api.problems import MEDIA_TYPE
from waybill.bootstrap.api import ApiParts


# A coroutine, though it waits for nothing: FastAPI calls plain functions in a thread.
async def _services(request: Request) -> ApiParts:
    services: ApiParts = app_of(request.scope).state.services
    return services


AppServices = Annotated[ApiParts, Depends(_services)]


def api_base(request: Request, services: ApiParts) -> str:
    """Return the address of ``/api`` as clients see it, without a slash at its end."""
    # Not ``request.base_url``, which leaves out where an application has mounted us.
    here = {**request.scope, "path": request.scope.get("root_path", ""), "query_string": b""}
    root = services.settings.public_url or str(URL(scope=here))
    return f"{root.rstrip('/')}/api"


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the problems a route answers with, for its OpenAPI document."""
    return {status: _described(status) for status in statuses}


def _described(status: int) -> dict[str, Any]:
    return {
        "description": HTTPStatus(status).phrase,
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/ProblemDocument"},
                "examples": problem_examples(status),
            }
        },
    }
