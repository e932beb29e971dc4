"""What is left when the process that runs a stack ends, however that comes about."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from waybill.local.errors import StackInUse
from waybill.local.ports import is_free
from waybill.local.stack import LocalStack

from .conftest import Script, processes_in, wait_until

pytestmark = pytest.mark.faults

STACK = """
import sys, threading
from pathlib import Path
from waybill.local.signals import orderly_exit
from waybill.local.stack import LocalStack

with orderly_exit(), LocalStack(Path(sys.argv[1]), fast=True) as stack:
    print("up", flush=True)
    threading.Event().wait()
"""

STARTING = STACK.replace(
    "with orderly_exit()",
    """
from waybill.local import stack as module
start = module.PostgresService.start
def announce(self):
    print("starting", flush=True)
    start(self)
module.PostgresService.start = announce
with orderly_exit()""",
)


def listening_ports(directory: Path) -> list[int]:
    ports = json.loads((directory / "ports.json").read_text())
    return [port for port in ports.values() if not is_free(port)]


def test_parent_killed_leaves_no_process_and_no_port_and_the_next_start_recovers(
    run_script: Callable[..., Script], tmp_path: Path
) -> None:
    directory = tmp_path / "stack"
    parent = run_script(STACK, directory)
    assert parent.read_line() == "up"
    assert len(processes_in(directory)) >= 3
    assert len(listening_ports(directory)) >= 3
    parent.send(signal.SIGKILL)
    parent.wait()
    wait_until(lambda: not processes_in(directory), "every process is gone")
    wait_until(lambda: not listening_ports(directory), "every port is free")
    with LocalStack(directory, fast=True) as stack:
        psycopg.connect(stack.addresses.postgres_dsn).close()


def test_started_again_at_once_after_a_kill_waits_for_what_is_still_ending(
    run_script: Callable[..., Script], tmp_path: Path
) -> None:
    directory = tmp_path / "stack"
    parent = run_script(STACK, directory)
    assert parent.read_line() == "up"
    parent.send(signal.SIGKILL)
    parent.wait()
    with LocalStack(directory, fast=True) as stack:
        psycopg.connect(stack.addresses.postgres_dsn).close()
    assert processes_in(directory) == []


def test_servers_that_outlived_parent_and_guard_are_stopped_by_the_next_start(
    run_script: Callable[..., Script], tmp_path: Path
) -> None:
    directory = tmp_path / "stack"
    parent = run_script(
        STACK.replace('print("up"', "print(stack.guard.pid"),
        directory,
    )
    guard = int(parent.read_line())
    os.kill(guard, signal.SIGKILL)
    parent.send(signal.SIGKILL)
    parent.wait()
    before = {process.pid for process in processes_in(directory)}
    assert len(before) >= 3
    with LocalStack(directory, fast=True) as stack:
        psycopg.connect(stack.addresses.postgres_dsn).close()
        assert before.isdisjoint(process.pid for process in processes_in(directory))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_parent_told_to_end_stops_everything_before_it_ends(
    run_script: Callable[..., Script], tmp_path: Path, number: signal.Signals
) -> None:
    directory = tmp_path / "stack"
    parent = run_script(STACK, directory)
    assert parent.read_line() == "up"
    parent.send(number)
    parent.send(number)  # an impatient second one does not break off the first
    assert parent.wait() == 128 + number
    assert processes_in(directory) == []
    log = (directory / "logs" / "postgres.log").read_text()
    assert "database system is shut down" in log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_parent_ended_while_it_starts_leaves_no_process(
    run_script: Callable[..., Script], tmp_path: Path, number: signal.Signals
) -> None:
    directory = tmp_path / "stack"
    parent = run_script(STARTING, directory)
    assert parent.read_line() == "starting"
    parent.send(number)
    parent.wait()
    wait_until(lambda: not processes_in(directory), "every process is gone")
    with LocalStack(directory, fast=True) as stack:
        psycopg.connect(stack.addresses.postgres_dsn).close()


def test_directory_held_by_another_process_names_it(
    run_script: Callable[..., Script], tmp_path: Path
) -> None:
    directory = tmp_path / "stack"
    parent = run_script(STACK, directory)
    assert parent.read_line() == "up"
    with pytest.raises(StackInUse, match=f"process {parent.pid}"):
        LocalStack(directory).start()
