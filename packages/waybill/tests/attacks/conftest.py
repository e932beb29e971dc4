"""A whole service to attack: real processes, of whose death a test would tell."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from waybill.local.services import ServiceProcesses
from waybill.local.stack import LocalStack
from waybill.local.testing import temporary_database

TOKEN = "attack-token"
_REDIS_DATABASE = 5


@dataclasses.dataclass(frozen=True)
class Target:
    """A running service, with what an attacker of its broker or its owner could reach."""

    processes: ServiceProcesses
    dsn: str = dataclasses.field(repr=False)
    redis_url: str = dataclasses.field(repr=False)

    @property
    def url(self) -> str:
        return self.processes.url

    def export(self, seconds: float = 60.0) -> None:
        """Export something honest, start to end."""
        with client_of(self) as client:
            job = client.post("/api/users/export").raise_for_status().headers["location"]
            wait_until(
                lambda: client.get(job).json()["status"] == "completed",
                "the honest export completes",
                seconds,
            )


StartTarget = Callable[..., contextlib.AbstractContextManager[Target]]


@pytest.fixture(scope="session")
def start_target(
    local_stack: LocalStack, template: str, tmp_path_factory: pytest.TempPathFactory
) -> StartTarget:
    """Start a service with settings of the test's own (``None`` unsets one), on a database of its
    own."""
    directory = tmp_path_factory.mktemp("attacks")
    catalog = directory / "waybill.toml"
    catalog.write_text('[exports.users]\ntable = "public.users"\nkey = "id"\n', encoding="utf-8")

    @contextlib.contextmanager
    def start(
        *,
        only_api: bool = False,
        metrics_ports: Mapping[str, int] | None = None,
        **settings: str | None,
    ) -> Iterator[Target]:
        with temporary_database(local_stack, template) as dsn:
            redis_url = local_stack.valkey.url(_REDIS_DATABASE)
            logs = Path(tempfile.mkdtemp(prefix="attack-", dir=directory))
            environment = {
                **local_stack.as_environment(),
                "WAYBILL_DATABASE_URL": dsn,
                "WAYBILL_SOURCE_DSN": dsn,
                "WAYBILL_REDIS_URL": redis_url,
                "WAYBILL_S3_PREFIX": logs.name,
                "WAYBILL_CATALOG": str(catalog),
                "WAYBILL_DEVELOPMENT_TOKEN": TOKEN,
                "WAYBILL_QUOTA_PER_DAY": "unlimited",
                # How fast this machine is decides no test: those about rates set their own.
                "WAYBILL_REQUESTS_BURST": "10000",
                "WAYBILL_ADDRESS_REQUESTS_BURST": "100000",
                **settings,
            }
            processes = ServiceProcesses(
                {name: value for name, value in environment.items() if value is not None},
                log_dir=logs,
                guard=local_stack.guard,
                metrics_ports=metrics_ports,
            )
            try:
                if only_api:
                    processes.start_api()
                else:
                    processes.start()
                yield Target(processes, dsn, redis_url)
            finally:
                processes.stop()

    return start


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Poll ``condition``; fail the test if it stays false."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"Not within {seconds:g} s: {what}")
        time.sleep(0.05)


def client_of(target: Target, token: str | None = TOKEN) -> httpx.Client:
    """A plain HTTP client, with the honest token or another one, or none."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=target.url, headers=headers, timeout=20)
