"""Token buckets: how fast something may happen, for each key, in bounded memory."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

from waybill.errors import TooManyRequests

_MOST_BUCKETS: Final = 10_000
"""Beyond it the bucket that was longest unused is forgotten, which makes it a full one."""


class TokenBuckets:
    """A bucket for each key.

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
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: Hashable) -> None:
        """Take one token.

        Raises:
            TooManyRequests: there is none; says when there will be one.
        """
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
