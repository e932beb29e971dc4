"""Headers that every answer has, problems and pages included."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from waybill.api.of_request import is_of_api

SAFE_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    # Addresses of exports say who has which; no other site is told.
    "Referrer-Policy": "no-referrer",
    # An answer is data. Should a browser take it for a page, nothing in it runs or loads.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
}
_NO_STORE: Final = "no-store"
_HSTS: Final = "max-age=31536000"


class SafeHeaders:
    """ASGI middleware that adds what a route has not said itself.

    Below ``/api`` nothing is stored (ASVS 5.0, 14.3.2): exports are personal. Under https the
    browser is told to stay there (``Strict-Transport-Security``).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        wanted = dict(SAFE_HEADERS)
        if is_of_api(scope):
            wanted["Cache-Control"] = _NO_STORE
        if scope.get("scheme") == "https":
            wanted["Strict-Transport-Security"] = _HSTS

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in wanted.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
