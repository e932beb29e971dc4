"""How many bytes a connection has received: what libpq has of a row before it gives it."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from typing import Final

_TCP_INFO: Final = 11
_BYTES_RECEIVED: Final = slice(128, 136)
"""``tcpi_bytes_received`` of Linux' ``struct tcp_info`` (since 4.1)."""


class Arrivals:
    """Counts what the kernel has received for a socket. 0 for ever where it does not say (a local
    socket, another system): rows are then measured when libpq gives them."""

    def __init__(self, descriptor: int) -> None:
        self._socket: socket.socket | None = None
        if sys.platform == "linux":
            self._socket = socket.socket(fileno=os.dup(descriptor))
            if self._socket.family not in {socket.AF_INET, socket.AF_INET6}:
                self.close()

    def count(self) -> int:
        """Return the bytes received since the connection was made."""
        if self._socket is None:
            return 0
        with contextlib.suppress(OSError):
            info = self._socket.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _BYTES_RECEIVED.stop)
            return int.from_bytes(info[_BYTES_RECEIVED], sys.byteorder)
        return 0

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
