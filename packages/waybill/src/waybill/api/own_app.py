"""Which application a request is answered by: ours, whichever one ``request.app`` is.

Inside an application that embeds us, ``request.app`` is theirs, as their sign-in expects it to be.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

OWN_APP: Final = "waybill.app"
HOST_APP: Final = "waybill.host"


def app_of(scope: Any) -> FastAPI:
    """Return waybill's application, of a request that it answers."""
    app: FastAPI = scope.get(OWN_APP) or scope["app"]
    return app


class HostInScope:
    """ASGI middleware, the innermost: what is called from here on sees the host as ``app``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = scope.get(HOST_APP)
        if host is not None:
            scope = {**scope, OWN_APP: scope["app"], "app": host}
        await self._app(scope, receive, send)
