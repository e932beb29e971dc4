from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import OperationalError

from waybill.jobs import announcements
from waybill.jobs.announcements import Announcements

from ...logged import logged

FIRST, SECOND, THIRD = (uuid4() for _ in range(3))


class Notes:
    def __init__(self) -> None:
        self.written: list[list[UUID]] = []
        self.wrote = asyncio.Event()
        self.failure: Exception | None = None

    async def write(self, export_ids: Sequence[UUID]) -> None:
        self.written.append(list(export_ids))
        self.wrote.set()
        if self.failure is not None:
            raise self.failure


async def test_note_is_written_at_once_where_nobody_gathers() -> None:
    notes = Notes()
    await Announcements(notes.write).note(FIRST)
    assert notes.written == [[FIRST]]


async def test_notes_of_a_moment_are_one_statement_behind_the_answers() -> None:
    notes = Notes()
    found = Announcements(notes.write)
    async with found.gathered():
        await found.note(FIRST)
        await found.note(SECOND)
        assert notes.written == []
        await asyncio.wait_for(notes.wrote.wait(), 30)
        assert notes.written == [[FIRST, SECOND]]
        await found.note(THIRD)
    assert notes.written == [[FIRST, SECOND], [THIRD]]
    await found.note(FIRST)
    assert notes.written[2:] == [[FIRST]]


def test_nobody_is_waited_for_where_the_loop_went_first() -> None:
    found = Announcements(Notes().write)

    async def forever() -> None:
        async with found.gathered():
            await asyncio.Event().wait()

    left = forever()

    async def begin() -> None:
        left.send(None)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    left.close()


@pytest.mark.parametrize(
    "failure",
    [OperationalError("UPDATE", {}, Exception("secret")), ConnectionError(), TimeoutError()],
)
async def test_note_that_is_lost_is_said_and_the_next_is_written(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = logged(monkeypatch, announcements)
    notes = Notes()
    notes.failure = failure
    found = Announcements(notes.write)
    async with found.gathered():
        await found.note(FIRST)
        await asyncio.wait_for(notes.wrote.wait(), 30)
        notes.failure = None
        await found.note(SECOND)
    assert notes.written == [[FIRST], [SECOND]]
    (line,) = lines.entries
    assert (line["event"], line["jobs"], line["error"]) == (
        "queue.note_lost", 1, type(failure).__name__,
    )  # fmt: skip
