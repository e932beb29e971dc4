"""A service with settings of a measurement's own, and what asks it for exports."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from waybill.local.service_stack import settings_of
from waybill.local.services import ServiceProcesses
from waybill.local.stack import LocalStack
from waybill.migrations.run import migrate

TOKEN = "benchmark-token"  # noqa: S105 - of a service on loopback, for as long as a run


@dataclass(frozen=True)
class Served:
    """A running service."""

    processes: ServiceProcesses
    http: httpx.Client

    def request(self, export_type: str, number: int = 0) -> str:
        """Request an export and return its id. Equal requests of one person would be one export:
        ``number`` tells them apart, by an option that changes no file."""
        answer = self.http.post(
            f"/api/{export_type}/export",
            json={"format": "csv", "options": {"null_text": f"none {number}"}},
        )
        return str(answer.raise_for_status().json()["id"])


@contextlib.contextmanager
def serving(
    stack: LocalStack,
    directory: Path,
    catalog: str,
    *,
    concurrency: int = 1,
    metrics_ports: Mapping[str, int] | None = None,
    **settings: str,
) -> Iterator[Served]:
    """Run API, worker and scheduler on a running ``stack`` for the block."""
    path = directory / "waybill.toml"
    path.write_text(catalog, encoding="utf-8")
    migrate(settings_of(stack))
    environment = {
        **stack.as_environment(),
        "WAYBILL_CATALOG": str(path),
        "WAYBILL_DEVELOPMENT_TOKEN": TOKEN,
        "WAYBILL_QUOTA_PER_DAY": "unlimited",
        "WAYBILL_REQUESTS_PER_SECOND": "100000",
        "WAYBILL_REQUESTS_BURST": "100000",
        "WAYBILL_ADDRESS_REQUESTS_PER_SECOND": "100000",
        "WAYBILL_ADDRESS_REQUESTS_BURST": "100000",
        **settings,
    }
    processes = ServiceProcesses(
        environment,
        log_dir=stack.log_dir,
        guard=stack.guard,
        concurrency=concurrency,
        metrics_ports=metrics_ports,
    )
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with processes, httpx.Client(base_url=processes.url, headers=headers, timeout=60) as http:
        yield Served(processes, http)


def load_of_others() -> str:
    """Return the machine's load of the last minute and its processors, to be printed beside
    figures."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
