"""``make bench``: the service's job against ``psql \\copy``, and the worker's memory by size.

python benchmarks/run.py [--users 100000] [--runs 5] [--large-users 2000000]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent))

from environment import describe
from measure import Summary, peak_mib, process_tree

from waybill.client import ExportClient
from waybill.local.sample import create_users
from waybill.local.service_stack import RunningService, running_service
from waybill.local.stack import LocalStack

RESULTS = Path(__file__).parent / "results" / "latest.json"
CATALOG = """
[exports.users]
table = "public.users"
key = "id"
deadline_seconds = 600

[exports.users-large]
table = "public.users_large"
key = "id"
deadline_seconds = 600
"""

console = Console(stderr=True, highlight=False)


def main() -> None:
    """Measure and write the results."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="waybill-bench-") as directory:
        results = _measure(Path(directory), arguments)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({"ratios": results["ratios"], "memory": results["memory"]}, indent=2))
    print(f"written to {RESULTS}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--large-users", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=5)
    return parser.parse_args()


def _measure(directory: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    catalog = directory / "waybill.toml"
    catalog.write_text(CATALOG, encoding="utf-8")
    environment = describe()
    with LocalStack(directory / "stack") as stack:
        dsn = stack.addresses.postgres_dsn
        console.print(f"Making {arguments.users:,} and {arguments.large_users:,} users ...")
        create_users(dsn, arguments.users)
        create_users(dsn, arguments.large_users, table="users_large")
        with running_service(stack, catalog=str(catalog), concurrency=1) as service:
            seconds = _alternate(service, stack, directory, arguments)
            memory_small = _worker_memory(service)
        # A process's peak never falls, so each size gets a worker of its own.
        with running_service(stack, catalog=str(catalog), concurrency=1) as service:
            large_seconds = _job(service, "users-large")
            memory_large = _worker_memory(service)
    summaries = {name: Summary.of(values) for name, values in seconds.items()}
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": environment,
        "users": arguments.users,
        "large_users": arguments.large_users,
        "seconds": {name: summary.as_json() for name, summary in summaries.items()},
        "job_large_seconds": round(large_seconds, 3),
        "runs": seconds,
        "memory": {"small": memory_small, "large": memory_large},
        "ratios": {
            "job_vs_psql_copy": round(summaries["job"].median / summaries["psql_copy"].median, 2),
            "memory_large_vs_small": round(
                memory_large["export_process_mib"] / memory_small["export_process_mib"], 3
            ),
        },
    }


def _alternate(
    service: RunningService, stack: LocalStack, directory: Path, arguments: argparse.Namespace
) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {"job": [], "psql_copy": []}
    _job(service, "users")  # the first run of each pays for caches that no later one does
    _psql_copy(stack, directory)
    for run in range(1, arguments.runs + 1):
        seconds["job"].append(_job(service, "users"))
        seconds["psql_copy"].append(_psql_copy(stack, directory))
        console.print(
            f"run {run}: job {seconds['job'][-1]:.2f} s, psql {seconds['psql_copy'][-1]:.2f} s"
        )
    return seconds


def _job(service: RunningService, export_type: str) -> float:
    with ExportClient(service.endpoint.url, service.endpoint.token) as client:
        started = time.perf_counter()
        job = client.wait(client.request(export_type).id)
        seconds = time.perf_counter() - started
        client.discard(job.id)
    return seconds


def _psql_copy(stack: LocalStack, directory: Path) -> float:
    target = directory / "psql.csv"
    started = time.perf_counter()
    subprocess.run(
        [
            stack.client_binary("psql"),
            "--quiet",
            stack.addresses.postgres_dsn,
            "--command",
            f"\\copy public.users to '{target}' with (format csv, header)",
        ],
        check=True,
    )
    seconds = time.perf_counter() - started
    target.unlink()
    return seconds


def _worker_memory(service: RunningService) -> dict[str, float]:
    """The peaks of the process that runs exports, and of the whole worker (parent and child;
    pages they share count twice)."""
    peaks = [peak_mib(pid) for pid in process_tree(service.processes.worker.pid)]
    return {"export_process_mib": max(peaks), "worker_sum_mib": round(sum(peaks), 1)}


if __name__ == "__main__":
    main()
