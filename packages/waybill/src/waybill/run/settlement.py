"""The fenced end of an attempt, written exactly once and reported as it really is.

A connection that breaks inside COMMIT leaves the client unable to tell whether the server did it
(and a server that stalls leaves it waiting). The database can tell: an attempt's history is
written in the same transaction as the change of its job.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum

from sqlalchemy.exc import SQLAlchemyError

from waybill.jobs.attempts import AttemptOutcome, Cause
from waybill.jobs.job import Lease
from waybill.jobs.leases import LeaseRepository
from waybill.log import get_logger

log = get_logger(__name__)

DATABASE_ERRORS = (SQLAlchemyError, OSError, TimeoutError)
WRITE_TIMEOUT_SECONDS = 5.0
_PAUSE_SECONDS = 0.5


class Outcome(StrEnum):
    """What a message for a job came to."""

    SKIPPED = "skipped"
    COMPLETED = "completed"
    RETRIED = "retried"
    FAILED = "failed"
    GIVEN_BACK = "given_back"
    LEASE_LOST = "lease_lost"
    UNSETTLED = "unsettled"


class Settlement:
    """Ends attempts. ``patience_seconds``: how long it tries, the length of a lease; after that
    the sweeper has ended the attempt, or will."""

    def __init__(self, leases: LeaseRepository, *, patience_seconds: float) -> None:
        self._leases = leases
        self._patience_seconds = patience_seconds

    async def settle(
        self, lease: Lease, write: Callable[[], Awaitable[bool]], intended: AttemptOutcome
    ) -> Outcome:
        """Make one fenced ``write`` and return what became of it.

        Writing again is safe: a second write waits for the first, should the server still be at
        it, and then matches no row, because the first took the token away.
        """
        give_up_at = time.monotonic() + self._patience_seconds
        while time.monotonic() < give_up_at:
            try:
                async with asyncio.timeout(WRITE_TIMEOUT_SECONDS):
                    if await write():
                        return Outcome(intended.value)
                    return await self._what_became(lease, intended)
            except DATABASE_ERRORS as exc:
                log.warning(
                    "export.write_failed", error=type(exc).__name__, intended=intended.value
                )
                await asyncio.sleep(_PAUSE_SECONDS)
        log.error("export.unsettled", intended=intended.value)
        return Outcome.UNSETTLED

    async def _what_became(self, lease: Lease, intended: AttemptOutcome) -> Outcome:
        attempt = await self._leases.find_attempt(lease)
        # Only the holder of the token ends an attempt, or somebody who declares it lost.
        if attempt and attempt.outcome is intended and attempt.cause is not Cause.WORKER_LOST:
            log.info("export.write_found", outcome=intended.value)
            return Outcome(intended.value)
        ended = attempt.outcome.value if attempt and attempt.outcome else None
        log.warning("export.lease_lost", intended=intended.value, ended=ended)
        return Outcome.LEASE_LOST
