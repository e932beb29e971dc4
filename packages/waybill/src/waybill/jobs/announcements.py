"""Notes of which new jobs' messages went out, several in one statement and behind the answer.

A note keeps the sweeper from sending the message once more, which would do no harm; nobody's answer
depends on it. So the API gathers them for a moment: one statement and one commit less for each job,
and for one that a worker has claimed by then there is nothing to write.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from waybill.log import get_logger

log = get_logger(__name__)

_GATHER_SECONDS: Final = 0.05
_END_SECONDS: Final = 2.0


class Announcements:
    """For one event loop.

    Args:
        write: writes the note of each job (``ExportRepository.mark_announced``).
    """

    def __init__(self, write: Callable[[Sequence[UUID]], Awaitable[None]]) -> None:
        self._write = write
        self._waiting: list[UUID] = []
        self._is_gathering = False
        self._something_waits = asyncio.Event()

    async def note(self, export_id: UUID) -> None:
        """Note that the message of a new job went out: soon where that is gathered, else now.

        What cannot be noted is logged: the sweeper sends the message again.
        """
        self._waiting.append(export_id)
        if self._is_gathering:
            self._something_waits.set()
        else:
            await self._write_all()

    @asynccontextmanager
    async def gathered(self) -> AsyncIterator[None]:
        """Gather notes for the block, at whose end all are written."""
        self._is_gathering = True
        gathering = asyncio.create_task(self._gather(), name="waybill-announcements")
        is_loop_there = True
        try:
            yield
        except GeneratorExit:
            # An application that ran it without a lifespan, and whose loop went first: whoever
            # waits now waits for nobody, and the sweeper sends what was not noted.
            is_loop_there = False
            raise
        finally:
            self._is_gathering = False
            if is_loop_there:
                self._something_waits.set()
                with suppress(TimeoutError):
                    await asyncio.wait_for(gathering, _END_SECONDS)

    async def _gather(self) -> None:
        while self._is_gathering:
            await self._something_waits.wait()
            self._something_waits.clear()
            if self._is_gathering:
                await asyncio.sleep(_GATHER_SECONDS)
            await self._write_all()

    async def _write_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        try:
            await self._write(waiting)
        except (SQLAlchemyError, OSError) as exc:  # TimeoutError is an OSError
            log.warning("queue.note_lost", jobs=len(waiting), error=type(exc).__name__)
