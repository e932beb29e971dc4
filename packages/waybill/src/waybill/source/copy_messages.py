"""How the messages of a COPY are taken: many at once, and out of the binary format's framing.

PostgreSQL sends 8 KiB at a time, and whoever reads as it comes is woken for each: 43,000 times for
1,000,000 users, which cost the backend 0.4 CPU s and the reader as much. So a reader of many rows
pauses before it waits: in two milliseconds 50 to 400 KiB arrive. libpq takes no more than 16 KiB
from the socket at once, unless a longer message has made it enlarge its buffer, which it keeps.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Final

from psycopg import sql

from waybill.errors import IncompleteExport

LONG_MESSAGE: Final = sql.SQL("SELECT pg_catalog.repeat('x', 280000)")
"""Its answer makes libpq's buffer 512 KiB: it doubles until a message fits."""

_PAUSE_SECONDS: Final = 0.002
_PROMPT_BYTES: Final = 64 * 1024
"""Of every COPY, what is taken as it comes: small ones never wait."""
_POOR_BYTES: Final = 16 * 1024
_POOR_PAUSES: Final = 8
"""So many pauses in a row that bring so little end them: the server is slower, or TLS, of which
libpq takes one record at a time, makes every pause bring 8 KiB."""

# FORMAT binary (PostgreSQL documentation, COPY): no flags, no extension of the header; before each
# value 2 bytes of column count and 4 of length.
_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_take_value: Final = itemgetter(slice(6, None))


class Pauses:
    """Decides, before a wait for input, whether to let more arrive first."""

    def __init__(self) -> None:
        self._last = 0
        self._poor = 0
        self._is_paused = False

    def before_waiting(self, taken: int) -> None:
        """Pause, if that pays. ``taken``: bytes of this COPY so far."""
        if self._is_paused:
            self._poor = self._poor + 1 if taken - self._last <= _POOR_BYTES else 0
        self._last = taken
        self._is_paused = taken >= _PROMPT_BYTES and self._poor < _POOR_PAUSES
        if self._is_paused:
            time.sleep(_PAUSE_SECONDS)


def unframed(
    batches: Iterable[list[bytes | memoryview]],
) -> Iterator[list[bytes | memoryview]]:
    """Yield the values of a ``FORMAT binary`` COPY of one column, as many at a time as come.

    Raises:
        IncompleteExport: the messages are no such COPY, or not all of it.
    """
    is_begun = is_ended = False
    for messages in batches:
        if not is_begun:
            head = bytes(messages[0])
            if not head.startswith(_HEADER):
                raise IncompleteExport("PostgreSQL's rows do not begin like a binary COPY.")
            messages[0] = head[len(_HEADER) :]
            if not messages[0]:
                del messages[0]
            is_begun = True
        if messages and messages[-1] == _TRAILER:
            del messages[-1]
            is_ended = True
        if messages:
            yield list(map(_take_value, messages))
    if not is_ended:
        raise IncompleteExport("PostgreSQL's rows do not end like a binary COPY.")
