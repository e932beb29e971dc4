"""The service's own processes (API, worker, scheduler) as supervised children."""

from __future__ import annotations

import os
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from waybill.local.errors import LocalStackError, PortInUse
from waybill.local.guard import ProcessGuard
from waybill.local.ports import LOOPBACK, draw_free_port, is_free
from waybill.local.process import Probe, SupervisedProcess
from waybill.local.stack import start_together

_READY_SECONDS = 60.0
_REQUEST_SECONDS = 2.0
_WATCH_SECONDS = 0.2
_API_GRACE_SECONDS = 15.0
# Above the worker's own soft shutdown (25 s), in which it gives its jobs back to the queue.
_WORKER_GRACE_SECONDS = 40.0
_SCHEDULER_GRACE_SECONDS = 10.0


def api_command(host: str, port: int) -> list[str]:
    """The command that serves the API."""
    return [sys.executable, "-m", "waybill", "api", "--host", host, "--port", str(port)]


def _with_metrics(command: list[str], ports: Mapping[str, int]) -> list[str]:
    port = ports.get(command[3])
    return command if port is None else [*command, "--metrics-port", str(port)]


def worker_command(concurrency: int) -> list[str]:
    """The command that runs exports."""
    return [sys.executable, "-m", "waybill", "worker", "--concurrency", str(concurrency)]


def scheduler_command() -> list[str]:
    """The command that runs the sweeper."""
    return [sys.executable, "-m", "waybill", "scheduler"]


class ServiceProcesses:
    """API, worker and scheduler. A context manager.

    Args:
        environment: their settings (``WAYBILL_…``), laid over this process's environment.
        log_dir: where their logs go.
        guard: who stops them if this process dies.
        host: the API's address.
        port: the API's port; a free one when ``None``.
        concurrency: how many exports the worker runs at a time.
        metrics_ports: where ``api``, ``worker`` and ``scheduler`` serve their figures; one that is
            left out does not.
        cwd: the directory to run in, to which a catalog's relative path is relative.
        module: what Python runs as ``waybill``.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        log_dir: Path,
        guard: ProcessGuard,
        host: str = LOOPBACK,
        port: int | None = None,
        concurrency: int = 2,
        cwd: Path | None = None,
        metrics_ports: Mapping[str, int] | None = None,
        module: str = "waybill",
    ) -> None:
        self._module = module
        self.host = host
        self._port_was_asked_for = port is not None
        self.port = draw_free_port() if port is None else port
        self._env = {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}
        if self._env.get("WAYBILL_LOG_LEVEL", "").upper() != "DEBUG":
            self._env["WAYBILL_LOG_LEVEL"] = "INFO"  # at which the worker says that it is ready
        self._abort = threading.Event()
        self._log_dir = log_dir
        self._guard = guard
        self._cwd = cwd
        self._metrics_ports = metrics_ports or {}
        self.api = self._process("api", api_command(host, self.port), _API_GRACE_SECONDS)
        self.worker = self._process("worker", worker_command(concurrency), _WORKER_GRACE_SECONDS)
        self.scheduler = self._process("scheduler", scheduler_command(), _SCHEDULER_GRACE_SECONDS)

    def _process(self, name: str, command: Sequence[str], grace: float) -> SupervisedProcess:
        return SupervisedProcess(
            name,
            self._by_module(_with_metrics(list(command), self._metrics_ports)),
            log_path=self._log_dir / f"{name}.log",
            guard=self._guard,
            cwd=self._cwd,
            env=self._env,
            grace_seconds=grace,
        )

    def _by_module(self, command: list[str]) -> list[str]:
        python, option, _, *arguments = command
        return [python, option, self._module, *arguments]

    @property
    def url(self) -> str:
        """The API's address."""
        host = {"0.0.0.0": LOOPBACK, "::": "[::1]"}.get(self.host, self.host)  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host and host[0] != '[' else host}:{self.port}"

    @property
    def processes(self) -> tuple[SupervisedProcess, ...]:
        """All of them, in the order in which they are stopped."""
        # The API first: it takes orders. The worker last: it has most to bring to an end.
        return (self.api, self.scheduler, self.worker)

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
        """Start all at once and wait until each is ready; on any failure, stop all.

        Raises:
            PortInUse: the API's port is taken.
            ServiceFailed: a process ended or was not ready in time; holds the end of its log.
        """
        if any(process.is_running for process in self.processes):
            raise LocalStackError("The service's processes run already.")
        if self._port_was_asked_for and not is_free(self.port):
            raise PortInUse(service="api", port=self.port)
        self._abort.clear()
        try:
            start_together([self.start_api, self.start_worker, self.start_scheduler], self._abort)
        except BaseException:
            self.stop()
            raise

    def start_api(self) -> None:
        """Start the API alone and wait until it is ready; raises as ``start`` does."""
        self.api.start()
        self._wait(self.api, self._missing_api)

    def start_worker(self) -> None:
        """Start the worker alone and wait until it is ready; raises as ``start`` does."""
        self.worker.start()
        self._wait(self.worker, lambda: _missing_line(self.worker, "worker.ready"))

    def start_scheduler(self) -> None:
        """Start the scheduler alone and wait until it is ready; raises as ``start`` does."""
        self.scheduler.start()
        self._wait(self.scheduler, lambda: _missing_line(self.scheduler, "scheduler.ready"))

    def _wait(self, process: SupervisedProcess, probe: Probe) -> None:
        process.wait_until_ready(probe, deadline_seconds=_READY_SECONDS, abort=self._abort)

    def _missing_api(self) -> str | None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            # S310: an http address on this machine.
            with opener.open(f"{self.url}/readyz", timeout=_REQUEST_SECONDS):
                return None
        except urllib.error.HTTPError as exc:
            return f"/readyz answers {exc.code}"
        except OSError:
            return "/readyz does not answer"

    def raise_if_exited(self) -> None:
        """Raise if one of them has ended.

        Raises:
            ServiceExited: it did; holds the end of its log.
        """
        for process in self.processes:
            process.raise_if_exited()

    def wait(self) -> None:
        """Wait until one of them ends, which none does unasked.

        Raises:
            ServiceExited: one did; holds the end of its log.
        """
        while True:
            self.raise_if_exited()
            time.sleep(_WATCH_SECONDS)

    def stop(self) -> None:
        """Stop all, one after the other. Harmless when none runs."""
        self._abort.set()
        for process in self.processes:
            process.stop()


def _missing_line(process: SupervisedProcess, event: str) -> str | None:
    return None if event in process.log_text() else f"has not logged {event!r}"
