"""The cord between the runner (event loop) and the pipeline (a thread) of one attempt."""

from __future__ import annotations

import time
from collections.abc import Callable

from waybill.errors import DeadlineExceeded, LeaseLost, RunError
from waybill.jobs.job import Progress


class AttemptControl:
    """Progress goes up, the order to stop comes down: a ``pipeline.control.RunControl``.

    Two threads share it without a lock: each field has one writer, and is replaced whole.

    The lease's end is kept here too, and looked at by the pipeline's own thread: it stops in time
    even while the event loop waits for a database that does not answer.

    Args:
        deadline_seconds: how long the attempt may take from now on.
        held_until: until when the lease holds, by ``time.monotonic``, unless it is prolonged.
        on_expected: told, in the pipeline's thread, when it is known how many rows are coming.
    """

    def __init__(
        self,
        deadline_seconds: float,
        held_until: float,
        on_expected: Callable[[], None] | None = None,
    ) -> None:
        self._on_expected = on_expected
        self.deadline_seconds = deadline_seconds
        self._ends_at = time.monotonic() + deadline_seconds
        self._held_until = held_until
        self._reason: RunError | None = None
        self._progress = Progress()
        self._expected: int | None = None
        self._is_exact = False
        self._sharers = 1

    # -- the pipeline's side --------------------------------------------------------------------

    def check(self) -> None:
        """Raise the reason to stop, if there is one."""
        if self._reason is not None:
            raise self._reason
        now = time.monotonic()
        if now >= self._held_until:
            raise LeaseLost("The lease could not be renewed in time.")
        if now >= self._ends_at:
            raise DeadlineExceeded(self.deadline_seconds)

    def expect(self, rows: int | None, *, is_exact: bool) -> None:
        """Say how many rows are coming."""
        self._expected, self._is_exact = rows, is_exact
        self._progress = Progress(0, 0, rows, is_exact)
        if self._on_expected is not None:
            self._on_expected()

    def progress(self, rows: int, bytes_done: int) -> None:
        """Say how many rows and bytes are done. Cheap: nothing is written here."""
        self._progress = Progress(rows, bytes_done, self._expected, self._is_exact)

    def sharers(self) -> int:
        """Return how many exports read the source, this one among them."""
        return self._sharers

    # -- the runner's side ----------------------------------------------------------------------

    def snapshot(self) -> Progress:
        """Return the progress so far."""
        return self._progress

    def seconds_left(self) -> float:
        """Return the seconds until the deadline, 0 or more."""
        return max(0.0, self._ends_at - time.monotonic())

    def share_with(self, sharers: int) -> None:
        """Say how many exports read the source, this one among them."""
        self._sharers = max(sharers, 1)

    def hold_until(self, moment: float) -> None:
        """Prolong the lease to ``moment`` of ``time.monotonic``."""
        self._held_until = moment

    def stopped_because(self) -> RunError | None:
        """Return why the pipeline was told to stop, or has to; ``None`` while it may go on."""
        try:
            self.check()
        except RunError as reason:
            return reason
        return None

    def stop(self, reason: RunError) -> None:
        """Have the pipeline raise ``reason`` at its next check; the first reason stays."""
        if self._reason is None:
            self._reason = reason
