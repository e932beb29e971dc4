"""Limits how fast one principal may ask: a token bucket for each, in this process.

It protects the process that holds it, which is why it need not be shared: with several API
processes each gives what it can spare. What must be exact across them is the quota, and that is
counted in the database. What strangers may do is counted by their address, in ``api.gate``.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Literal

from fastapi import Request

from waybill.api.auth import CurrentPrincipal
from waybill.api.buckets import TokenBuckets
from waybill.api.own_app import app_of
from waybill.principal import Principal

Kind = Literal["poll", "request"]


class RateLimiter:
    """Token buckets by principal and kind of request; see ``TokenBuckets``."""

    def __init__(
        self,
        *,
        per_second: float,
        burst: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._buckets = TokenBuckets(per_second=per_second, burst=burst, monotonic=monotonic)

    def take(self, principal: Principal, kind: Kind) -> None:
        """Take one token.

        Raises:
            TooManyRequests: there is none; says when there will be one.
        """
        self._buckets.take((principal.tenant, principal.subject, kind))


def limited(kind: Kind) -> Callable[[Request, CurrentPrincipal], Awaitable[None]]:
    """Return the FastAPI dependency that takes a token of ``kind`` for the request."""

    async def take(request: Request, principal: CurrentPrincipal) -> None:
        limiter: RateLimiter = app_of(request.scope).state.rate_limiter
        limiter.take(principal, kind)

    return take
