"""Counts answers by route and class of status, and how long streams take to begin."""

from __future__ import annotations

import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from waybill.metrics.definitions import FIRST_BYTE, REQUESTS
from waybill.metrics.recording import record

_STREAM: Final = "/{export_type}/export/stream"
_NO_ROUTE: Final = "none"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestFigures:
    """ASGI middleware. Labels are templates of routes, never what somebody wrote."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_at = time.monotonic()
        status = 500
        is_first = True

        async def watch(message: Message) -> None:
            nonlocal status, is_first
            if message["type"] == "http.response.start":
                status = message["status"]
            elif is_first and message.get("body"):
                is_first = False
                if status == 200 and _route(scope).endswith(_STREAM):
                    name = str(scope["path_params"].get("export_type", ""))
                    record(FIRST_BYTE, time.monotonic() - began_at, type=name)
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = _route(scope)
            record(REQUESTS, method=method, route=route, status=f"{status // 100}xx")


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", _NO_ROUTE))
