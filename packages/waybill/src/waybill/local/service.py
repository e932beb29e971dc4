"""What the three services of the stack have in common: their way from start to stop."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

from waybill.local.data_directory import Credentials
from waybill.local.errors import LocalStackError, PortInUse, ServiceExited
from waybill.local.guard import ProcessGuard
from waybill.local.ports import PortBook
from waybill.local.process import SupervisedProcess

_PORT_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """What a service of the stack is given.

    Attributes:
        data_dir: the stack's directory; a service keeps to the part named after itself.
        fast: trade safety against a crash of the operating system for speed (tests).
        abort: set when a start must not go on.
    """

    data_dir: Path
    log_dir: Path
    credentials: Credentials
    ports: PortBook
    guard: ProcessGuard
    fast: bool = False
    abort: threading.Event = field(default_factory=threading.Event)


class Service(ABC):
    """A server of the stack. Listens on the loopback address alone."""

    name: str
    """As in messages, log files and the data directory."""
    port_names: tuple[str, ...]
    """Its ports in the port book."""
    ready_seconds = 60.0
    """How long a start may take: generous, as a busy machine is no fault."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self.directory = context.data_dir / self.name
        self._process: SupervisedProcess | None = None
        self._published = False

    # -- for each service to say ----------------------------------------------------------------

    @abstractmethod
    def _prepare(self) -> None:
        """Make what must exist before the first start. Called before every start."""

    @abstractmethod
    def _make_process(self) -> SupervisedProcess:
        """The process to run, on the ports it has now."""

    @abstractmethod
    def _missing(self) -> str | None:
        """What is still missing until the service is ready, or ``None``."""

    # -- life -----------------------------------------------------------------------------------

    @property
    def process(self) -> SupervisedProcess:
        """Its process.

        Raises:
            LocalStackError: it was never started.
        """
        if self._process is None:
            raise LocalStackError(f"{self.name} was not started.")
        return self._process

    @property
    def is_running(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.is_running

    @property
    def log_path(self) -> Path:
        """The file its process writes to."""
        return self._context.log_dir / f"{self.name}.log"

    def port(self, name: str) -> int:
        """One of its ports."""
        return self._context.ports.port(name)

    def start(self) -> None:
        """Start it and wait until it serves.

        Raises:
            LocalStackError: it runs already, or one of the subclasses says why it does not.
        """
        if self.is_running:
            raise LocalStackError(f"{self.name} runs already, as process {self.process.pid}.")
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._prepare()
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            process = self._process = self._make_process()
            try:
                process.start()
                process.wait_until_ready(
                    self._missing,
                    deadline_seconds=self.ready_seconds,
                    abort=self._context.abort,
                )
            except ServiceExited:
                process.kill()
                # Between the choice of a port and its use, another program may take it.
                if attempt == _PORT_ATTEMPTS or not self._has_other_ports():
                    raise
            except BaseException:
                process.kill()
                raise
            else:
                self._published = True
                return

    def _has_other_ports(self) -> bool:
        ports = self._context.ports
        if not self._published:
            return ports.replace_taken(self.port_names)
        for name in self.port_names:  # clients know the address: it cannot change any more
            if ports.is_taken(name):
                raise PortInUse(service=name, port=ports.port(name))
        return False

    def stop(self) -> None:
        """Stop it in an orderly way; its data stay. Harmless when it does not run."""
        if self._process is not None:
            self._process.stop()

    def restart(self) -> None:
        """Stop it and start it again on the same ports."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """Kill it (SIGKILL), as a crash would. ``start`` brings it back with its data."""
        if self._process is not None:
            self._process.kill()

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open and nothing answers."""
        self.process.pause()

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        self.process.resume()


def service_environment(home: Path, **variables: str) -> dict[str, str]:
    """An environment that holds nothing of the user's but what a program needs to start.

    The services read many variables (``PG…``, ``AWS_…``, ``WEED_…``); those of the user's own
    installations must not change what runs here.
    """
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "HOME": str(home), "LC_ALL": "C", "TZ": "UTC", **variables}
