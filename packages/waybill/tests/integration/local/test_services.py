"""API, worker and scheduler as supervised processes on a real stack."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from waybill.local.errors import PortInUse, ServiceExited
from waybill.local.ports import LOOPBACK, draw_free_port, is_free
from waybill.local.service_stack import settings_of
from waybill.local.services import ServiceProcesses
from waybill.local.stack import LocalStack
from waybill.local.testing import temporary_database
from waybill.migrations.run import migrate

from .conftest import Script, is_alive, processes_in, wait_until

pytestmark = pytest.mark.faults

CATALOG = '[exports.people]\ntable = "public.people"\nkey = "id"\n'


@pytest.fixture
def environment(stack: LocalStack, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Settings of a service on a migrated database of the test's own."""
    catalog = tmp_path / "waybill.toml"
    catalog.write_text(CATALOG)
    with temporary_database(stack) as dsn:
        migrate(settings_of(stack, database_url=dsn))
        yield {
            **stack.as_environment(),
            "WAYBILL_DATABASE_URL": dsn,
            "WAYBILL_SOURCE_DSN": dsn,
            "WAYBILL_CATALOG": str(catalog),
            "WAYBILL_DEVELOPMENT_TOKEN": "token",
        }


@pytest.fixture
def make(
    stack: LocalStack, environment: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., ServiceProcesses]]:
    made: list[ServiceProcesses] = []

    def make_processes(**options: Any) -> ServiceProcesses:
        arguments: dict[str, Any] = {
            "environment": environment,
            "log_dir": tmp_path,
            "cwd": tmp_path,
        }
        processes = ServiceProcesses(**{**arguments, "guard": stack.guard, **options})
        made.append(processes)
        return processes

    yield make_processes
    for processes in made:
        processes.stop()


def answer(url: str) -> int:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/readyz") as response:
        return int(response.status)


def test_started_is_ready_and_stopped_leaves_no_process_and_no_port(
    make: Callable[..., ServiceProcesses], tmp_path: Path
) -> None:
    with make() as processes:
        assert answer(processes.url) == 200
        processes.raise_if_exited()
        assert len(processes_in(tmp_path)) > 3  # the worker has children of its own
    assert processes_in(tmp_path) == []
    assert is_free(processes.port)
    # uvicorn ends its orderly shutdown by raising the signal again; nobody was killed (-9).
    assert {process.returncode for process in processes.processes} <= {0, -signal.SIGTERM}


def test_quiet_log_level_does_not_hide_that_the_worker_is_ready(
    make: Callable[..., ServiceProcesses], environment: dict[str, str]
) -> None:
    with make(environment={**environment, "WAYBILL_LOG_LEVEL": "ERROR"}) as processes:
        processes.raise_if_exited()


def test_process_that_ends_unasked_is_named_with_its_log(
    make: Callable[..., ServiceProcesses],
) -> None:
    with make() as processes:
        os.kill(processes.scheduler.pid, signal.SIGKILL)
        with pytest.raises(
            ServiceExited, match=r"scheduler was killed by signal 9.*scheduler\.log"
        ):
            processes.wait()


def test_worker_killed_takes_its_children_along_and_can_be_started_again(
    make: Callable[..., ServiceProcesses], tmp_path: Path
) -> None:
    with make() as processes:
        before = {p.pid for p in processes_in(tmp_path)} - {
            processes.api.pid,
            processes.scheduler.pid,
        }
        assert len(before) > 1
        processes.worker.kill()
        assert not any(is_alive(pid) for pid in before)
        processes.start_worker()
        processes.raise_if_exited()


def test_settings_that_do_not_hold_stop_the_start_and_show_the_reason(
    make: Callable[..., ServiceProcesses], environment: dict[str, str], tmp_path: Path
) -> None:
    broken = {**environment, "WAYBILL_CATALOG": str(tmp_path / "absent.toml")}
    with pytest.raises(ServiceExited, match=r"absent\.toml"):
        make(environment=broken).start()
    assert processes_in(tmp_path) == []


def test_port_asked_for_and_taken_is_refused_before_anything_starts(
    make: Callable[..., ServiceProcesses], tmp_path: Path
) -> None:
    with contextlib.closing(socket.socket()) as squatter:
        squatter.bind((LOOPBACK, draw_free_port()))
        squatter.listen()
        taken = squatter.getsockname()[1]
        with pytest.raises(PortInUse, match=str(taken)):
            make(port=taken).start()
    assert processes_in(tmp_path) == []


PARENT = """
import json, sys, threading
from pathlib import Path
from waybill.local.guard import ProcessGuard
from waybill.local.services import ServiceProcesses

directory = Path(sys.argv[1])
guard = ProcessGuard(directory / "processes.json")
guard.start()
processes = ServiceProcesses(
    json.loads(sys.argv[2]), log_dir=directory, guard=guard, cwd=directory / "run"
)
processes.start()
print("up", flush=True)
threading.Event().wait()
"""


def test_parent_killed_leaves_no_process(
    run_script: Callable[..., Script], environment: dict[str, str], tmp_path: Path
) -> None:
    import json

    (tmp_path / "run").mkdir()
    parent = run_script(PARENT, tmp_path, json.dumps(environment))
    assert parent.read_line() == "up"
    assert len(processes_in(tmp_path / "run")) > 3
    parent.send(signal.SIGKILL)
    parent.wait()
    wait_until(lambda: not processes_in(tmp_path / "run"), "every process is gone")
