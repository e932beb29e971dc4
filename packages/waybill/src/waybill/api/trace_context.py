"""Has what is traced belong to the caller's own trace, if the request names one."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from waybill import tracing


class TraceContext:
    """ASGI middleware for W3C's ``traceparent``. Makes no span: strangers are not traced."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = Headers(scope=scope).get("traceparent") if scope["type"] == "http" else None
        with tracing.caller(given):
            await self._app(scope, receive, send)
