"""What both clients know of HTTP: how a call becomes a request, and a failure an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from waybill.client.calls import Answer, Call
from waybill.client.errors import ConnectionLost, ServerUnreachable, StorageUnreachable
from waybill.client.flows import Follow, Open

Token = str | Callable[[], str]
"""A bearer token, or a function that returns the one of the moment."""

TIMEOUT_SECONDS = 30.0
"""Twice the service's heartbeat: an event stream that is silent for longer is dead."""


class Wire:
    """The address and the token of one service."""

    def __init__(self, url: str, token: Token) -> None:
        self.url = url.rstrip("/")
        self._token = token

    def request(self, effect: Call[Any] | Open | Follow) -> dict[str, Any]:
        """Return the arguments of httpx for what is to be sent."""
        if isinstance(effect, Follow):
            return {"method": "GET", "url": effect.url, "headers": dict(effect.headers)}
        call = effect.call if isinstance(effect, Open) else effect
        token = self._token if isinstance(self._token, str) else self._token()
        return {
            "method": call.method,
            "url": f"{self.url}{call.path}",
            "params": dict(call.params) or None,
            "headers": {**call.headers, "Authorization": f"Bearer {token}"},
            "json": call.json,
        }

    @contextmanager
    def translated(self, effect: object = None) -> Iterator[None]:
        """Turn the exceptions of httpx into the client's."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as exc:
            if isinstance(effect, Follow):
                raise StorageUnreachable from exc
            raise ServerUnreachable(self.url) from exc
        except httpx.ReadTimeout as exc:
            raise ConnectionLost(self.url, is_silence=True) from exc
        except (httpx.TransportError, httpx.StreamError, httpx.DecodingError) as exc:
            raise ConnectionLost(self.url) from exc


def answer_of(response: httpx.Response, body: bytes = b"") -> Answer:
    """Return a response as the flows know it."""
    return Answer(response.status_code, response.headers, body)
