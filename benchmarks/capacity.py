"""Hold the capacity model against real exports, with one and with two workers.

    python benchmarks/capacity.py [--requests N] [--busy 0.7] [--workers 1 2]

For each number of workers: exports are kept waiting, so that all places are busy, and what they
take is read from waybill's own history, as `waybill capacity` does; so is their throughput. Then
requests come at random, those of the simulation, one by one at the same instants and of the same
kinds, and how long they wait is held against what the simulation says of them. Exports wait for a
source that sleeps, so that a processor that others use changes little. The last line is
``capacity: …``; the status is 1 if anything is off by more than 15 %.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import psycopg
from serving import Served, load_of_others, serving

from waybill.capacity.measured import measured_loads
from waybill.capacity.simulation import Load, offered, percentile, requests_of, simulate
from waybill.local.stack import LocalStack

_KINDS = {"short": (0.2, 6), "middle": (0.7, 3), "long": (2.0, 1)}
"""Seconds that the source sleeps for an export, and their shares of requests."""
_TYPE = """
[exports.{name}]
query = "SELECT n AS id FROM generate_series(1, 1000) AS n, (SELECT pg_sleep({seconds})) AS slept"
key = "id"
"""
_MOST_OFF = 0.15
_POLL_SECONDS = 0.2
_SATURATED_SHARE = 0.5
"""How many of the requests are made to learn what exports take."""


@dataclasses.dataclass(frozen=True, slots=True)
class Compared:
    """One figure, as the model has it and as it was."""

    name: str
    model: float
    measured: float

    @property
    def off(self) -> float:
        return self.measured / self.model - 1

    def __str__(self) -> str:
        return (
            f"{self.name}: model {self.model:.2f}, measured {self.measured:.2f} ({self.off:+.0%})"
        )


def main() -> int:
    """Measure and print. Returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--busy", type=float, default=0.7, help="the share of places that work")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    catalog = "".join(_TYPE.format(name=k, seconds=v) for k, (v, _) in _KINDS.items())
    found: list[Compared] = []
    with tempfile.TemporaryDirectory(prefix="waybill-capacity-") as name:
        directory = Path(name)
        with LocalStack(directory / "stack", fast=True) as stack:
            dsn = stack.addresses.postgres_dsn
            for workers in given.workers:
                # A place each: a worker is a process here, which makes no difference to a queue.
                with serving(stack, directory, catalog, concurrency=workers) as served:
                    found += _compare(served, dsn, workers, given.requests, given.busy)
    worst = max(abs(each.off) for each in found)
    print(f"capacity: {'; '.join(map(str, found))}; worst {worst:.0%}, at most {_MOST_OFF:.0%}")
    return int(worst > _MOST_OFF)


def _compare(served: Served, dsn: str, workers: int, requests: int, busy: float) -> list[Compared]:
    shares = [Load(name, share, (seconds,)) for name, (seconds, share) in _KINDS.items()]
    with psycopg.connect(dsn, autocommit=True) as connection:
        _forget(connection)
        learnt = islice(requests_of(1.0, shares, seed=2), round(requests * _SATURATED_SHARE))
        kinds = [request.load.name for request in learnt]
        for number, kind in enumerate(kinds):
            served.request(kind, number)
        _wait_for_all(connection)
        ((first, last),) = connection.execute(
            "SELECT min(extract(epoch FROM started_at)), max(extract(epoch FROM ended_at))"
            " FROM export_attempts"
        )
        loads = _loads(dsn)
        seconds = sum(sum(load.held or load.seconds) for load in loads)
        throughput = Compared(
            f"{workers} exports a second",
            len(kinds) * workers / seconds,
            len(kinds) / float(last - first),
        )
        print(f"  {throughput}; {load_of_others()}", flush=True)
        rate = busy * workers / offered(1.0, loads)
        forecast = simulate(rate, loads, workers, slo_seconds=60, requests=requests)
        _forget(connection)
        waits = _waits(served, connection, loads, rate, requests)
        waiting = Compared(
            f"{workers} p95 of waiting", forecast.waiting_p95, percentile(waits, 0.95)
        )
        print(f"  {waiting}, at {rate:.2f} a second; {load_of_others()}", flush=True)
        # What else used the machine may have changed what exports take.
        then = _loads(dsn)
        took = offered(1.0, then) / offered(1.0, loads) - 1
        forecast = simulate(rate, then, workers, slo_seconds=60, requests=requests)
        print(
            f"    exports took {took:+.0%} then; the model of that: {forecast.waiting_p95:.2f}",
            flush=True,
        )
    return [throughput, waiting]


def _loads(dsn: str) -> list[Load]:
    """Return what exports took, as `waybill capacity` reads it, with the shares that requests have,
    not those that came of so few."""
    found = {load.name.partition(".")[0]: load for load in measured_loads(dsn, days=1)}
    return [
        dataclasses.replace(found[name], name=name, share=share)
        for name, (_, share) in _KINDS.items()
    ]


def _waits(
    served: Served,
    connection: psycopg.Connection[tuple[object, ...]],
    loads: Sequence[Load],
    rate: float,
    requests: int,
) -> list[float]:
    """Make the simulation's requests, and return how long they waited, in order."""
    began = time.monotonic()
    made = []
    for number, request in enumerate(islice(requests_of(rate, loads), requests)):
        time.sleep(max(began + request.at - time.monotonic(), 0))
        made.append(served.request(request.load.name, number))
    _wait_for_all(connection)
    rows = connection.execute(
        "SELECT extract(epoch FROM a.started_at - j.created_at)::float8"
        " FROM export_attempts AS a JOIN export_jobs AS j ON j.id = a.export_id"
        " WHERE j.id = ANY (%s)",
        [made[round(len(made) * 0.1) :]],  # as the simulation: the queue is empty at the beginning
    ).fetchall()
    return sorted(float(str(wait)) for (wait,) in rows)


def _forget(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Let what was before count for nothing."""
    connection.execute("TRUNCATE export_jobs CASCADE")


def _wait_for_all(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    question = (
        "SELECT count(*) FILTER (WHERE status IN ('queued', 'running')),"
        " count(*) FILTER (WHERE status = 'failed') FROM export_jobs"
    )
    while (found := connection.execute(question).fetchone()) != (0, 0):
        if found is not None and found[1]:
            raise RuntimeError("Exports failed.")
        time.sleep(_POLL_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
