"""What every request meets before anything is done for it: whether it says one thing twice, whether
it is meant for this host, and whether its address asks too often.

Cheap on purpose: no database, no body, no cryptography. Whoever has no credentials gets this far,
and what is spent on them is a look-up in bounded memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette._utils import get_route_path
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from waybill.api.addresses import address_key
from waybill.api.buckets import TokenBuckets
from waybill.api.problems import problem
from waybill.errors import TooManyRequests

# Of these there can be one, and two programs may disagree about which of two it is. (The server
# refuses two of Content-Length and of Host by itself; not every server does.)
_SINGLE = frozenset({b"authorization", b"content-length", b"content-type", b"host"})

_UNLIMITED = frozenset({"/healthz"})
"""Costs nothing, and load balancers ask from one address for everybody."""


class Gate:
    """ASGI middleware, the first after the one that adds headers.

    Args:
        hosts: names that requests may be addressed to; ``*`` stands for all, ``*.example.com`` for
            all below.
        buckets: how fast one address may ask.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Sequence[str],
        buckets: TokenBuckets,
    ) -> None:
        self._app = app
        self._hosts = tuple(host.lower() for host in hosts)
        self._buckets = buckets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
            return
        status, code, detail, retry_after = refusal
        headers = {"Connection": "close"}  # there may be a body, which nobody will read
        if retry_after:
            headers["Retry-After"] = str(retry_after)
        response = problem(status, code, detail, headers=headers)
        await response(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str, str, int] | None:
        client = scope.get("client")
        if get_route_path(scope) not in _UNLIMITED:
            try:
                self._buckets.take(address_key(client[0] if client else None))
            except TooManyRequests as exc:
                return 429, exc.code, str(exc), exc.retry_after_seconds
        names = [name for name, _ in scope["headers"] if name in _SINGLE]
        for name in set(names):
            if names.count(name) > 1:
                shown = name.decode().title()
                return 400, "ambiguous_header", f"There are several headers {shown}. Send one.", 0
        if not self._is_ours(Request(scope).headers.get("host", "")):
            return 421, "misdirected_request", "This service does not answer for that host.", 0
        return None

    def _is_ours(self, host: str) -> bool:
        if "*" in self._hosts:
            return True
        # Without its port; the brackets of an IPv6 address stay.
        name, _, port = host.lower().rpartition(":")
        name = name if name and port.isdigit() else host.lower()
        return any(
            name == each or (each.startswith("*.") and name.endswith(each[1:]))
            for each in self._hosts
        )
