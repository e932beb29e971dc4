"""When a failed delivery is tried again. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

# The example schedule of Standard Webhooks 1.0: ten attempts over three days.
RETRY_SECONDS = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
RETRY_JITTER = 0.2

# A receiver may ask for patience, not for oblivion.
_MAX_RETRY_AFTER_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Delays between attempts.

    Args:
        delays_seconds: the wait after the first, second, … attempt.
        jitter: each wait is moved at random by up to this share, so that a receiver that came
            back is not met by every message at once.
        draw: a number from 0 to 1.
    """

    delays_seconds: tuple[float, ...] = RETRY_SECONDS
    jitter: float = RETRY_JITTER
    draw: Callable[[], float] = random.random

    @property
    def max_attempts(self) -> int:
        return len(self.delays_seconds) + 1

    def delay_seconds(
        self, attempt: int, *, retry_after_seconds: float | None = None
    ) -> float | None:
        """Return the wait after the failed attempt number ``attempt`` (from 1); ``None``: it was
        the last."""
        if attempt >= self.max_attempts:
            return None
        delay = self.delays_seconds[attempt - 1] * (1 + self.jitter * (2 * self.draw() - 1))
        if retry_after_seconds is None:
            return delay
        return max(delay, min(retry_after_seconds, _MAX_RETRY_AFTER_SECONDS))


def parse_retry_after(value: str | None, *, now: datetime) -> float | None:
    """Return the seconds a ``Retry-After`` header asks for (RFC 9110, 10.2.3); ``None`` when it
    asks for nothing sensible."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        return None
    return max(0.0, (moment - now).total_seconds())
