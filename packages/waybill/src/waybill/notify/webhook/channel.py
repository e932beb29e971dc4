"""Webhooks by Standard Webhooks 1.0, sent only where the egress policy lets them."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Self

import httpcore

from waybill import __version__
from waybill.clock import Clock, SystemClock
from waybill.notify.delivery import Delivery, Subscription
from waybill.notify.errors import (
    DeliveryError,
    DeliveryFailed,
    DeliveryRefused,
    EndpointGone,
    is_tls_failure,
)
from waybill.notify.events import WEBHOOK
from waybill.notify.retry import parse_retry_after
from waybill.notify.settings import NotificationSettings
from waybill.notify.targets import WebhookEndpoint
from waybill.notify.webhook.egress import EgressPolicy
from waybill.notify.webhook.signing import signed_headers
from waybill.notify.webhook.transport import (
    PinnedBackend,
    Resolver,
    resolve_with_system,
)


class WebhookChannel:
    """Posts signed events. Implements ``NotificationChannel``.

    Nothing of a response but its status line and headers is read (the HTTP parser bounds them to
    100 kB), no redirect is followed, and no proxy of the environment is used.

    Args:
        timeout_seconds: from resolving the name to the response's headers.
        clock: real time, never a rehearsed one: receivers refuse timestamps off by minutes.
    """

    name = WEBHOOK

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
        self._given_context = ssl_context
        self._backend = PinnedBackend(policy, resolve)

    @classmethod
    def from_settings(cls, settings: NotificationSettings) -> Self | None:
        """Return the channel; ``None`` without an endpoint."""
        if not settings.webhooks:
            return None
        authorities = settings.webhook_ca_file
        return cls(
            [webhook.endpoint() for webhook in settings.webhooks],
            policy=settings.egress_policy(),
            clock=SystemClock(),
            timeout_seconds=settings.webhook_timeout_seconds,
            ssl_context=ssl.create_default_context(cafile=str(authorities))
            if authorities
            else None,
        )

    def subscriptions(self) -> Sequence[Subscription]:
        """Return one for each endpoint."""
        return [
            Subscription(endpoint.name, endpoint.events, endpoint.fingerprint)
            for endpoint in self._endpoints.values()
        ]

    @cached_property
    def _ssl_context(self) -> ssl.SSLContext:
        # Every process knows the endpoints, and one of them sends: the others read no certificates.
        return self._given_context or httpcore.default_ssl_context()

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
