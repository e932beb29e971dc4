"""A queue of exports in front of places to run them, simulated request by request (M/G/c).

Requests come at random (Poisson), of a mixture of kinds; the first in the queue takes the first
place that is free. A kind's service time is drawn from what was measured of it, so that nothing is
assumed of its distribution. Where several shared a place, each has kept it for its part of the
time; that they begin together and end later is not simulated, only how many a place gets done.
"""

from __future__ import annotations

import heapq
import math
import random
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Final

_REQUESTS: Final = 20_000
_WARM_UP: Final = 0.1
"""The share of requests at the beginning that are not counted: the queue is empty then."""
_MOST_PLACES: Final = 100_000


@dataclass(frozen=True, slots=True)
class Load:
    """One kind of exports: its share of the requests, and seconds that such exports took.

    ``held``: for each of ``seconds``, how much of its place it had, which is less where small
    exports shared one; the same where none is given.
    """

    name: str
    share: float
    seconds: tuple[float, ...]
    held: tuple[float, ...] = ()

    @property
    def mean_held(self) -> float:
        """How long one of them keeps a place on average."""
        held = self.held or self.seconds
        return sum(held) / len(held)


@dataclass(frozen=True, slots=True)
class Request:
    """A request ``at`` so many seconds from the beginning, for an export that takes ``seconds``
    and keeps a place for as long as ``held``."""

    at: float
    load: Load
    seconds: float
    held: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a number of places comes to.

    Attributes:
        places: exports at a time, of all workers together.
        busy: the share of them that works, 0 to 1; 1 and above: the queue grows without end.
        waiting_p50, waiting_p95, waiting_p99: seconds from a request to its first attempt.
        total_p95: seconds from a request to its file.
        within_slo: the share of requests whose file is there within the SLO.
    """

    places: int
    busy: float
    waiting_p50: float
    waiting_p95: float
    waiting_p99: float
    total_p95: float
    within_slo: float


def offered(rate: float, loads: Sequence[Load]) -> float:
    """Return how many places are busy on average: the least there must be more of."""
    shares = sum(load.share for load in loads)
    return rate * sum(load.share / shares * load.mean_held for load in loads)


def requests_of(rate: float, loads: Sequence[Load], *, seed: int = 1) -> Iterator[Request]:
    """Yield requests that come at random, ``rate`` a second; the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - reproducible on purpose
    steps = list(accumulate(load.share for load in loads))
    now = 0.0
    while True:
        now += chance.expovariate(rate)
        load = loads[min(bisect(steps, chance.random() * steps[-1]), len(loads) - 1)]
        # One draw, however many seconds are known: the same requests, whatever they take.
        drawn = int(chance.random() * len(load.seconds))
        yield Request(now, load, load.seconds[drawn], (load.held or load.seconds)[drawn])


def simulate(
    rate: float,
    loads: Sequence[Load],
    places: int,
    *,
    slo_seconds: float,
    seed: int = 1,
    requests: int = _REQUESTS,
) -> Forecast:
    """Return what ``places`` come to at ``rate`` requests a second; the same for the same seed."""
    free_at = [0.0] * places
    waits, totals = [], []
    for request in islice(requests_of(rate, loads, seed=seed), requests):
        began = max(request.at, free_at[0])
        heapq.heapreplace(free_at, began + request.held)
        waits.append(began - request.at)
        totals.append(began - request.at + request.seconds)
    counted = round(requests * _WARM_UP)
    waits, totals = sorted(waits[counted:]), sorted(totals[counted:])
    return Forecast(
        places=places,
        busy=offered(rate, loads) / places,
        waiting_p50=percentile(waits, 0.50),
        waiting_p95=percentile(waits, 0.95),
        waiting_p99=percentile(waits, 0.99),
        total_p95=percentile(totals, 0.95),
        within_slo=bisect(totals, slo_seconds) / len(totals),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` of ordered values lie (nearest rank)."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def places_for(
    rate: float, loads: Sequence[Load], *, slo_seconds: float, share: float, seed: int = 1
) -> Forecast | None:
    """Return the least places with which ``share`` of the requests keep to the SLO; ``None`` if no
    number does, as the exports themselves take longer."""
    least = max(math.floor(offered(rate, loads)) + 1, 1)

    def forecast(places: int) -> Forecast:
        return simulate(rate, loads, places, slo_seconds=slo_seconds, seed=seed)

    low, high = least, least
    while (found := forecast(high)).within_slo < share:
        if found.waiting_p99 == 0.0 or high >= _MOST_PLACES:
            return None  # nobody waits any more, and it is not enough
        low, high = high + 1, high * 2
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if forecast(middle).within_slo >= share else (middle + 1, high)
    return forecast(high)
