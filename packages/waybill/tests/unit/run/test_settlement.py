"""What a settlement says became of an attempt, by what the database answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import pytest

from waybill.jobs.attempts import AttemptOutcome, Cause, ExportAttempt
from waybill.jobs.job import Lease
from waybill.jobs.leases import LeaseRepository
from waybill.run import settlement
from waybill.run.settlement import Outcome, Settlement

LEASE = Lease(export_id=uuid4(), token=uuid4(), attempt=1)


class History:
    """The attempt as the database has it."""

    def __init__(self, found: ExportAttempt | None) -> None:
        self.found = found

    async def find_attempt(self, lease: Lease) -> ExportAttempt | None:
        assert lease is LEASE
        return self.found


def attempt(outcome: AttemptOutcome | None, cause: Cause | None = None) -> ExportAttempt:
    return ExportAttempt(
        LEASE.export_id, 1, "w/1/a", datetime.now(UTC), outcome=outcome, cause=cause
    )


def settling(found: ExportAttempt | None, *, patience_seconds: float = 60) -> Settlement:
    leases = cast("LeaseRepository", History(found))
    return Settlement(leases, patience_seconds=patience_seconds)


def answering(*answers: bool | Exception) -> Callable[[], Awaitable[bool]]:
    left = iter(answers)

    async def write() -> bool:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return write


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settlement, "_PAUSE_SECONDS", 0)


@pytest.mark.parametrize(
    "intended",
    [
        AttemptOutcome.COMPLETED,
        AttemptOutcome.RETRIED,
        AttemptOutcome.FAILED,
        AttemptOutcome.GIVEN_BACK,
    ],
)
async def test_write_that_holds_is_what_was_intended(intended: AttemptOutcome) -> None:
    outcome = await settling(None).settle(LEASE, answering(True), intended)

    assert outcome == Outcome(intended.value)


async def test_write_whose_answer_was_lost_is_found_in_the_history() -> None:
    found = attempt(AttemptOutcome.COMPLETED)

    outcome = await settling(found).settle(
        LEASE, answering(ConnectionError("gone"), False), AttemptOutcome.COMPLETED
    )

    assert outcome is Outcome.COMPLETED


@pytest.mark.parametrize("intended", [AttemptOutcome.RETRIED, AttemptOutcome.FAILED])
async def test_end_that_somebody_else_wrote_for_a_lost_worker_is_not_ours(
    intended: AttemptOutcome,
) -> None:
    """The sweeper ends an attempt with the very outcome that this one intends."""
    ended = attempt(intended, Cause.WORKER_LOST)
    assert await settling(ended).settle(LEASE, answering(False), intended) is Outcome.LEASE_LOST

    ended = attempt(intended, Cause.TRANSIENT)
    assert await settling(ended).settle(LEASE, answering(False), intended) == intended.value


@pytest.mark.parametrize(
    "found",
    [None, attempt(None), attempt(AttemptOutcome.CANCELLED), attempt(AttemptOutcome.RETRIED)],
    ids=["unknown", "still running", "cancelled", "retried"],
)
async def test_other_end_than_the_intended_is_a_lost_lease(found: Any) -> None:
    outcome = await settling(found).settle(LEASE, answering(False), AttemptOutcome.COMPLETED)

    assert outcome is Outcome.LEASE_LOST


async def test_database_that_never_answers_leaves_it_unsettled() -> None:
    found = attempt(AttemptOutcome.COMPLETED)
    tries = 0

    async def write() -> bool:
        nonlocal tries
        tries += 1
        raise TimeoutError

    outcome = await settling(found, patience_seconds=0.05).settle(
        LEASE, write, AttemptOutcome.COMPLETED
    )

    assert outcome is Outcome.UNSETTLED
    assert tries > 1


async def test_defect_is_not_taken_for_a_database_away() -> None:
    with pytest.raises(ZeroDivisionError):
        await settling(None).settle(
            LEASE, answering(ZeroDivisionError("ours")), AttemptOutcome.COMPLETED
        )
