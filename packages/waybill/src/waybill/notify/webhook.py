"""Webhooks by Standard Webhooks 1.0, sent only where the egress policy lets them."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping, Sequence

import httpcore

from waybill import __version__
from waybill.clock import Clock
from waybill.notify.delivery import Delivery
from waybill.notify.egress import EgressPolicy
from waybill.notify.errors import (
    DeliveryError,
    DeliveryFailed,
    DeliveryRefused,
    EndpointGone,
)
from waybill.notify.retry import parse_retry_after
from waybill.notify.signing import signed_headers
from waybill.notify.targets import WebhookEndpoint
from waybill.notify.transport import (
    PinnedBackend,
    Resolver,
    is_tls_failure,
    resolve_with_system,
)


class WebhookChannel:
    """Posts signed events.

    Nothing of a response but its status line and headers is read (the HTTP parser bounds them to
    100 kB), no redirect is followed, and no proxy of the environment is used.

    Args:
        timeout_seconds: from resolving the name to the response's headers.
        clock: real time, never a rehearsed one: receivers refuse timestamps off by minutes.
    """

    def __init__(
        self,
        endpoints: Sequence[WebhookEndpoint],
        *,
        policy: EgressPolicy,
        clock: Clock,
        timeout_seconds: float = 20.0,
        ssl_context: ssl.SSLContext | None = None,
        resolve: Resolver = resolve_with_system,
    ) -> None:
        self._endpoints: Mapping[str, WebhookEndpoint] = {e.name: e for e in endpoints}
        self._policy = policy
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._ssl_context = ssl_context or httpcore.default_ssl_context()
        self._backend = PinnedBackend(policy, resolve)

    async def deliver(self, delivery: Delivery) -> None:
        """Post the event once; a 2xx answer is the success.

        Raises:
            DeliveryFailed: unreachable, too slow, forbidden by policy, or an answer that is not
                2xx (a redirect is one of those).
            DeliveryRefused: the endpoint is no longer configured.
            EndpointGone: it answered 410.
        """
        endpoint = self._endpoints.get(delivery.target)
        if endpoint is None:
            raise DeliveryRefused(
                "endpoint_unknown", f"Webhook endpoint {delivery.target!r} is not configured."
            )
        body = json.dumps(delivery.payload, separators=(",", ":"), sort_keys=True).encode()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                status, retry_after = await self._post(endpoint, delivery.event_id, body)
        except TimeoutError as exc:
            raise DeliveryFailed("timed_out", "The receiver does not answer in time.") from exc
        self._judge(endpoint, status, retry_after)

    async def _post(
        self, endpoint: WebhookEndpoint, message_id: str, body: bytes
    ) -> tuple[int, str | None]:
        target = self._policy.parse(endpoint.url)
        headers = {
            "host": target.authority,
            "content-type": "application/json",
            "content-length": str(len(body)),
            "user-agent": f"waybill/{__version__}",
            "connection": "close",
            **signed_headers(
                endpoint.keys,
                message_id=message_id,
                timestamp=int(self._clock.now().timestamp()),
                body=body,
            ),
        }
        url = httpcore.URL(
            scheme=target.scheme.encode(),
            host=target.host.encode(),
            port=target.port,
            target=target.path_and_query.encode(),
        )
        # A pool per request: no connection outlives the judgement of its address.
        try:
            async with (
                httpcore.AsyncConnectionPool(
                    ssl_context=self._ssl_context, network_backend=self._backend
                ) as pool,
                pool.stream(
                    "POST",
                    url,
                    headers=list(headers.items()),
                    content=body,
                    extensions={"sni_hostname": target.host},
                ) as response,
            ):
                return response.status, _header(response, b"retry-after")
        except (
            httpcore.NetworkError,
            httpcore.TimeoutException,
            httpcore.ProtocolError,
            httpcore.UnsupportedProtocol,
            OSError,
        ) as exc:
            raise _translated(exc) from exc

    def _judge(self, endpoint: WebhookEndpoint, status: int, retry_after: str | None) -> None:
        if 200 <= status < 300:
            return
        if status == 410:
            raise EndpointGone(endpoint.name, endpoint.fingerprint)
        if 300 <= status < 400:
            raise DeliveryFailed(
                "redirect_refused",
                f"Webhook endpoint {endpoint.name!r} redirects. Configure its final URL.",
            )
        raise DeliveryFailed(
            f"http_{status}",
            f"Webhook endpoint {endpoint.name!r} answered {status}.",
            retry_after_seconds=parse_retry_after(retry_after, now=self._clock.now()),
        )


def _header(response: httpcore.Response, name: bytes) -> str | None:
    for key, value in response.headers:
        if key.lower() == name:
            return value.decode("latin-1")
    return None


def _translated(exc: Exception) -> DeliveryError:
    if isinstance(exc, httpcore.TimeoutException):
        return DeliveryFailed("timed_out", "The receiver does not answer in time.")
    if is_tls_failure(exc):
        return DeliveryFailed("tls_failed", "TLS with the receiver fails.")
    if isinstance(exc, httpcore.ConnectError):
        return DeliveryFailed("unreachable", "The receiver cannot be reached.")
    if isinstance(exc, httpcore.NetworkError):
        return DeliveryFailed("connection_lost", "The receiver hung up.")
    if isinstance(exc, OSError):
        return DeliveryFailed("not_resolved", "The receiver's name does not resolve.")
    return DeliveryFailed("protocol_error", "The receiver does not speak HTTP as expected.")
