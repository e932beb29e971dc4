"""The cord between the runner (event loop) and the pipeline (a thread) of one attempt."""

from __future__ import annotations

import time

from waybill.errors import DeadlineExceeded, RunError
from waybill.exports.job import Progress


class AttemptControl:
    """Progress goes up, the order to stop comes down: a ``pipeline.control.RunControl``.

    Two threads share it without a lock: each field has one writer, and is replaced whole.

    Args:
        deadline_seconds: how long the attempt may take from now on.
    """

    def __init__(self, deadline_seconds: float) -> None:
        self.deadline_seconds = deadline_seconds
        self._ends_at = time.monotonic() + deadline_seconds
        self._reason: RunError | None = None
        self._progress = Progress()
        self._expected: int | None = None
        self._is_exact = False

    # -- the pipeline's side --------------------------------------------------------------------

    def check(self) -> None:
        """Raise the reason to stop, if there is one."""
        if self._reason is not None:
            raise self._reason
        if time.monotonic() >= self._ends_at:
            raise DeadlineExceeded(self.deadline_seconds)

    def expect(self, rows: int | None, *, is_exact: bool) -> None:
        """Say how many rows are coming."""
        self._expected, self._is_exact = rows, is_exact
        self._progress = Progress(0, 0, rows, is_exact)

    def progress(self, rows: int, bytes_done: int) -> None:
        """Say how many rows and bytes are done. Cheap: nothing is written here."""
        self._progress = Progress(rows, bytes_done, self._expected, self._is_exact)

    # -- the runner's side ----------------------------------------------------------------------

    def snapshot(self) -> Progress:
        """Return the progress so far."""
        return self._progress

    def seconds_left(self) -> float:
        """Return the seconds until the deadline, 0 or more."""
        return max(0.0, self._ends_at - time.monotonic())

    def stop(self, reason: RunError) -> None:
        """Have the pipeline raise ``reason`` at its next check; the first reason stays."""
        if self._reason is None:
            self._reason = reason
