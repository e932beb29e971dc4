"""Errors as RFC 9457 problems. The one place that knows which error has which HTTP status."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ExceptionHandler

from waybill import errors
from waybill.api.jwks import KeysUnavailable
from waybill.api.own_app import app_of
from waybill.api.refusals import record_refusal
from waybill.api.safe_headers import SAFE_HEADERS
from waybill.log import get_logger
from waybill.metrics.definitions import REFUSALS
from waybill.metrics.recording import record

log = get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
INVALID_REQUEST = "invalid_request"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

STATUS_OF: dict[type[errors.RequestError], HTTPStatus] = {
    errors.AuthenticationRequired: HTTPStatus.UNAUTHORIZED,
    errors.RecentLoginRequired: HTTPStatus.UNAUTHORIZED,
    KeysUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.PermissionDenied: HTTPStatus.FORBIDDEN,
    errors.PersonalDataDenied: HTTPStatus.FORBIDDEN,
    errors.UnknownExportType: HTTPStatus.NOT_FOUND,
    errors.UnknownFormat: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.FormatNotInstalled: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ObjectFolderRefused: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.UnknownColumn: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidOption: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnknownFilter: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidFilter: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidHeader: HTTPStatus.BAD_REQUEST,
    errors.AmbiguousBody: HTTPStatus.BAD_REQUEST,
    errors.IdempotencyKeyInUse: HTTPStatus.CONFLICT,
    errors.IdempotencyKeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.QuotaExceeded: HTTPStatus.TOO_MANY_REQUESTS,
    errors.TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    errors.ExportNotFound: HTTPStatus.NOT_FOUND,
    errors.FileDenied: HTTPStatus.FORBIDDEN,
    errors.ExportNotReady: HTTPStatus.CONFLICT,
    errors.ExportGone: HTTPStatus.GONE,
    errors.DownloadLimitReached: HTTPStatus.FORBIDDEN,
    errors.NotADeadLetter: HTTPStatus.CONFLICT,
    errors.ValuesForgotten: HTTPStatus.CONFLICT,
    errors.ResultUnreadable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.SourceUnreadable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.TooManyWatchers: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.OutsideHours: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.SourceFull: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.TooManyStreams: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.TooManyDryRuns: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.TooManyOpen: HTTPStatus.TOO_MANY_REQUESTS,
    errors.TooManyIdempotencyKeys: HTTPStatus.TOO_MANY_REQUESTS,
    errors.StreamTooLarge: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ProtocolTooOld: HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
}

# The RateLimit draft (draft-ietf-httpapi-ratelimit-headers) registers this one with IANA.
_QUOTA_TYPE = "https://iana.org/assignments/http-problem-types#quota-exceeded"
_RETRY_AFTER_SECONDS = 5


class AnswerBroken(Exception):
    """Leaves the application when an answer under way cannot be ended well, so that the server
    closes the connection without a last chunk. Logged by whoever raises it."""


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    type: str | None = None,
    headers: dict[str, str] | None = None,
    **extensions: Any,
) -> JSONResponse:
    """Build a problem response; ``code`` is stable and meant for programs."""
    body = {
        "type": type or f"urn:waybill:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        **extensions,
    }
    # Here too, since what answers a defect stands outside the middleware.
    headers = {"Cache-Control": "no-store", **SAFE_HEADERS, **(headers or {})}
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def status_of(error: type[errors.RequestError]) -> HTTPStatus:
    """Return the status that an error is answered with."""
    for cls in error.__mro__:
        if cls in STATUS_OF:
            return STATUS_OF[cls]
    return HTTPStatus.BAD_REQUEST


async def answer_of(request: Request, exc: errors.RequestError) -> JSONResponse:
    """Return the problem for ``exc``, and record it if it is a refusal."""
    await record_refusal(request, exc)
    record(REFUSALS, code=exc.code)
    known = getattr(exc, "known", None)
    extensions: dict[str, Any] = {} if known is None else {"known": list(known)}
    problem_type = None
    if isinstance(exc, errors.RecentLoginRequired):
        extensions["max_age"] = exc.max_age_seconds
    if isinstance(exc, errors.QuotaExceeded):
        problem_type = _QUOTA_TYPE
        extensions["violated-policies"] = [exc.policy]
    return problem(
        status_of(type(exc)),
        exc.code,
        str(exc),
        type=problem_type,
        headers=_headers(request, exc) or None,
        **extensions,
    )


def _headers(request: Request, exc: errors.RequestError) -> dict[str, str]:
    status = status_of(type(exc))
    headers: dict[str, str] = {}
    if isinstance(exc, errors.RecentLoginRequired):
        # RFC 9470: the client is to ask its authorization server with this max_age.
        headers["WWW-Authenticate"] = (
            'Bearer realm="waybill", error="insufficient_user_authentication", '
            f'error_description="A more recent sign-in is needed", max_age="{exc.max_age_seconds}"'
        )
    elif status is HTTPStatus.UNAUTHORIZED:
        # RFC 6750, section 3.1: no error code where no credentials were given at all.
        given = ', error="invalid_token"' if "authorization" in request.headers else ""
        headers["WWW-Authenticate"] = f'Bearer realm="waybill"{given}'
    elif scope := getattr(exc, "scope", ""):
        scope = scope.replace("\\", "").replace('"', "")
        headers["WWW-Authenticate"] = (
            f'Bearer realm="waybill", error="insufficient_scope", scope="{scope}"'
        )
    elif status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        seconds = getattr(exc, "retry_after_seconds", _RETRY_AFTER_SECONDS)
        headers["Retry-After"] = str(max(1, math.ceil(seconds)))
    if isinstance(exc, errors.QuotaExceeded):
        name = f'"{exc.policy}"'
        headers["RateLimit-Policy"] = f"{name};q={exc.limit};w={exc.window_seconds}"
        headers["RateLimit"] = f"{name};r=0;t={exc.retry_after_seconds}"
    return headers


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
    return problem(422, INVALID_REQUEST, f"The request does not fit: {where}.", errors=details)


async def _on_http_exception(request: Request, exc: HTTPException) -> JSONResponse:
    code = HTTPStatus(exc.status_code).phrase.lower().replace(" ", "_").replace("-", "_")
    headers = dict(exc.headers or {})
    if exc.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # The framework names the methods of one route; the address may have several.
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    return problem(exc.status_code, code, str(exc.detail), headers=headers or None)


def _methods(request: Request) -> set[str]:
    def is_served(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in app_of(request.scope).routes)

    return {method for method in METHODS if is_served(method)}


async def _on_database_error(request: Request, exc: Exception) -> JSONResponse:
    log.error("api.database_unavailable", path=request.url.path, error=type(exc).__name__)
    return problem(
        503,
        "database_unavailable",
        "The database does not answer at the moment. Try again shortly.",
        headers={"Retry-After": str(_RETRY_AFTER_SECONDS)},
    )


async def _on_unexpected(request: Request, exc: Exception) -> JSONResponse:
    if not isinstance(exc, AnswerBroken):
        log.error(
            "api.unexpected_error", path=request.url.path, error=type(exc).__name__, exc_info=exc
        )
    # The framework raises it once more when this answer is sent, and a server closes the connection
    # of an application that raises. Without a word of it the client's next request would go over a
    # connection that is being closed, and be reset. HTTP/2 has no such header (RFC 9113, 8.2.2).
    closes = {"Connection": "close"} if request.scope["http_version"].startswith("1") else None
    return problem(
        500,
        "internal_error",
        "Something failed on our side; it was logged. Try again later.",
        headers=closes,
    )


def install(app: FastAPI) -> None:
    """Answer every error of the application with a problem."""
    handlers: dict[type[Exception], ExceptionHandler] = {
        errors.RequestError: answer_of,  # type: ignore[dict-item]
        RequestValidationError: _on_invalid_request,  # type: ignore[dict-item]
        HTTPException: _on_http_exception,  # type: ignore[dict-item]
        # A connection refused, cut or not to be had in time; a wrong statement stays a 500.
        OperationalError: _on_database_error,
        InterfaceError: _on_database_error,
        PoolTimeout: _on_database_error,
        Exception: _on_unexpected,
    }
    for error, handler in handlers.items():
        app.add_exception_handler(error, handler)
