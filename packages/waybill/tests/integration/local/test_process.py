"""Supervised children: readiness, orderly and hard ends, and the death of the parent."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from waybill.local.errors import LocalStackError, ServiceExited, ServiceNotReady, StartAborted
from waybill.local.guard import ProcessGuard
from waybill.local.process import SupervisedProcess

from .conftest import Script, is_alive, wait_until

pytestmark = pytest.mark.faults

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('up', flush=True); time.sleep(600)"
)
# A child, and a grandchild that leaves the process group as PostgreSQL's backends do.
FAMILY = (
    "import subprocess, sys, time;"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'],"
    "start_new_session=True);"
    "print('up', child.pid, flush=True); time.sleep(600)"
)


@pytest.fixture
def make(tmp_path: Path, guard: ProcessGuard) -> Callable[..., SupervisedProcess]:
    def make_process(source: str, **options: Any) -> SupervisedProcess:
        return SupervisedProcess(
            "example",
            [sys.executable, "-c", source],
            log_path=tmp_path / "example.log",
            guard=guard,
            **options,
        )

    return make_process


def wait_up(process: SupervisedProcess) -> None:
    process.wait_until_ready(
        lambda: None if "up" in process.log_text() else "not up", deadline_seconds=30
    )


def test_asked_to_stop_ends_with_its_signal(make: Callable[..., SupervisedProcess]) -> None:
    process = make(SLEEPER)
    process.start()
    wait_up(process)
    assert process.is_running
    process.stop()
    assert process.returncode == -signal.SIGTERM


def test_deaf_to_the_stop_signal_is_killed(make: Callable[..., SupervisedProcess]) -> None:
    process = make(STUBBORN, grace_seconds=0.1)
    process.start()
    wait_up(process)
    process.stop()
    assert process.returncode == -signal.SIGKILL


def test_killed_leaves_no_grandchild(make: Callable[..., SupervisedProcess]) -> None:
    process = make(FAMILY)
    process.start()
    wait_up(process)
    grandchild = int(process.log_text().split()[1])
    assert is_alive(grandchild)
    process.kill()
    assert not is_alive(process.pid)
    assert not is_alive(grandchild)


def test_paused_is_frozen_and_can_still_be_stopped(
    make: Callable[..., SupervisedProcess],
) -> None:
    process = make(SLEEPER)
    process.start()
    wait_up(process)
    process.pause()
    wait_until(
        lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED, "it is stopped"
    )
    process.resume()
    wait_until(lambda: psutil.Process(process.pid).status() != psutil.STATUS_STOPPED, "it goes on")
    process.pause()
    process.stop()
    assert process.returncode == -signal.SIGTERM


def test_ends_before_it_is_ready_shows_the_end_of_its_log(
    make: Callable[..., SupervisedProcess],
) -> None:
    process = make("import sys; print('the disk is on fire'); sys.exit(3)")
    process.start()
    with pytest.raises(ServiceExited, match="the disk is on fire") as caught:
        process.wait_until_ready(lambda: "never", deadline_seconds=30)
    assert caught.value.returncode == 3


def test_not_ready_in_time_says_what_was_missing(
    make: Callable[..., SupervisedProcess],
) -> None:
    process = make(SLEEPER)
    process.start()
    with pytest.raises(ServiceNotReady, match="does not sing"):
        process.wait_until_ready(lambda: "does not sing", deadline_seconds=0.1)
    process.kill()


def test_start_aborted_while_waiting_raises(make: Callable[..., SupervisedProcess]) -> None:
    abort = threading.Event()
    abort.set()
    process = make(SLEEPER)
    process.start()
    with pytest.raises(StartAborted):
        process.wait_until_ready(lambda: "never", deadline_seconds=30, abort=abort)
    process.kill()


def test_program_that_does_not_exist_is_an_exit(tmp_path: Path, guard: ProcessGuard) -> None:
    process = SupervisedProcess(
        "ghost", [tmp_path / "no such program"], log_path=tmp_path / "log", guard=guard
    )
    process.start()
    with pytest.raises(ServiceExited, match="no such program"):
        process.wait_until_ready(lambda: "never", deadline_seconds=30)


def test_started_twice_is_refused(make: Callable[..., SupervisedProcess]) -> None:
    process = make(SLEEPER)
    process.start()
    with pytest.raises(LocalStackError, match="runs already"):
        process.start()
    process.kill()


def test_log_is_private(make: Callable[..., SupervisedProcess]) -> None:
    process = make(SLEEPER)
    process.start()
    assert process.log_path.stat().st_mode & 0o077 == 0
    process.kill()


PARENT = """
import sys, threading
from pathlib import Path
from waybill.local.guard import ProcessGuard
from waybill.local.process import SupervisedProcess

directory, source = Path(sys.argv[1]), sys.argv[2]
guard = ProcessGuard(directory / "processes.json")
guard.start()
process = SupervisedProcess(
    "example", [sys.executable, "-c", source], log_path=directory / "log", guard=guard,
    grace_seconds=0.5,
)
process.start()
process.wait_until_ready(
    lambda: None if "up" in process.log_text() else "not up", deadline_seconds=30
)
print(process.pid, guard.pid, flush=True)
threading.Event().wait()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_parent_killed_takes_its_child_and_guard_along(
    run_script: Callable[..., Script], tmp_path: Path, number: signal.Signals
) -> None:
    parent = run_script(PARENT, tmp_path, SLEEPER)
    child, guard = map(int, parent.read_line().split())
    assert is_alive(child)
    parent.send(number)
    parent.wait()
    wait_until(lambda: not is_alive(child), "the child is gone")
    wait_until(lambda: not is_alive(guard), "the guard is gone")


def test_parent_killed_with_a_frozen_child_takes_it_along(
    run_script: Callable[..., Script], tmp_path: Path
) -> None:
    parent = run_script(PARENT, tmp_path, SLEEPER)
    child, _ = map(int, parent.read_line().split())
    os.kill(child, signal.SIGSTOP)
    parent.send(signal.SIGKILL)
    parent.wait()
    wait_until(lambda: not is_alive(child), "the frozen child is gone")


FORKING_PARENT = PARENT.replace(
    "threading.Event().wait()",
    """import os, time
if os.fork() == 0:
    time.sleep(600)
print(flush=True)
threading.Event().wait()
""",
)


def test_parent_killed_after_a_fork_takes_its_child_along(
    run_script: Callable[..., Script], tmp_path: Path
) -> None:
    """The fork holds a copy of the guard's pipe open."""
    parent = run_script(FORKING_PARENT, tmp_path, SLEEPER)
    child, _ = map(int, parent.read_line().split())
    parent.read_line()
    (fork,) = (p for p in psutil.Process(parent.pid).children() if "-c" in p.cmdline() and
               p.cmdline() == psutil.Process(parent.pid).cmdline())  # fmt: skip
    parent.send(signal.SIGKILL)
    parent.wait()
    wait_until(lambda: not is_alive(child), "the child is gone")
    fork.kill()


def test_parent_and_guard_killed_leave_a_child_that_the_next_start_stops(
    run_script: Callable[..., Script], tmp_path: Path
) -> None:
    parent = run_script(PARENT, tmp_path, STUBBORN)
    child, guard_pid = map(int, parent.read_line().split())
    os.kill(guard_pid, signal.SIGKILL)
    parent.send(signal.SIGKILL)
    parent.wait()
    assert is_alive(child)
    successor = ProcessGuard(tmp_path / "processes.json")
    successor.start()
    assert not is_alive(child)
    successor.close()


def test_record_of_a_reused_process_number_harms_nobody(tmp_path: Path) -> None:
    """A record from before a reboot may carry a number that is a stranger's today."""
    record = tmp_path / "processes.json"
    mine = {"pid": os.getpid(), "created": 1.5}
    entry = {**mine, "name": "postgres", "stop_signal": 9, "grace_seconds": 1, "remove": []}
    record.write_text(json.dumps({"guard": mine, "processes": [entry]}))
    guard = ProcessGuard(record)
    guard.start()  # this very process would be killed
    guard.close()


def test_guard_closed_stops_what_it_still_watches(tmp_path: Path) -> None:
    guard = ProcessGuard(tmp_path / "processes.json")
    guard.start()
    process = SupervisedProcess(
        "example", [sys.executable, "-c", SLEEPER], log_path=tmp_path / "log", guard=guard
    )
    process.start()
    wait_up(process)
    guard.close()
    wait_until(lambda: not process.is_running, "it was stopped")
    process.kill()


def test_guard_killed_makes_the_next_start_fail(tmp_path: Path) -> None:
    guard = ProcessGuard(tmp_path / "processes.json")
    guard.start()
    assert guard.pid is not None
    os.kill(guard.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(guard.pid or 0), "the guard is gone")
    process = SupervisedProcess(
        "example", [sys.executable, "-c", SLEEPER], log_path=tmp_path / "log", guard=guard
    )
    with pytest.raises(LocalStackError, match="guard was killed"):
        process.start()
    assert not process.is_running
    guard.close()
