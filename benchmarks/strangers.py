"""What 1,000 half-sent requests and 1,000 bad tokens cost: the API's memory, rows of the audit
trail, and what an honest caller waits, before, during and after. Traffic to 127.0.0.1 only.

    python benchmarks/strangers.py [--write]      # --write: into docs/security.md
"""

from __future__ import annotations

import argparse
import contextlib
import re
import socket
import statistics
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg

from waybill.local.sample import sample_catalog_toml
from waybill.local.service_stack import settings_of
from waybill.local.services import ServiceProcesses
from waybill.local.stack import LocalStack
from waybill.migrations.run import migrate

ATTACKS = 1_000
HONEST = 60
TOKEN = "honest"  # noqa: S105 - of a service that lives for a minute
HEAD_SECONDS = 10.0
ATTACKER = "127.0.0.2"
PAGE = Path(__file__).parents[1] / "docs" / "security.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        LocalStack(Path(directory), fast=True) as stack,
    ):
        migrate(settings_of(stack))
        catalog = Path(directory) / "catalog.toml"
        catalog.write_text(sample_catalog_toml())
        processes = ServiceProcesses(
            {
                **stack.as_environment(),
                "WAYBILL_CATALOG": str(catalog),
                "WAYBILL_DEVELOPMENT_TOKEN": TOKEN,
                "WAYBILL_HEAD_SECONDS": str(HEAD_SECONDS),
                # The honest caller asks faster than a person does.
                "WAYBILL_REQUESTS_PER_SECOND": "1000",
                "WAYBILL_ADDRESS_REQUESTS_BURST": str(5 * ATTACKS),
            },
            log_dir=stack.log_dir,
            guard=stack.guard,
        )
        try:
            processes.start_api()
            table = measure(processes, stack.addresses.postgres_dsn)
        finally:
            processes.stop()
    print(table)
    if arguments.write:
        text = re.sub(
            r"(<!-- strangers:begin -->\n).*?(<!-- strangers:end -->)",
            lambda match: f"{match[1]}{table}{match[2]}",
            PAGE.read_text(encoding="utf-8"),
            flags=re.DOTALL,
        )
        PAGE.write_text(text, encoding="utf-8")


def measure(processes: ServiceProcesses, dsn: str) -> str:
    api = psutil.Process(processes.api.pid)
    rows: list[tuple[str, float, int, float, float]] = []

    def note(what: str) -> None:
        times = sorted(honest(processes.url))
        memory = api.memory_info().rss / 2**20
        p95 = times[int(len(times) * 0.95)]
        rows.append((what, memory, audit_rows(dsn), statistics.median(times) * 1e3, p95 * 1e3))

    honest(processes.url)  # warm
    note("before")
    with contextlib.ExitStack() as held:
        for _ in range(ATTACKS):
            connection = held.enter_context(connect(processes.url))
            connection.sendall(b"GET /api/exports HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ")
        note(f"while {ATTACKS:,} half-sent requests are open")
        time.sleep(HEAD_SECONDS + 2)
        note("after their time was up")
    transport = httpx.HTTPTransport(local_address=ATTACKER)
    with httpx.Client(base_url=processes.url, transport=transport) as client:
        for number in range(ATTACKS):
            bad = client.get("/api/exports", headers={"Authorization": f"Bearer bad-{number}"})
            assert bad.status_code == httpx.codes.UNAUTHORIZED
    note(f"after {ATTACKS:,} bad tokens")
    lines = [
        "| | memory of the API | audit rows of strangers | honest caller, median | p95 |",
        "|---|---|---|---|---|",
        *(f"| {w} | {m:.0f} MiB | {a} | {t:.1f} ms | {p:.1f} ms |" for w, m, a, t, p in rows),
        "",
        f"`python benchmarks/strangers.py`, on {psutil.cpu_count()} processors that others used "
        "at the same time.",
        "",
    ]
    return "\n".join(lines)


def honest(url: str) -> list[float]:
    times = []
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        for _ in range(HONEST):
            began = time.perf_counter()
            client.get("/api/exports", timeout=30).raise_for_status()
            times.append(time.perf_counter() - began)
    return times


def connect(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection(
        (str(address.hostname), int(address.port or 0)), timeout=30, source_address=(ATTACKER, 0)
    )


def audit_rows(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM audit_events WHERE actor IS NULL").fetchone()
    assert row is not None
    return int(row[0])


if __name__ == "__main__":
    main()
