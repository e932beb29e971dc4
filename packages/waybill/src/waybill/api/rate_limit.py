"""Limits how fast one principal may ask: a token bucket for each, in this process.

It protects the process that holds it, which is why it need not be shared: with several API
processes each gives what it can spare. What must be exact across them is the quota, and that is
counted in the database.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, Literal

from fastapi import Request

from waybill.api.auth import CurrentPrincipal
from waybill.errors import TooManyRequests
from waybill.principal import Principal

Kind = Literal["poll", "request"]

_MOST_BUCKETS: Final = 10_000
"""Beyond it the bucket that was longest unused is forgotten, which makes it a full one."""


class RateLimiter:
    """Token buckets by principal and kind of request.

    Args:
        per_second: how fast a bucket fills.
        burst: how much it holds.
        monotonic: tells the time in seconds.
    """

    def __init__(
        self,
        *,
        per_second: float,
        burst: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._per_second = per_second
        self._burst = burst
        self._buckets: OrderedDict[tuple[str | None, str, Kind], tuple[float, float]] = (
            OrderedDict()
        )

    def take(self, principal: Principal, kind: Kind) -> None:
        """Take one token.

        Raises:
            TooManyRequests: there is none; says when there will be one.
        """
        key = (principal.tenant, principal.subject, kind)
        now = self._monotonic()
        tokens, filled_at = self._buckets.pop(key, (float(self._burst), now))
        tokens = min(self._burst, tokens + (now - filled_at) * self._per_second)
        enough = tokens >= 1
        self._buckets[key] = (tokens - 1 if enough else tokens, now)
        if len(self._buckets) > _MOST_BUCKETS:
            self._buckets.popitem(last=False)
        if not enough:
            raise TooManyRequests(
                per_second=self._per_second,
                burst=self._burst,
                retry_after_seconds=max(1, math.ceil((1 - tokens) / self._per_second)),
            )


def limited(kind: Kind) -> Callable[[Request, CurrentPrincipal], Awaitable[None]]:
    """Return the FastAPI dependency that takes a token of ``kind`` for the request."""

    async def take(request: Request, principal: CurrentPrincipal) -> None:
        limiter: RateLimiter = request.app.state.rate_limiter
        limiter.take(principal, kind)

    return take
