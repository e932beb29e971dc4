"""Who a request comes from, by the network: the address that limits count by, and which proxies are
believed when they name another."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from waybill.audit.strangers import prefix_of

__all__ = ["ForwardedHeaders", "TrustedProxies", "address_key"]

_SCHEMES = frozenset({"http", "https"})
_MOST_HOPS = 20
# Of one or more names; never "//", which would be another host.
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]{1,64}){1,16}")


def address_key(host: str | None) -> str:
    """Return what limits count by: an IPv4 address, or the /64 of an IPv6 address, which is what
    one customer of a provider has. Callers without an address (Unix sockets) share one."""
    return prefix_of(host) or "local"


class TrustedProxies:
    """The addresses whose ``X-Forwarded-…`` are believed; nobody's by default.

    Args:
        networks: addresses and networks, like ``10.0.0.0/8``.

    Raises:
        ValueError: one of them is none.
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = tuple(ipaddress.ip_network(each.strip()) for each in networks)

    def trusts(self, host: str | None) -> bool:
        """Whether ``host`` is one of them."""
        try:
            address = ipaddress.ip_address(host or "")
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._networks)

    def applied(self, scope: Scope) -> Scope:
        """Return ``scope`` with the client and scheme that a trusted proxy names; itself, when the
        request comes from anybody else."""
        peer = scope.get("client")
        if not self._networks or peer is None or not self.trusts(peer[0]):
            return scope
        changed = dict(scope)
        client = self._client(_values(scope, b"x-forwarded-for"))
        if client is not None:
            changed["client"] = (client, 0)
        (*_, scheme) = _values(scope, b"x-forwarded-proto") or [""]
        if scheme.lower() in _SCHEMES:
            changed["scheme"] = scheme.lower()
        prefix = _values(scope, b"x-forwarded-prefix")
        if len(prefix) == 1:
            _prepend(changed, prefix[0].rstrip("/"))
        return changed

    def _client(self, forwarded: Sequence[str]) -> str | None:
        # From the right: each proxy appends whom it saw, so the first that is none of ours is the
        # client; what stands before it is the client's own invention.
        found = None
        for each in forwarded[: -_MOST_HOPS - 1 : -1]:
            try:
                found = str(ipaddress.ip_address(each))
            except ValueError:
                return found
            if not self.trusts(found):
                return found
        return found


class ForwardedHeaders:
    """ASGI middleware, the outermost: lets the others see the client that a trusted proxy names."""

    def __init__(self, app: ASGIApp, proxies: TrustedProxies) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = self._proxies.applied(scope)
        await self._app(scope, receive, send)


def _prepend(scope: MutableMapping[str, Any], prefix: str) -> None:
    """Let links begin with what a proxy took off the path, unless they do already."""
    root, path = scope.get("root_path", ""), scope["path"]
    if not _PREFIX.fullmatch(prefix) or f"{root}/".startswith(f"{prefix}/"):
        return
    scope["root_path"] = prefix + root
    if path.startswith(root):  # as ASGI has it: the path with all that it is below
        scope["path"] = prefix + path
        scope["raw_path"] = prefix.encode() + scope.get("raw_path", path.encode())


def _values(scope: Scope, name: bytes) -> list[str]:
    lines = (value.decode("latin-1") for key, value in scope["headers"] if key == name)
    return [part.strip() for line in lines for part in line.split(",")]
