"""What it costs to be watched: small jobs with nothing, scraped every 5 s, and traced.

    python benchmarks/watching.py [--jobs N] [--rounds N] [--rows N]

All in one run, by turns, each service with the same stack. ``traced`` sends every span of every job
to a collector that takes them. Seconds mean little on a busy machine; CPU seconds a job mean more.
The last line is ``watching: …``.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import psycopg
from measure import CpuMeter
from serving import Served, load_of_others, serving

from waybill.local.ports import LOOPBACK, draw_free_port
from waybill.local.sample import create_users
from waybill.local.stack import LocalStack

_CATALOG = """
[exports.users]
table = "public.users"
key = "id"
"""
_SCRAPE_SECONDS = 5.0
_POLL_SECONDS = 0.05
_WARM_JOBS = 10
_MODES = ("nothing", "scraped", "traced", "both")


def main() -> int:
    """Measure and print. Returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--rows", type=int, default=1_000)
    given = parser.parse_args()
    rates: dict[str, list[float]] = {mode: [] for mode in _MODES}
    costs: dict[str, list[float]] = {mode: [] for mode in _MODES}
    with tempfile.TemporaryDirectory(prefix="waybill-watching-") as name:
        directory = Path(name)
        with LocalStack(directory / "stack", fast=True) as stack, _collector() as (url, taken):
            create_users(stack.addresses.postgres_dsn, given.rows)
            for turn in range(given.rounds):
                for mode in _MODES if turn % 2 == 0 else reversed(_MODES):
                    rate, cost = _run(stack, directory, mode, given.jobs, url)
                    rates[mode].append(rate)
                    costs[mode].append(cost)
                    print(
                        f"  {mode:8} {rate:6.1f} jobs/s, {cost:6.1f} ms CPU a job; "
                        f"{load_of_others()}",
                        flush=True,
                    )
    if not taken:
        raise RuntimeError("No span arrived.")
    print(f"watching: {', '.join(_line(mode, rates, costs) for mode in _MODES)}")
    return 0


def _line(mode: str, rates: dict[str, list[float]], costs: dict[str, list[float]]) -> str:
    rate, cost = statistics.median(rates[mode]), statistics.median(costs[mode])
    than = statistics.median(costs["nothing"])
    return f"{mode} {rate:.1f} jobs/s and {cost:.1f} ms CPU a job ({cost / than - 1:+.1%})"


def _run(
    stack: LocalStack, directory: Path, mode: str, jobs: int, collector: str
) -> tuple[float, float]:
    """Return jobs a second, and milliseconds of CPU of API and worker for each."""
    is_scraped, is_traced = mode in {"scraped", "both"}, mode in {"traced", "both"}
    ports = {name: draw_free_port() for name in ("api", "worker", "scheduler")}
    settings = {"WAYBILL_TRACES_ENDPOINT": collector} if is_traced else {}
    dsn = stack.addresses.postgres_dsn
    with (
        serving(
            stack, directory, _CATALOG, concurrency=2,
            metrics_ports=ports if is_scraped else None, **settings,
        ) as served,
        psycopg.connect(dsn, autocommit=True) as connection,
        _scraping(list(ports.values()) if is_scraped else []),
    ):  # fmt: skip
        connection.execute("TRUNCATE export_jobs CASCADE")
        _ask(served, connection, range(_WARM_JOBS))
        processes = served.processes
        meter = CpuMeter({"api": [processes.api.pid], "worker": [processes.worker.pid]})
        began = time.perf_counter()
        _ask(served, connection, range(_WARM_JOBS, _WARM_JOBS + jobs))
        seconds = time.perf_counter() - began
        return jobs / seconds, 1_000 * sum(meter.stop().values()) / jobs


def _ask(
    served: Served, connection: psycopg.Connection[tuple[object, ...]], numbers: range
) -> None:
    for number in numbers:
        served.request("users", number)
    question = "SELECT count(*) FROM export_jobs WHERE status <> 'completed'"
    while connection.execute(question).fetchone() != (0,):
        time.sleep(_POLL_SECONDS)


@contextlib.contextmanager
def _scraping(ports: list[int]) -> Iterator[None]:
    over = threading.Event()

    def scrape() -> None:
        with httpx.Client() as http:
            while not over.is_set():
                for port in ports:
                    http.get(f"http://{LOOPBACK}:{port}/metrics").raise_for_status()
                over.wait(_SCRAPE_SECONDS)

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def _collector() -> Iterator[tuple[str, list[int]]]:
    """Take whatever is sent; the sizes of what was."""
    taken: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(len(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}/v1/traces", taken
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    sys.exit(main())
