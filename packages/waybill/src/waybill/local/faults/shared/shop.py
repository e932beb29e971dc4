"""The application's processes, and what it asks of them."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psutil  # type: ignore[import-untyped, unused-ignore]
import psycopg
import redis
from celery import Celery
from psycopg.rows import dict_row

from waybill.client import ExportClient
from waybill.config import load_settings
from waybill.local.faults.invariants import Audit, audit
from waybill.local.faults.rehearsal import Row
from waybill.local.faults.shared import application as there
from waybill.local.faults.shared import diary
from waybill.local.guard import ProcessGuard
from waybill.local.ports import LOOPBACK, draw_free_port
from waybill.local.process import SupervisedProcess
from waybill.local.stack import start_together
from waybill.migrations.run import migrate
from waybill.run.identity import WorkerIdentity
from waybill.storage.base import Storage

PREFIX: Final = "shop-exports"
_READY_SECONDS: Final = 90.0
_GRACE_SECONDS: Final = 40.0
_AT_ONCE: Final = 3
_ENDING_SECONDS: Final = 180.0
# Longer than our leases (6 s) and than the visibility time-out of our worker here (5 s).
_TASK_SECONDS: Final = (4.0, 30.0)


class Shop:
    """The application on a broker; without ``settings``, as it was before us.

    Args:
        name: of its files.
        broker_url: its Redis, for messages and results.
        directory: for its files.
        guard: who stops its processes should this one die.
        settings: waybill's (``WAYBILL_…``).
    """

    def __init__(
        self,
        name: str,
        broker_url: str,
        directory: Path,
        guard: ProcessGuard,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.broker_url = broker_url
        self.diary = directory / f"{name}.diary"
        self._directory = directory
        self._name = name
        self._guard = guard
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("WAYBILL_")},
            there.BROKER_VARIABLE: broker_url,
            there.DIARY_VARIABLE: str(self.diary),
            **({there.WITHOUT_VARIABLE: "1"} if settings is None else settings),
            "PYTHONUNBUFFERED": "1",
        }
        # Without -Q, as most have it: its own queue, and with waybill both of ours as well.
        self.worker = self._celery("worker", "worker", "-n", f"{name}@%h", "-c", str(_AT_ONCE + 1))
        self.beat = self._celery("beat", "beat", "-s", str(directory / f"{name}.schedule"))
        self.processes = [self.worker, self.beat]
        self._sender = Celery("shop", broker=broker_url, set_as_current=False)
        self.lock = threading.Lock()
        """Held while a task is sent: what is sent to a Redis that dies may have arrived."""

    def _celery(self, name: str, *arguments: str) -> SupervisedProcess:
        module = there.__name__
        command = [sys.executable, "-m", "celery", "-A", module, *arguments, "-l", "info"]
        return self._process(name, command)

    def _process(self, name: str, command: list[str]) -> SupervisedProcess:
        return SupervisedProcess(
            f"{self._name}-{name}",
            command,
            log_path=self._directory / f"{self._name}-{name}.log",
            guard=self._guard,
            cwd=self._directory,
            env=self._environment,
            grace_seconds=_GRACE_SECONDS,
        )

    def __enter__(self) -> Self:
        try:
            start_together([partial(self.start, it) for it in self.processes], threading.Event())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        for process in self.processes:
            process.stop()
        self._sender.close()

    def start(self, process: SupervisedProcess) -> None:
        """Start one of the processes, and wait until it is ready."""
        process.start()
        process.wait_until_ready(lambda: self._missing(process), deadline_seconds=_READY_SECONDS)

    def _missing(self, process: SupervisedProcess) -> str | None:
        said = " ready." if process is not self.beat else "beat: Starting"
        return None if said in process.log_text() else f"has not said {said!r}"

    def work(self, seed: int, until: float) -> None:
        """Keep tasks of its own under way until the monotonic clock shows ``until``."""
        chance = random.Random(seed)  # noqa: S311 - reproducible on purpose
        while time.monotonic() < until:
            if diary.unfinished(diary.read(self.diary)) >= _AT_ONCE:
                time.sleep(0.2)
                continue
            with self.lock:
                sent = self._sender.send_task(
                    there.WORK, args=[round(chance.uniform(*_TASK_SECONDS), 2)]
                )
                diary.note(self.diary, "sent", sent.id)

    def wait_ended(self) -> None:
        """Let nothing be sent any more, and wait until each task has ended."""
        self.processes.remove(self.beat)
        self.beat.stop()
        deadline = time.monotonic() + _ENDING_SECONDS
        while diary.unfinished(diary.read(self.diary)) and time.monotonic() < deadline:
            time.sleep(0.5)

    def unacknowledged(self) -> int:
        """Return how many messages are with workers, by what their Redis says."""
        with redis.Redis.from_url(self.broker_url) as client:
            return int(client.hlen("unacked"))


class ShopWithExports(Shop):
    """The application with ``waybill.celery.install``: a worker of its own for our queues, and its
    web with our routes.

    Args:
        name: of its files.
        broker_url: its Redis.
        directory: for its files.
        guard: who stops its processes should this one die.
        settings: waybill's (``WAYBILL_…``), with a database of its own.
        storages: by name, past any proxy.
    """

    def __init__(
        self,
        name: str,
        broker_url: str,
        directory: Path,
        guard: ProcessGuard,
        settings: Mapping[str, str],
        storages: dict[str, Storage],
    ) -> None:
        super().__init__(name, broker_url, directory, guard, settings)
        self.dsn = settings["WAYBILL_DATABASE_URL"]
        self._storages = storages
        self.accepted: set[str] = set()
        queues = f"{there.QUEUE},{there.UPKEEP}"
        self.exporter = self._celery(
            "exporter", "worker", "-n", f"{name}-exporter@%h", "-Q", queues, "-c", "1"
        )
        self._port = draw_free_port()
        self.web = self._process(
            "web",
            [
                *(sys.executable, "-m", "uvicorn", f"{there.__name__}:web"),
                *("--host", LOOPBACK, "--port", str(self._port)),
            ],
        )
        self.processes = [self.web, self.beat, self.exporter, self.worker]
        self._client = ExportClient(f"http://{LOOPBACK}:{self._port}", "unused")
        migrate(load_settings(database_url=self.dsn))

    def _stop(self) -> None:
        super()._stop()
        self._client.close()

    def _missing(self, process: SupervisedProcess) -> str | None:
        if process is not self.web:
            return super()._missing(process)
        try:
            socket.create_connection((LOOPBACK, self._port), timeout=2).close()
        except OSError:
            return "does not answer"
        return None

    def request(self, export_type: str, **arguments: Any) -> str:
        """Request an export and return its id."""
        export_id = str(self._client.request(export_type, **arguments).id)
        self.accepted.add(export_id)
        return export_id

    def rows(self, statement: str, *values: object) -> list[Row]:
        """Run a statement on waybill's database of the application."""
        with psycopg.connect(self.dsn, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def audit(self, *, expected: dict[str, int]) -> Audit:
        """Check the invariants as they stand."""
        return audit(
            self.dsn, self._storages, prefix=PREFIX, expected=expected, accepted=self.accepted
        )

    def kill_child_with_export(self) -> bool:
        """Kill the child of its worker that runs an export, as the kernel does when memory ends,
        and no child that runs a task of its own. Returns whether there was one."""
        children = {
            child.pid: child for child in psutil.Process(self.worker.pid).children(recursive=True)
        }
        for pid in self._pids() & set(children):
            with contextlib.suppress(psutil.NoSuchProcess):
                children[pid].suspend()  # it can't come to another task while we look again
                if pid in self._pids():
                    children[pid].kill()
                    return True
                children[pid].resume()
        return False

    def _pids(self) -> set[int]:
        rows = self.rows(
            "SELECT worker FROM export_attempts JOIN export_jobs ON id = export_id"
            " WHERE outcome IS NULL AND status = 'running'"
        )
        found = (WorkerIdentity.parse(row["worker"]) for row in rows)
        return {each.pid for each in found if each is not None}
