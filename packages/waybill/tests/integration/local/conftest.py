"""These tests kill, stop and restart what they use, so they share no stack with other tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from waybill.local.guard import ProcessGuard
from waybill.local.stack import LocalStack

_DEADLINE_SECONDS = 30.0
# What a shell runs in the background ignores SIGINT, and so would a script of tests run there.
_INTERRUPTIBLE = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll ``condition``; fail the test if it stays false."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"Not within {_DEADLINE_SECONDS:g} s: {what}")
        time.sleep(0.02)


def processes_in(directory: Path) -> list[psutil.Process]:
    """The live processes whose working directory lies in ``directory``."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if Path(process.cwd()).is_relative_to(directory):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def is_alive(pid: int) -> bool:
    """Whether ``pid`` is a process that has not ended."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Script:
    """A Python program of a test, run as a process to be killed."""

    def __init__(self, source: str, *arguments: str) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self._popen = subprocess.Popen(
            [sys.executable, "-c", _INTERRUPTIBLE + source, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=environment,
            text=True,
            start_new_session=True,
        )
        self.pid = self._popen.pid

    def read_line(self) -> str:
        """Wait for its next line of output."""
        assert self._popen.stdout is not None
        line = self._popen.stdout.readline()
        if not line:
            _, errors = self._popen.communicate(timeout=_DEADLINE_SECONDS)
            pytest.fail(f"The script ended without a word:\n{errors}")
        return line.strip()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it alone."""
        self._popen.send_signal(number)

    def wait(self) -> int:
        """Wait until it ended; its exit status."""
        return self._popen.wait(_DEADLINE_SECONDS)

    def close(self) -> None:
        """Kill it if need be."""
        if self._popen.poll() is None:
            self._popen.kill()
        self._popen.communicate(timeout=_DEADLINE_SECONDS)


@pytest.fixture
def run_script() -> Iterator[Callable[..., Script]]:
    scripts: list[Script] = []

    def run(source: str, *arguments: object) -> Script:
        scripts.append(Script(source, *(str(argument) for argument in arguments)))
        return scripts[-1]

    yield run
    for script in scripts:
        script.close()


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[ProcessGuard]:
    guard = ProcessGuard(tmp_path / "processes.json")
    guard.start()
    yield guard
    guard.close()


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A running stack. Its directory has a name with a space and a long path on purpose."""
    directory = tmp_path_factory.mktemp("stack") / "data of a stack" / ("long" * 20)
    with LocalStack(directory, fast=True) as stack:
        yield stack
