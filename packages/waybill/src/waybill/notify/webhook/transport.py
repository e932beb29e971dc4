"""Connections that go only where the egress policy said, and nowhere else afterwards.

The name is resolved once, every answer is judged, and the socket is opened to a judged address:
a name server that answers differently the second time (DNS rebinding) is never asked again.
TLS still verifies the name, because only the TCP connection is pinned.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import httpcore

from waybill.notify.webhook.egress import EgressPolicy

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host. Raises ``OSError`` when there are none."""

_CONNECT_SECONDS = 5.0
_MAX_ADDRESSES = 3


async def resolve_with_system(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver, once."""
    loop = asyncio.get_running_loop()
    answers = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in answers]


class PinnedBackend(httpcore.AsyncNetworkBackend):
    """An httpcore network backend that resolves, judges and connects in one step.

    It is the only way from the webhook client to the network: no proxy of the environment and no
    redirect is ever consulted below it.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        resolve: Resolver = resolve_with_system,
        network: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._policy = policy
        self._resolve = resolve
        self._network = network or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first judged address that answers.

        Raises:
            TargetForbidden: before any packet was sent to the target.
            OSError: the name does not resolve.
            httpcore.ConnectError, httpcore.ConnectTimeout
        """
        addresses = self._policy.check(await self._resolve(host, port))
        failure: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for address in addresses[:_MAX_ADDRESSES]:
            try:
                return await self._network.connect_tcp(
                    str(address),
                    port,
                    timeout=min(timeout or _CONNECT_SECONDS, _CONNECT_SECONDS),
                    local_address=local_address,
                    socket_options=socket_options,
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                failure = exc
        assert failure is not None  # noqa: S101 - check() returns at least one address
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: a webhook never goes to a local socket."""
        raise httpcore.UnsupportedProtocol

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
