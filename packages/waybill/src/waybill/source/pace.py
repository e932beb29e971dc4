"""Keeps to what a type's ``polite`` and its source's ``together`` say while rows are read: no
faster than that, and not at all while the source is under pressure.

Rows that are not taken stay where they are: PostgreSQL's COPY waits when nobody reads from its
connection. It holds its snapshot meanwhile, so pauses are paid for with rows that VACUUM must keep.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from waybill.catalog.politeness import NOT_LIMITED, Politeness
from waybill.errors import DeadlineExceeded, HeldBack
from waybill.log import get_logger
from waybill.run_control import POLL_SECONDS
from waybill.source.copy_chunk import CopyChunk

log = get_logger(__name__)

GAUGE_SECONDS: Final = 10.0
"""How often a source is asked how it is while it is read, and while an export stands back."""
_WORTH_SAYING_SECONDS: Final = 1.0

Gauge = Callable[[], "str | None"]
"""Says why the source is under pressure, in a few words; ``None``: it is not."""


class Pace:
    """The pace of one reading. For one thread.

    Args:
        politeness: what to keep to.
        check: called while waiting; stops the wait by raising.
        gauge: asks the source how it is.
        together: the rate of all who read the source.
        sharers: how many those are at the moment, with this one.
        clock, sleep: the time, in seconds.
    """

    def __init__(
        self,
        politeness: Politeness,
        check: Callable[[], None],
        gauge: Gauge,
        *,
        together: Politeness = NOT_LIMITED,
        sharers: Callable[[], int] = lambda: 1,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._politeness = politeness
        self._check = check
        self._gauge = gauge
        self._together = together
        self._sharers = sharers
        self._clock = clock
        self._sleep = sleep
        self._next_at = self._gauge_at = clock()
        self.waited_seconds = 0.0
        """How long the reading stood still so far."""

    def keep(self, chunks: Iterable[CopyChunk]) -> Iterator[CopyChunk]:
        """Yield ``chunks`` no faster than may be."""
        for chunk in chunks:
            yield chunk
            self._after(chunk)

    @contextlib.contextmanager
    def explaining(self) -> Iterator[None]:
        """Say of a deadline that passes in the block that time was spent waiting.

        Raises:
            HeldBack: instead of ``DeadlineExceeded``.
        """
        try:
            yield
        except DeadlineExceeded as exc:
            if self.waited_seconds < _WORTH_SAYING_SECONDS:
                raise
            raise HeldBack(exc.deadline_seconds, self.waited_seconds) from exc

    def _after(self, chunk: CopyChunk) -> None:
        if self._politeness.limits_rate or self._together.limits_rate:
            rows, size = chunk.rows, sum(map(len, chunk.messages))
            alone = self._politeness.seconds_for(rows=rows, bytes=size)
            shared = self._together.seconds_for(rows=rows, bytes=size) * self._sharers()
            # What was not read in time is not made up for later: that would be a burst.
            self._next_at = max(self._next_at, self._clock()) + max(alone, shared)
            self._wait_until(self._next_at)
        if self._politeness.heeds_pressure and self._clock() >= self._gauge_at + GAUGE_SECONDS:
            self._stand_back()

    def _stand_back(self) -> None:
        while (reason := self._gauge()) is not None:
            log.warning("source.under_pressure", reason=reason)
            self._wait_until(self._clock() + GAUGE_SECONDS)
        self._gauge_at = self._clock()

    def _wait_until(self, moment: float) -> None:
        while (left := moment - self._clock()) > 0:
            self._check()
            self._sleep(min(left, POLL_SECONDS))
            self.waited_seconds += min(left, POLL_SECONDS)
