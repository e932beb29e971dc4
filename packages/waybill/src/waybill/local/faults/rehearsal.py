"""A whole service whose every connection runs through a proxy, made to be broken."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psycopg
from psycopg.rows import dict_row

from waybill.client import ExportClient
from waybill.local.faults.invariants import TERMINAL, Audit, audit
from waybill.local.faults.s3_proxy import S3Proxy
from waybill.local.faults.tcp_proxy import TcpProxy
from waybill.local.process import SupervisedProcess
from waybill.local.sample import create_users
from waybill.local.service_stack import settings_of
from waybill.local.services import ServiceProcesses, worker_command
from waybill.local.stack import LocalStack
from waybill.migrations.run import migrate
from waybill.storage.base import Storage
from waybill.storage.database.storage import DatabaseOptions, DatabaseStorage
from waybill.storage.s3.client import S3Options
from waybill.storage.s3.storage import S3Storage

TOKEN = "rehearsal"  # noqa: S105 - a service on loopback that lives for a minute
PREFIX = "exports"
LEASE_SECONDS = 6.0

# Shorter than in production, so that a rehearsal takes seconds; the proportions are the same.
SHORT = {
    "WAYBILL_LEASE_SECONDS": str(LEASE_SECONDS),
    "WAYBILL_HEARTBEAT_SECONDS": "1.5",
    "WAYBILL_PROGRESS_SECONDS": "0.25",
    "WAYBILL_REPUBLISH_AFTER_SECONDS": "2",
    "WAYBILL_STORAGE_SWEEP_SECONDS": "1",
    # The invariants allow no orphan, and are checked within seconds.
    "WAYBILL_ORPHAN_GRACE_SECONDS": "0",
    "WAYBILL_SHUTDOWN_GRACE_SECONDS": "1",
    "WAYBILL_DOWNLOAD": "stream",
    "WAYBILL_LOG_LEVEL": "INFO",
}

Row = dict[str, Any]


class Rehearsal:
    """Everything a fault needs: the stack, the proxies in front of it, the processes, a client.

    Args:
        stack: a running stack.
        users: rows of the table ``users``.
        settings: further ``WAYBILL_…`` variables.
        catalog: the text of a catalog; ``users`` alone by default.
        concurrency: exports at a time.
        fresh: forget the jobs of earlier rehearsals on the same stack.
        redis_proxy: makes the proxy in front of Redis.
        module: what Python runs as ``waybill``.
    """

    def __init__(
        self,
        stack: LocalStack,
        *,
        users: int,
        settings: Mapping[str, str] | None = None,
        catalog: str | None = None,
        concurrency: int = 2,
        fresh: bool = True,
        redis_proxy: Callable[[int], TcpProxy] = TcpProxy,
        module: str = "waybill",
    ) -> None:
        self._redis_proxy = redis_proxy
        self._module = module
        self._fresh = fresh
        self.stack = stack
        self.users = users
        self._settings = {**SHORT, **(settings or {})}
        self._catalog = catalog or '[exports.users]\ntable = "public.users"\nkey = "id"\n'
        self._concurrency = concurrency
        self._cleanup = contextlib.ExitStack()
        self.accepted: set[str] = set()
        """The ids of all requests that were answered with 202."""

    # -- life -----------------------------------------------------------------------------------

    def __enter__(self) -> Rehearsal:
        with contextlib.ExitStack() as stack:
            addresses = self.stack.addresses
            self.dsn = addresses.postgres_dsn
            self.postgres = stack.enter_context(TcpProxy(_port(self.dsn)))
            self.source = stack.enter_context(TcpProxy(_port(self.dsn)))
            self.redis = stack.enter_context(self._redis_proxy(_port(addresses.redis_url)))
            self.s3 = stack.enter_context(S3Proxy(_port(addresses.s3_endpoint_url)))
            migrate(settings_of(self.stack))
            create_users(self.dsn, self.users)
            if self._fresh:
                self.forget()
            path = self.stack.data_dir / "rehearsal.toml"
            path.write_text(self._catalog, encoding="utf-8")
            self.environment = {
                **self.stack.as_environment(),
                "WAYBILL_DATABASE_URL": _via(self.dsn, self.postgres),
                "WAYBILL_SOURCE_DSN": _via(addresses.source_dsn, self.source),
                "WAYBILL_REDIS_URL": _via(addresses.redis_url, self.redis),
                "WAYBILL_S3_ENDPOINT_URL": _via(addresses.s3_endpoint_url, self.s3),
                "WAYBILL_CATALOG": str(path),
                "WAYBILL_DEVELOPMENT_TOKEN": TOKEN,
                "WAYBILL_S3_PREFIX": PREFIX,
                **self._settings,
            }
            self.processes = stack.enter_context(
                ServiceProcesses(
                    self.environment,
                    log_dir=self.stack.log_dir,
                    guard=self.stack.guard,
                    concurrency=self._concurrency,
                    module=self._module,
                )
            )
            self.client = stack.enter_context(ExportClient(self.processes.url, TOKEN))
            self._extra_workers: list[SupervisedProcess] = []
            self._cleanup = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._extra_workers:
            worker.stop()
        self._cleanup.close()

    # -- acting ---------------------------------------------------------------------------------

    def request(self, export_type: str = "users", **arguments: Any) -> str:
        """Request an export and return its id."""
        export_id = str(self.client.request(export_type, **arguments).id)
        self.accepted.add(export_id)
        return export_id

    def add_worker(self) -> SupervisedProcess:
        """Start one more worker."""
        name = f"worker-{len(self._extra_workers) + 2}"
        worker = SupervisedProcess(
            name,
            worker_command(1),
            log_path=self.stack.log_dir / f"{name}.log",
            guard=self.stack.guard,
            env={**os.environ, **self.environment, "PYTHONUNBUFFERED": "1"},
            grace_seconds=30.0,
        )
        worker.start()
        worker.wait_until_ready(
            lambda: None if "worker.ready" in worker.log_text() else "is not ready",
            deadline_seconds=60.0,
        )
        self._extra_workers.append(worker)
        return worker

    @contextlib.contextmanager
    def uploads_held(self) -> Iterator[None]:
        """Hold every request to S3, so that exports stay in the middle for the block."""
        self.s3.hold()
        try:
            yield
        finally:
            self.s3.release()

    def forget(self) -> None:
        """Delete all jobs and objects of earlier rehearsals on the same stack."""
        self.rows("TRUNCATE export_jobs CASCADE")
        self.rows("TRUNCATE stored_objects CASCADE")
        for storage in self.storages().values():
            for key in list(storage.list_keys(f"{PREFIX}/")):
                storage.delete(key)

    # -- watching (past the proxies) --------------------------------------------------------------

    def row(self, export_id: str) -> Row:
        """Return a job's row."""
        return self.rows("SELECT * FROM export_jobs WHERE id = %s", export_id)[0]

    def attempts(self, export_id: str) -> list[Row]:
        """Return a job's attempts, oldest first."""
        return self.rows(
            "SELECT * FROM export_attempts WHERE export_id = %s ORDER BY started_at", export_id
        )

    def rows(self, statement: str, *values: object) -> list[Row]:
        """Run a statement of the test's own on waybill's database."""
        with psycopg.connect(self.dsn, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def wait_for(
        self, export_id: str, condition: Callable[[Row], bool], *, seconds: float = 60.0
    ) -> Row:
        """Wait until a job's row fulfils ``condition``; ``TimeoutError`` with the row if not."""
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(psycopg.OperationalError):  # PostgreSQL may be the fault
                row = self.row(export_id)
                if condition(row):
                    return row
                if time.monotonic() > deadline:
                    shown = {k: row[k] for k in ("status", "attempt", "error_code", "rows_done")}
                    raise TimeoutError(f"{export_id} after {seconds:g} s: {shown}")
            time.sleep(0.05)

    def wait_running(self, export_id: str) -> Row:
        """Wait until a worker holds the job."""
        return self.wait_for(export_id, lambda row: row["status"] == "running")

    def wait_over(self, export_id: str, *, seconds: float = 90.0) -> Row:
        """Wait until the job is terminal."""
        return self.wait_for(export_id, lambda row: row["status"] in TERMINAL, seconds=seconds)

    def storages(self) -> dict[str, Storage]:
        """Return the storages, past the proxies."""
        addresses = self.stack.addresses
        return {
            "s3": S3Storage(
                S3Options(
                    bucket=addresses.s3_bucket,
                    region=addresses.s3_region,
                    endpoint_url=addresses.s3_endpoint_url,
                    access_key_id=addresses.s3_access_key,
                    secret_access_key=addresses.s3_secret_key,
                )
            ),
            "database": DatabaseStorage(DatabaseOptions(self.dsn)),
        }

    def audit(self, *, expected: dict[str, int] | None = None) -> Audit:
        """Check the invariants as they stand."""
        wanted = {"users": self.users} if expected is None else expected
        return audit(
            self.dsn, self.storages(), prefix=PREFIX, expected=wanted, accepted=self.accepted
        )

    def assert_invariants(self, *, seconds: float = 60.0) -> Audit:
        """Wait for the sweeper to clear what the fault left, then insist on every invariant."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.audit()
            if not found.problems:
                return found
            if time.monotonic() > deadline:
                found.assert_holds()
            time.sleep(0.5)


def _port(url: str) -> int:
    match = re.search(r":(\d+)(?:/|$)", url.partition("@")[2] or url.partition("//")[2])
    if match is None:
        raise ValueError("the address has no port")
    return int(match[1])


def _via(url: str, proxy: TcpProxy) -> str:
    """Return ``url`` with the proxy's port in place of its own."""
    return re.sub(rf":{proxy.target_port}(?=/|$)", f":{proxy.port}", url, count=1)
