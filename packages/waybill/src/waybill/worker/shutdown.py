"""One bit that a parent process and its forked children share."""

from __future__ import annotations

import mmap


class ShutdownFlag:
    """Set by the parent when it is told to stop, read by children in the middle of an export.

    Anonymous shared memory: no lock that a killed process could leave taken, safe to set from a
    signal handler. Must be made before the fork.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)

    def set(self) -> None:
        self._memory[0] = 1

    def is_set(self) -> bool:
        return self._memory[0] == 1
