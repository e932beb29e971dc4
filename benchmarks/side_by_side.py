"""Small jobs side by side in a worker's process, with S3 at a distance.

    python benchmarks/side_by_side.py [--together 1,4] [--delays 0,10] [--source-too]
                                      [--rows 1000] [--jobs 60] [--concurrency 2] [--rounds 3]

Each number of ``--together`` (``WAYBILL_SMALL_JOBS_TOGETHER``) by turns in each round, for each of
``--delays``: milliseconds that every byte to S3 takes on its way there, and on its way back;
``--source-too`` has those to the source take as long. The worker rests (SIGSTOP) while the jobs are
requested, by several threads, so that neither they nor the API are what is measured: it is the time
from when the worker may go on to the end of the last job, and CPU ms a job. ``model``: what
``waybill capacity`` makes of that history, as a rate.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
from measure import CpuMeter, process_tree
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from serving import Served, load_of_others, serving

from waybill.capacity.measured import measured_loads
from waybill.capacity.simulation import offered
from waybill.local.faults.tcp_proxy import TcpProxy
from waybill.local.sample import create_users
from waybill.local.stack import LocalStack

_CATALOG = """
[exports.users]
table = "public.users"
key = "id"
"""
_THREADS = 4
_POLL_SECONDS = 0.05
_AFTER_SECONDS = 1.5
_READ_BYTES = 64 * 1024


class Distance(TcpProxy):
    """A line on which every byte takes as long, however many are under way."""

    def __init__(self, target_port: int, seconds: float) -> None:
        super().__init__(target_port)
        self._seconds = seconds

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_server: bool
    ) -> None:
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def send() -> None:
            while True:
                due_at, data = await under_way.get()
                await asyncio.sleep(due_at - loop.time())
                if not data:
                    with contextlib.suppress(OSError):
                        writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()

        async def read() -> None:
            while True:
                data = await reader.read(_READ_BYTES)
                under_way.put_nowait((loop.time() + self._seconds, data))
                if not data:
                    return

        await asyncio.gather(read(), send())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--together", default="1,4")
    parser.add_argument("--delays", default="0,10")
    parser.add_argument("--source-too", action="store_true")
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--jobs", type=int, default=60)
    parser.add_argument("--concurrency", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    togethers = [int(each) for each in given.together.split(",")]
    with (
        tempfile.TemporaryDirectory(prefix="side-by-side-") as directory,
        LocalStack(Path(directory) / "stack") as stack,
    ):
        create_users(stack.addresses.postgres_dsn, given.rows)
        for delay in (float(each) for each in given.delays.split(",")):
            seconds: dict[int, list[float]] = {each: [] for each in togethers}
            cpu: dict[int, list[dict[str, float]]] = {each: [] for each in togethers}
            model: dict[int, list[float]] = {each: [] for each in togethers}
            for _ in range(given.rounds):
                for together in togethers:
                    with (
                        _away(stack, delay / 1000, with_source=given.source_too) as settings,
                        serving(
                            stack, Path(directory), _CATALOG, concurrency=given.concurrency,
                            WAYBILL_SMALL_JOBS_TOGETHER=str(together), **settings,
                        ) as served,
                    ):  # fmt: skip
                        _burst(served, stack, given.jobs)  # imports, connections, statements
                        with psycopg.connect(stack.addresses.postgres_dsn) as database:
                            database.execute("TRUNCATE waybill.export_jobs CASCADE")
                        took, used = _burst(served, stack, given.jobs)
                        loads = measured_loads(stack.addresses.postgres_dsn, days=1)
                        model[together].append(given.concurrency / offered(1.0, loads))
                    seconds[together].append(took)
                    cpu[together].append(
                        {name: 1000 * each / given.jobs for name, each in used.items()}
                    )
            for together in togethers:
                _print(delay, together, given.jobs, seconds[together], cpu[together])
                print(f"    model: {statistics.median(model[together]):.1f} jobs/s", flush=True)


@contextlib.contextmanager
def _away(stack: LocalStack, delay: float, *, with_source: bool) -> Iterator[dict[str, str]]:
    """Put S3, and perhaps the source, at a distance for the block."""
    if not delay:
        yield {}
        return
    base, _, port = stack.addresses.s3_endpoint_url.rpartition(":")
    source = stack.addresses.source_dsn or stack.addresses.postgres_dsn
    source_port = int(str(conninfo_to_dict(source)["port"]))
    with Distance(int(port), delay) as s3, Distance(source_port, delay) as postgres:
        settings = {"WAYBILL_S3_ENDPOINT_URL": f"{base}:{s3.port}"}
        if with_source:
            settings["WAYBILL_SOURCE_DSN"] = make_conninfo(source, port=postgres.port)
        yield settings


def _burst(served: Served, stack: LocalStack, jobs: int) -> tuple[float, dict[str, float]]:
    """Request ``jobs`` while the worker rests; return how long it takes for them, and CPU s."""
    worker = served.processes.worker.pid
    tree = process_tree(worker)
    for process in tree:
        process.suspend()
    first = time.time_ns()  # equal requests would be one job
    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(lambda number: served.request("users", first + number), range(jobs)))
    meter = CpuMeter(
        {
            "worker": [worker],
            "postgres": [stack.postgres.process.pid],
            "s3": [stack.seaweedfs.process.pid],
        }
    )
    with psycopg.connect(stack.addresses.postgres_dsn, autocommit=True) as database:
        started = time.perf_counter()
        for process in tree:
            process.resume()
        while _count(database, "status IN ('queued', 'running')"):
            time.sleep(_POLL_SECONDS)
        took = time.perf_counter() - started
        # The messages of jobs that were taken along are answered now, and cost something too.
        time.sleep(_AFTER_SECONDS)
        used = meter.stop()
        if lost := _count(database, "status <> 'completed' OR attempt <> 1"):
            raise SystemExit(f"{lost} jobs were not completed by their first attempt")
    return took, used


def _count(database: psycopg.Connection[tuple[int]], condition: str) -> int:
    row = database.execute(
        f"SELECT count(*) FROM waybill.export_jobs WHERE {condition}".encode()
    ).fetchone()
    return 0 if row is None else row[0]


def _print(
    delay: float, together: int, jobs: int, seconds: list[float], cpu: list[dict[str, float]]
) -> None:
    rates = sorted(jobs / each for each in seconds)
    figures = ", ".join(
        f"{name} {statistics.median(each[name] for each in cpu):.1f}" for name in cpu[0]
    )
    print(
        f"delay {delay:g} ms, together {together}: {statistics.median(rates):.1f} jobs/s "
        f"({rates[0]:.1f} to {rates[-1]:.1f}); ms CPU a job: {figures}; {load_of_others()}",
        flush=True,
    )


if __name__ == "__main__":
    main()
