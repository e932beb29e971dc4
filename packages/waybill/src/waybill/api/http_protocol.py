"""uvicorn's HTTP protocol with what it lacks against slow and many clients: time limits on a
request's head and body, and bounds on connections, in total and by address.

A connection that says nothing, or one byte of its head every few seconds, would else be held for
ever; so would a body that nobody waits for any more.

And it closes a connection so that its last answer arrives. Where a request is refused before its
body was read, closing at once resets the connection under a client that still sends, and the reset
takes the answer from it: the client finds "connection reset" in place of 401 or 413. So our side is
ended first, and what still comes is read and dropped for a moment (RFC 9112, 9.6).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from waybill.api.addresses import TrustedProxies, address_key

# The application has its own limit on bodies, and an answer for it (408). This one is for bodies
# that are sent to no route.
_BODY_GRACE_SECONDS = 2.0
_LINGER_SECONDS = 2.0


@dataclass(slots=True)
class ConnectionLimits:
    """What the connections of one server share.

    ``refused`` counts the connections that were closed for being too many.
    """

    head_seconds: float
    body_seconds: float
    most: int
    most_per_address: int
    proxies: TrustedProxies
    held: Counter[str] = field(default_factory=Counter)
    refused: int = 0


def guarded_protocol(limits: ConnectionLimits) -> type[asyncio.Protocol]:
    """Return the protocol class that holds ``limits``."""
    return type("BoundGuardedProtocol", (GuardedProtocol,), {"limits": limits})


class GuardedProtocol(H11Protocol):
    """See this module."""

    limits: ConnectionLimits

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._address: str | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._awaited: str | None = None
        self._lingers = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = _ClosingGently(transport, self)  # type: ignore[assignment]
        limits = self.limits
        host = self.client[0] if self.client else None
        address = address_key(host)
        too_many = not limits.proxies.trusts(host) and (
            limits.held[address] >= limits.most_per_address
        )
        if too_many or len(self.connections) > limits.most:
            limits.refused += 1
            # Without an answer: to write one is what a flood would have us do.
            transport.abort()
            return
        self._address = address
        limits.held[address] += 1
        self._expect("head", limits.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect(None, 0)
        if self._address is not None:
            held = self.limits.held
            held[self._address] -= 1
            if not held[self._address]:
                del held[self._address]
            self._address = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._lingers:
            super().data_received(data)

    def linger(self, transport: asyncio.Transport) -> bool:
        """Begin to close a connection whose client still sends. ``False``: there is no need to, or
        it is being done already, and it may be closed."""
        # After what is no HTTP nobody knows what follows.
        may_send = self.conn.their_state in {h11.SEND_BODY, h11.ERROR}
        if self._lingers or not may_send or transport.is_closing():
            return False
        self._lingers = True
        if transport.can_write_eof():  # not under TLS, where the length says that all has come
            transport.write_eof()
        transport.resume_reading()
        self._expect("end", _LINGER_SECONDS)
        return True

    @property
    def lingers(self) -> bool:
        """Whether the last answer is written, and nothing more will be."""
        return self._lingers

    def handle_events(self) -> None:
        super().handle_events()
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        """Await what the client owes now. A timer that runs is not moved by a byte more."""
        if self._lingers:
            return
        state = self.conn.their_state
        if state is h11.SEND_BODY:
            self._expect("body", self.limits.body_seconds + _BODY_GRACE_SECONDS)
        elif state is h11.IDLE and (
            self.conn.trailing_data[0] or self.timeout_keep_alive_task is None
        ):
            self._expect("head", self.limits.head_seconds)
        else:
            # The application's turn, or idle, which uvicorn ends by itself.
            self._expect(None, 0)

    def _expect(self, what: str | None, seconds: float) -> None:
        if what == self._awaited:
            return
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._awaited = what
        if what is not None:
            self._deadline = self.loop.call_later(seconds, self._too_slow)

    def _too_slow(self) -> None:
        if self._awaited == "head" and self.conn.our_state is h11.IDLE:
            # RFC 9110, 15.5.9: what a server that will not wait longer says.
            self.transport.write(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n")
            self.transport.close()
            # Were the client not to read either, closing would wait for it.
            self.loop.call_later(1.0, self.transport.abort)
        else:
            self.transport.abort()


class _ClosingGently:
    """A transport as uvicorn's protocol and its cycles use it, but for how it is closed."""

    def __init__(self, transport: asyncio.Transport, protocol: GuardedProtocol) -> None:
        self._transport = transport
        self._protocol = protocol

    def close(self) -> None:
        if not self._protocol.linger(self._transport):
            self._transport.close()

    def is_closing(self) -> bool:
        return self._protocol.lingers or self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
