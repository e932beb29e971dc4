"""Free loopback ports, and the same ones again at the next start.

Ports are drawn from below the ephemeral ranges of Linux (32768 up) and macOS (49152 up). Inside
such a range an outgoing connection may take a port between the moment it is found free and the
moment a service binds it; and a client polling a port of that range on its own host can connect
to itself.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import threading
from collections.abc import Mapping
from pathlib import Path

from waybill.local.errors import LocalStackError, PortInUse
from waybill.private_files import write_private

LOOPBACK = "127.0.0.1"
_FIRST, _LAST = 20_000, 32_000
_DRAWS = 200


def is_free(port: int) -> bool:
    """Whether a service could listen on ``port`` of the loopback address now."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        # What servers set: connections in TIME_WAIT do not count, a listener does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def draw_free_port(excluding: frozenset[int] = frozenset()) -> int:
    """Return a free loopback port.

    Raises:
        LocalStackError: none of the ports drawn is free.
    """
    for _ in range(_DRAWS):
        port = random.randint(_FIRST, _LAST)  # noqa: S311 (no secret: two stacks must differ)
        if port not in excluding and is_free(port):
            return port
    raise LocalStackError(
        f"No free port found on {LOOPBACK} between {_FIRST} and {_LAST}. "
        "Stop programs that listen there."
    )


class PortBook:
    """Which service has which port. Remembered in a file, so that addresses stay the same.

    Args:
        path: the JSON file to remember in.
        fixed: ports the user asked for by number: used as they are, or refused.
    """

    def __init__(self, path: Path, fixed: Mapping[str, int]) -> None:
        self._path = path
        self._fixed = dict(fixed)
        self._lock = threading.Lock()
        self._given: dict[str, int] = {}
        self._remembered = self._read()

    def _read(self) -> dict[str, int]:
        try:
            content = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}  # nothing is lost but the ports' numbers
        if not isinstance(content, dict):
            return {}
        return {name: port for name, port in content.items() if isinstance(port, int)}

    def port(self, name: str) -> int:
        """The port called ``name``; the same one on every call.

        Raises:
            PortInUse: the port was asked for by number and is taken.
        """
        with self._lock:
            if name not in self._given:
                self._given[name] = self._choose(name)
                write_private(self._path, json.dumps(self._remembered | self._given, indent=2))
            return self._given[name]

    def _choose(self, name: str) -> int:
        if name in self._fixed:
            if not is_free(self._fixed[name]):
                raise PortInUse(service=name, port=self._fixed[name])
            return self._fixed[name]
        spoken_for = frozenset(self._given.values()) | frozenset(self._fixed.values())
        before = self._remembered.get(name)
        if before is not None and before not in spoken_for and is_free(before):
            return before
        # Remembered ports of services that have not asked yet stay theirs.
        return draw_free_port(spoken_for | frozenset(self._remembered.values()))

    def replace_taken(self, names: tuple[str, ...]) -> bool:
        """Forget those of ``names`` whose port something else took; whether there were any.

        Raises:
            PortInUse: one of them was asked for by number.
        """
        with self._lock:
            taken = [n for n in names if n in self._given and not is_free(self._given[n])]
            for name in taken:
                if name in self._fixed:
                    raise PortInUse(service=name, port=self._fixed[name])
                self._remembered.pop(name, None)
                del self._given[name]
            return bool(taken)

    def is_taken(self, name: str) -> bool:
        """Whether something listens on the port called ``name``."""
        return not is_free(self.port(name))
