"""Errors as RFC 9457 problems. The one place that knows which error has which HTTP status."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ExceptionHandler

from waybill import errors
from waybill.log import get_logger

log = get_logger(__name__)

MEDIA_TYPE = "application/problem+json"

STATUS_OF: dict[type[errors.RequestError], HTTPStatus] = {
    errors.AuthenticationRequired: HTTPStatus.UNAUTHORIZED,
    errors.PermissionDenied: HTTPStatus.FORBIDDEN,
    errors.UnknownExportType: HTTPStatus.NOT_FOUND,
    errors.UnknownFormat: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnknownColumn: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidOption: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ExportNotFound: HTTPStatus.NOT_FOUND,
    errors.ExportNotReady: HTTPStatus.CONFLICT,
    errors.ExportGone: HTTPStatus.GONE,
    errors.NotADeadLetter: HTTPStatus.CONFLICT,
    errors.ResultUnreadable: HTTPStatus.SERVICE_UNAVAILABLE,
}


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    headers: dict[str, str] | None = None,
    **extensions: Any,
) -> JSONResponse:
    """Build a problem response; ``code`` is stable and meant for programs."""
    body = {
        "type": f"urn:waybill:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        **extensions,
    }
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def _status_of(error: errors.RequestError) -> HTTPStatus:
    for cls in type(error).__mro__:
        if cls in STATUS_OF:
            return STATUS_OF[cls]
    return HTTPStatus.BAD_REQUEST


async def _on_request_error(_request: Request, exc: errors.RequestError) -> JSONResponse:
    status = _status_of(exc)
    headers: dict[str, str] = {}
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="waybill"'
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "5"
    known = getattr(exc, "known", None)
    extensions = {} if known is None else {"known": list(known)}
    return problem(status, exc.code, str(exc), headers=headers or None, **extensions)


async def _on_invalid_request(_request: Request, exc: RequestValidationError) -> JSONResponse:
    found = exc.errors()
    if any(error["type"] == "json_invalid" for error in found):
        return problem(
            400, "malformed_json", "The body is not JSON. Send a JSON object, or no body at all."
        )
    # Never the input itself: it may be long, or hold what does not belong in an answer.
    details = [
        {"at": "/".join(str(part) for part in error["loc"]), "message": error["msg"]}
        for error in found
    ]
    where = "; ".join(f"{d['at']}: {d['message']}" for d in details[:5])
    return problem(422, "invalid_request", f"The request does not fit: {where}.", errors=details)


async def _on_http_exception(_request: Request, exc: HTTPException) -> JSONResponse:
    code = HTTPStatus(exc.status_code).phrase.lower().replace(" ", "_").replace("-", "_")
    return problem(exc.status_code, code, str(exc.detail), headers=dict(exc.headers or {}) or None)


async def _on_unexpected(request: Request, exc: Exception) -> JSONResponse:
    log.error("api.unexpected_error", path=request.url.path, error=type(exc).__name__, exc_info=exc)
    return problem(
        500, "internal_error", "Something failed on our side; it was logged. Try again later."
    )


def install(app: FastAPI) -> None:
    """Answer every error of the application with a problem."""
    handlers: dict[type[Exception], ExceptionHandler] = {
        errors.RequestError: _on_request_error,  # type: ignore[dict-item]
        RequestValidationError: _on_invalid_request,  # type: ignore[dict-item]
        HTTPException: _on_http_exception,  # type: ignore[dict-item]
        Exception: _on_unexpected,
    }
    for error, handler in handlers.items():
        app.add_exception_handler(error, handler)
