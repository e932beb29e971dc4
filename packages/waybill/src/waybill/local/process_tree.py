"""A process with all its descendants, each known by number *and* start time.

A number alone may belong to a stranger by the time a signal is sent. A process group alone is
not enough either: PostgreSQL puts each backend into a session of its own.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil  # type: ignore[import-untyped, unused-ignore]

_POLL_SECONDS = 0.01
_KILLED_WITHIN_SECONDS = 5.0
# Start times are read from the kernel in clock ticks; the same process always reads the same.
_SAME_START_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process's number and when it started, in seconds since the epoch."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> Self:
        """The identity of the live process ``pid``; ``created`` is 0 if it is gone."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return cls(pid, 0.0)


def working_directory_of(pid: int) -> Path | None:
    """The working directory of the live process ``pid``, or ``None`` if it cannot be told."""
    try:
        return Path(psutil.Process(pid).cwd())
    except (psutil.Error, OSError):
        return None


def _is_alive(process: psutil.Process) -> bool:
    try:
        if not process.is_running():
            return False
        # A zombie has ended, and whether its parent collects it is not our concern; unless only
        # its first thread has ended, and the others still hold its files and ports.
        return bool(process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1)
    except psutil.NoSuchProcess:
        return False


class ProcessTree:
    """The processes that descended from a root at the moment this was made."""

    def __init__(self, root: psutil.Process) -> None:
        self._root = root
        try:
            self._members: list[psutil.Process] = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            self._members = [root]

    @classmethod
    def of(cls, identity: ProcessIdentity) -> Self | None:
        """The tree below ``identity``, or ``None`` if that process is gone."""
        try:
            root = psutil.Process(identity.pid)
            same = abs(root.create_time() - identity.created) < _SAME_START_SECONDS
        except psutil.NoSuchProcess:
            return None
        return cls(root) if same and _is_alive(root) else None

    @property
    def pids(self) -> tuple[int, ...]:
        """The process numbers, the root's first."""
        return tuple(member.pid for member in self._members)

    def signal_root(self, number: signal.Signals) -> None:
        """Send ``number`` to the root alone."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._root.send_signal(number)

    def signal_all(self, number: signal.Signals) -> None:
        """Send ``number`` to every member, the root first, so that it starts no replacement."""
        for member in self._members:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.send_signal(number)

    def _alive(self) -> Iterator[psutil.Process]:
        return (member for member in self._members if _is_alive(member))

    def wait_gone(self, seconds: float) -> bool:
        """Wait until every member ended; whether that came within ``seconds``."""
        deadline = time.monotonic() + seconds
        while any(self._alive()):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def kill(self) -> None:
        """Kill every member that is still alive and wait until it is gone."""
        self.signal_all(signal.SIGKILL)
        self.wait_gone(_KILLED_WITHIN_SECONDS)
