"""Messages that have nothing left to say: those of jobs that others' messages took along.

Each costs a worker two statements: a claim that finds nothing, and a look for dead siblings.
Whoever took a job along knows better, and tells the processes beside it: they were forked from one
parent, and share what it mapped.
"""

from __future__ import annotations

import mmap
from typing import Final
from uuid import UUID

_ID_BYTES: Final = 16
_PLACES: Final = 4096


class AnsweredMessages:
    """The jobs whose next message needs no claim; for this process and those forked from it.

    Without a lock: an id that another overwrites, or that is half written, is not found, and its
    message costs a claim as any other. An id that is found was written, and is found once.
    """

    def __init__(self) -> None:
        self._places = mmap.mmap(-1, _PLACES * _ID_BYTES)

    def add(self, job_id: UUID) -> None:
        """Note that a job has been done by another message than its own."""
        place = _place(job_id)
        self._places[place] = job_id.bytes

    def take(self, job_id: UUID) -> bool:
        """Return whether the message that names this job is such a one. It is so once: a second
        message was published for another reason."""
        place = _place(job_id)
        if self._places[place] != job_id.bytes:
            return False
        self._places[place] = bytes(_ID_BYTES)
        return True


def _place(job_id: UUID) -> slice:
    first = (job_id.int % _PLACES) * _ID_BYTES
    return slice(first, first + _ID_BYTES)


# Made where the module is imported, which is before a worker forks.
ANSWERED: Final = AnsweredMessages()
