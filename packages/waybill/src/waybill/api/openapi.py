"""The OpenAPI document, made true where the framework guesses."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from waybill.api.examples import document_examples
from waybill.api.request_headers import HEADER_SCHEMAS
from waybill.api.responses import problem_responses
from waybill.api.schemas import ProblemDocument

_METHODS = frozenset({"get", "head", "post", "put", "patch", "delete"})
# What a client that was answered with a job can do next (OpenAPI, "Link Object").
_LINKS = {
    name: {"operationId": name, "parameters": {"export_id": "$response.body#/id"}}
    for name in (
        "get_export",
        "watch_export",
        "download_export",
        "get_manifest",
        "discard_export",
        "cancel_any_export",
        "revoke_export",
    )
}
_GUESSED = ("HTTPValidationError", "ValidationError")


def install(app: FastAPI) -> None:
    """Let ``app`` describe itself with this module."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _describe(app)
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]


def _describe(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in _GUESSED:
        schemas.pop(name, None)
    schemas["ProblemDocument"] = ProblemDocument.model_json_schema()
    for name, example in document_examples().items():
        schemas[name]["examples"] = [example]
    for item in document["paths"].values():
        for method, operation in item.items():
            if method in _METHODS:
                _complete(method, operation)
    return document


def _complete(method: str, operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        # Read as lists, to notice a header that is sent twice; told as what each of them is.
        parameter["schema"] = HEADER_SCHEMAS.get(parameter["name"], parameter["schema"])
    responses = operation["responses"]
    everywhere = {500}
    if operation.get("security"):
        everywhere |= {400, 401, 403, 429, 503}
    if operation.get("requestBody"):
        everywhere |= {400, 408, 413, 422}
    if operation.get("parameters"):
        everywhere |= {422}
    # FastAPI describes its own validation error, which this API never answers with.
    guessed = responses.get("422", {}).get("content", {}).get("application/json")
    if guessed is not None:
        del responses["422"]
    for status, described in problem_responses(*sorted(everywhere)).items():
        responses.setdefault(str(status), described)
    for status, response in responses.items():
        # Problems that a route described by their model alone get the examples too.
        if "application/problem+json" in response.get("content", {}):
            responses[status] = problem_responses(int(status))[int(status)]
        if method == "head":
            responses[status].pop("content", None)
    if operation["operationId"] == "request_export":
        responses["202"]["links"] = _LINKS
    operation["responses"] = dict(sorted(responses.items()))
