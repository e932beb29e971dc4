"""Small jobs side by side in one process: while one waits for the network, another goes on.

A job of 1,000 rows waits for S3 and PostgreSQL most of its life, and a process for each that waits
is 100 MiB. So whoever runs small jobs takes more along, into the same event loop; each has its own
thread, lease, heartbeat and end, as if it were alone. ADR-0041 says who may be with whom.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from waybill.errors import RunStopped
from waybill.formats import ENCODERS
from waybill.jobs.job import ExportJob, Lease
from waybill.log import get_logger
from waybill.run.answered import ANSWERED
from waybill.run.control import AttemptControl
from waybill.run.settlement import Outcome

log = get_logger(__name__)

SMALL_ROWS: Final = 10_000
SMALL_BYTES: Final = 8 * 1024 * 1024
"""What of a small job's file there is at most: rows may be wide."""
TAKEN_PER_PLACE: Final = 8
TAKING_SECONDS: Final = 30.0
"""A message takes jobs along for so long, and so many for each place, however many are due: its
process is looked at between two messages (memory, age, orders to stop), and the time limit of a
host's Celery is that of one job and two minutes."""
PATIENCE_SECONDS: Final = 10.0
"""How long a job that has to be alone waits for the others before it is given back."""
_LOOK_SECONDS: Final = 0.1


@dataclass(slots=True, eq=False)
class Member:
    """A job that runs in this process.

    Attributes:
        asked_at: when its claim was asked for, by ``time.monotonic``.
        control: its pipeline's, once there is one.
        beside: how many ran here already when it came.
    """

    job: ExportJob
    lease: Lease
    asked_at: float
    company: Company
    beside: int = 0
    control: AttemptControl | None = None

    @property
    def is_harmless(self) -> bool:
        """Whether nothing says that it could kill its process. An attempt that ended without a word
        may have; and a job that has no second attempt must not lose its only one to another's."""
        return self.lease.attempt == 1 and self.job.max_attempts > 1

    @property
    def is_small(self) -> bool:
        """Whether it is known to need little: few rows, counted, in a format that does not keep a
        processor and Arrow's memory busy; and nothing has told it to stop."""
        if self.control is None or self.control.stopped_because() is not None:
            return False
        encoder = ENCODERS.get(self.job.format)
        if encoder is None or encoder.needs:
            return False
        progress = self.control.snapshot()
        return (
            progress.is_exact
            and (progress.rows_expected or 0) <= SMALL_ROWS
            and progress.bytes <= SMALL_BYTES
        )

    async def may_begin(self, control: AttemptControl) -> None:
        """Wait until it may read. Its heartbeat goes on.

        Raises:
            RunError: it was told to stop, or waited for too long to be alone.
        """
        self.control = control
        if self.is_harmless:
            return
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while not self.company.has_only(self):
            control.check()
            if time.monotonic() >= give_up_at:
                self.company.close()  # or it might be taken again at once
                raise RunStopped("A job that must be alone waited for others for too long.")
            await asyncio.sleep(_LOOK_SECONDS)


class Company:
    """The jobs of one message.

    Args:
        notified: the job that the message names, which need not be one that it runs.
        claim: takes another job, if one is due.
        run: runs one to its end.
        places: how many may be here at a time.
        is_stopping: whether this process was told to stop.
    """

    def __init__(
        self,
        notified: UUID,
        claim: Callable[[Company], Awaitable[Member | None]],
        run: Callable[[Member], Awaitable[Outcome]],
        *,
        places: int,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._notified = notified
        self._claim = claim
        self._run = run
        self._places = places
        self._is_stopping = is_stopping
        self._taken = 0
        self._takes_until = time.monotonic() + TAKING_SECONDS
        self._is_more_due = False
        self._is_its_own_here = False
        self._members: dict[Member, asyncio.Task[Outcome]] = {}
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def run(self, first: Member) -> Outcome:
        """Run ``first``, and others beside it; return what became of ``first`` when all are over.

        What one raises is its own: that of ``first`` is raised here, that of others is logged.
        """
        own = self._begin(first)
        try:
            while self._members:
                self._changed.clear()
                if self._may_take():
                    await self._take()
                else:
                    await self._changed.wait()
        finally:
            # Cancelled from outside, or nobody is left.
            left = list(self._members.values())
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        return own.result()

    def has_only(self, member: Member) -> bool:
        """Return whether nobody else runs here."""
        return self._members.keys() <= {member}

    def close(self) -> None:
        """Take nobody else."""
        self._takes_until = 0.0

    def look(self) -> None:
        """Have it looked again whether another may be taken; from any thread."""
        # A pipeline that was abandoned may outlive the loop.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._changed.set)

    def _may_take(self) -> bool:
        return (
            self._is_more_due
            and len(self._members) < self._places
            and self._taken < self._places * TAKEN_PER_PLACE
            and time.monotonic() < self._takes_until
            and not self._is_stopping()
            and all(each.is_harmless and each.is_small for each in self._members)
        )

    async def _take(self) -> None:
        # Whatever comes of it is known to the next look.
        self._is_more_due = False
        try:
            member = await self._claim(self)
        except Exception as exc:
            # As much as a message that could not be answered: the sweeper publishes again.
            log.warning("export.company_deferred", error=type(exc).__name__)
            return
        if member is not None:
            self._taken += 1
            member.beside = len(self._members)
            self._begin(member, is_own=False)

    def _begin(self, member: Member, *, is_own: bool = True) -> asyncio.Task[Outcome]:
        self._is_more_due = member.lease.is_more_due
        self._is_its_own_here |= member.job.id == self._notified

        def over(task: asyncio.Task[Outcome]) -> None:
            del self._members[member]
            self._changed.set()
            if task.cancelled():
                return
            if task.exception() is None:
                if task.result() is Outcome.COMPLETED:
                    self._done(member.job.id, is_own=is_own)
            elif not is_own:
                log.error(
                    "export.unexpected_error",
                    export_id=str(member.job.id),
                    exc_info=task.exception(),
                )

        task = asyncio.ensure_future(self._run(member))
        self._members[member] = task
        task.add_done_callback(over)
        return task

    def _done(self, job_id: UUID, *, is_own: bool) -> None:
        # Of those done by one message, one answers it: the job that it names, else the first. Each
        # of the others leaves its own message over. What is not completed may be published anew
        # under the same name, so it is left to a claim.
        if is_own and not self._is_its_own_here:
            return
        if job_id != self._notified:
            ANSWERED.add(job_id)
