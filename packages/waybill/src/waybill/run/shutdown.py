"""The order to stop, which a parent process shares with its forked children."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
from collections.abc import Iterator
from types import FrameType


class ShutdownFlag:
    """Set by the parent when it is told to stop, read by children in the middle of an export.

    Anonymous shared memory: no lock that a killed process could leave taken, safe to set from a
    signal handler. Must be made before the fork.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)
        self._is_urgent_here = False

    def set(self) -> None:
        """Order every process to stop; exports under way may use the grace period."""
        self._memory[0] = 1

    def stop_now(self) -> None:
        """Order this process alone to give its export back at once. Its siblings, and the child
        that takes its place, go on working."""
        self._is_urgent_here = True

    def is_set(self) -> bool:
        """Return whether the order was given, in either form."""
        return self._is_urgent_here or self._memory[0] == 1

    def is_urgent(self) -> bool:
        """Return whether there is no grace."""
        return self._is_urgent_here


class ChildTermination:
    """Has a pool child give its export back when SIGTERM comes to the child itself.

    Celery resets SIGTERM to "die at once" in its children. They get it when an operator's tool
    signals the whole process group (systemd's ``KillMode=control-group``) and in Celery's own cold
    shutdown; dying in the middle would spend an attempt, and could land inside a commit.
    """

    def __init__(self, flag: ShutdownFlag) -> None:
        self._flag = flag
        self._is_busy = False
        self._is_due = False

    def install(self) -> None:
        """Catch the signal in this process, from its main thread; after the fork."""
        signal.signal(signal.SIGTERM, self._on_sigterm)

    @contextlib.contextmanager
    def postponed(self) -> Iterator[None]:
        """Let the block end, at once, should the signal come; then have it do what it did before:
        to a pool's child that is to die, to a worker without a pool, to end what it has begun."""
        # Each time: the pool sets its own handler after it let us initialise the process.
        former = signal.getsignal(signal.SIGTERM)
        self.install()
        self._is_busy = True
        try:
            yield
        finally:
            self._is_busy = False
            # ``None``: set by something that is not Python, and can't be put back by it.
            signal.signal(signal.SIGTERM, signal.SIG_DFL if former is None else former)
            if self._is_due:
                self._is_due = False
                if _is_of_pool(former):
                    _die()
                os.kill(os.getpid(), signal.SIGTERM)

    def _on_sigterm(self, _signum: int, _frame: FrameType | None) -> None:
        if not self._is_busy:
            _die()
        self._is_due = True
        self._flag.stop_now()


def _is_of_pool(handler: object) -> bool:
    """Return whether it is what Celery's pool has its children do: to raise ``SystemExit``, which
    would end the task, and have its message acknowledged."""
    return getattr(handler, "__module__", None) == "billiard.common"


def _die() -> None:
    # As Celery expects of its children: no cleanup, the message goes back to the queue.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)
