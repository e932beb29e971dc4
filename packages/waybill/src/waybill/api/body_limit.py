"""Reads bodies: of people who are known, of a bounded length, in bounded time."""

from __future__ import annotations

import asyncio

from fastapi.security.utils import get_authorization_scheme_param
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from waybill.api.auth import Authenticator, current_principal
from waybill.api.of_request import AUTHENTICATED, is_of_api
from waybill.api.own_app import app_of
from waybill.api.problems import answer_of, problem
from waybill.errors import RequestError

_BODILESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})


class BodyLimit:
    """ASGI middleware: authenticates before it reads (401), refuses more than ``max_bytes``,
    whether announced or only sent (413), and what takes longer than ``seconds`` (408).

    The body is held here, at most ``max_bytes`` of it, and handed on whole: raising from within
    ``receive`` would reach the framework as a parsing error instead.

    FastAPI's ``max_body_size`` (0.165) bounds the length alone, once a route reads: it waits for a
    slow body for ever, reads strangers' bodies, and answers in plain text where our routes answer
    with problems.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, seconds: float) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _may_have_body(scope):
            await self._app(scope, receive, send)
            return
        # Outside /api no route reads a body, so none is read here.
        if not is_of_api(scope):
            await self._app(scope, receive, send)
            return
        refusal = self._too_long(scope) or await _refusal_of_strangers(scope)
        body: bytes | None = None
        if refusal is None:
            try:
                async with asyncio.timeout(self._seconds):
                    body = await self._read(receive)
            except TimeoutError:
                refusal = problem(
                    408, "body_too_slow", f"The body did not arrive within {self._seconds:g} s."
                )
            except _TooLong:
                refusal = self._refusal()
            except _ClientGone:
                return
        if refusal is not None:
            # The rest of the body is read by nobody: the connection cannot be used again.
            refusal.headers["Connection"] = "close"
            await refusal(scope, receive, send)
            return
        handed_on = False

        async def replay() -> Message:
            nonlocal handed_on
            if handed_on:
                return await receive()
            handed_on = True
            return {"type": "http.request", "body": body or b"", "more_body": False}

        await self._app(scope, replay, send)

    async def _read(self, receive: Receive) -> bytes:
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _ClientGone
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._max_bytes:
                raise _TooLong
        return bytes(body)

    def _too_long(self, scope: Scope) -> Response | None:
        announced = Headers(scope=scope).get("content-length", "")
        too_long = announced.isdigit() and int(announced) > self._max_bytes
        return self._refusal() if too_long else None

    def _refusal(self) -> Response:
        return problem(
            413, "body_too_large", f"The body may be at most {self._max_bytes} bytes long."
        )


class _TooLong(Exception):
    """Control flow: more arrived than may."""


class _ClientGone(Exception):
    """Control flow: nobody waits for an answer."""


def _may_have_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        return True
    # HTTP/2 needs neither header for a body.
    return scope.get("http_version", "1.1")[:1] in {"2", "3"} and scope["method"] not in _BODILESS


async def _refusal_of_strangers(scope: Scope) -> Response | None:
    """Authenticate by the request's head alone; what is found out is kept for the route."""
    app = app_of(scope)
    if current_principal in app.dependency_overrides:
        return None  # an application that embeds us decides in its own way, when the route runs
    request = Request(scope)
    scheme, credentials = get_authorization_scheme_param(request.headers.get("authorization"))
    token = credentials if scheme.lower() == "bearer" and credentials else None
    authenticator: Authenticator = app.state.authenticator
    try:
        principal = await authenticator.authenticate(request, token)
    except RequestError as exc:
        for route in app.routes:  # so that the trail says what was tried
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope.update(found)
                break
        return await answer_of(request, exc)
    AUTHENTICATED.keep(request, principal)
    return None
