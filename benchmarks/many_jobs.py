"""Many small exports at once, from one client that keeps its connection.

    python benchmarks/many_jobs.py CHECKOUT --rows 1000 --concurrency 2 --rounds 3

As a script it measures the release that lies in CHECKOUT, with that release's own stack and
service, and prints one line of JSON a round. What asks is the same for every release: a client of
its own for each request would load certificates and connect each time (30 ms of CPU), and two
workers would wait for it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

JOBS = 60
# Seldom: to look costs the API 5 ms, which would be counted.
_LOOK_SECONDS = 0.2


def many_jobs(house: Any, rows: int, concurrency: int) -> dict[str, Any]:
    """Request ``JOBS`` exports, wait until the last is completed, and delete them.

    Args:
        house: the ``House`` of the release that is measured.
        rows: of each export.
        concurrency: worker processes.

    Returns:
        ``seconds`` from the first request to the last completed, and ``cpu``: seconds by process.

    Raises:
        RuntimeError: an export failed.
    """
    endpoint = house.service(concurrency).endpoint
    headers = {"Authorization": f"Bearer {endpoint.token}"}
    with httpx.Client(base_url=endpoint.url, headers=headers, timeout=30) as client:
        # The first request connects.
        client.get("/api/exports").raise_for_status()
        cpu = house.meter()
        started = time.perf_counter()
        # Told apart by an option: equal requests of one person would be one job.
        waiting = [
            _job_of(
                client.post(
                    f"/api/users-{rows}/export", json={"options": {"null_text": f"none {number}"}}
                )
            )
            for number in range(JOBS)
        ]
        asked = list(waiting)
        # The last is looked at alone until it is over: the others then are, or nearly.
        while waiting:
            status = client.get(waiting[-1]).raise_for_status().json()["status"]
            if status == "completed":
                waiting.pop()
            elif status in {"queued", "running"}:
                time.sleep(_LOOK_SECONDS)
            else:
                raise RuntimeError(f"{waiting[-1]} is {status}.")
        seconds = time.perf_counter() - started
        used = cpu.stop()
        for job in asked:
            client.delete(job).raise_for_status()
    return {"seconds": seconds, "cpu": used}


def _job_of(answer: httpx.Response) -> str:
    return str(answer.raise_for_status().headers["location"])


def main() -> None:
    """Measure the release in a checkout, and print each round."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--concurrency", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    root = arguments.checkout.resolve()
    sys.path.insert(0, str(root / "benchmarks"))
    from house import House

    parent = root / ".waybill"
    parent.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="many-", dir=parent) as directory,
        House.opened(Path(directory), (arguments.rows,)) as house,
    ):
        house.table(arguments.rows)
        # Not counted: imports, first connections, prepared statements.
        many_jobs(house, arguments.rows, arguments.concurrency)
        for _ in range(arguments.rounds):
            measured = many_jobs(house, arguments.rows, arguments.concurrency)
            print(json.dumps(measured), flush=True)


if __name__ == "__main__":
    main()
