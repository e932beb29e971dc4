"""Which process runs an attempt, and whether a process known to have run one is dead."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass


def new_family() -> str:
    """Return a name for a worker and the children it will fork; made once, before the fork."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """A process: its host and number, for people, and its family.

    Numbers repeat across containers, hosts and reboots; a family does not. Only within one's own
    family (a parent and its children, so one process-number space) does a missing number prove
    that the process is dead.
    """

    host: str
    pid: int
    family: str

    @classmethod
    def current(cls, family: str) -> WorkerIdentity:
        """Return this process's identity; ask after the fork."""
        return cls(socket.gethostname(), os.getpid(), family)

    @classmethod
    def parse(cls, text: str) -> WorkerIdentity | None:
        """Read what ``str`` wrote; ``None`` for anything else."""
        host, _, rest = text.partition("/")
        pid, _, family = rest.partition("/")
        if not (host and pid.isascii() and pid.isdecimal() and family):
            return None
        return cls(host, int(pid), family)

    def __str__(self) -> str:
        return f"{self.host}/{self.pid}/{self.family}"

    def has_died(self, holder: str) -> bool:
        """Return whether ``holder`` was of our family and is certainly dead. ``False`` also means
        "not known": then the lease runs out by itself."""
        other = self.parse(holder)
        if other is None or other.family != self.family or other.pid == self.pid:
            return False
        try:
            os.kill(other.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False  # the number belongs to somebody else's process by now
        return False
