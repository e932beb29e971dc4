"""What a run asks of the one who started it."""

from __future__ import annotations

from typing import Protocol

POLL_SECONDS = 0.25
"""Every wait of a run (for PostgreSQL, for an upload) wakes this often to call ``check``. That
bounds how late a lost lease or a deadline is noticed while a server is silent, without a wake-up
descriptor; a wait that has data to work on costs nothing extra."""


class RunControl(Protocol):
    """The run's line to its owner. Called from the run's thread only; both calls must be cheap
    (in memory), because they come thousands of times."""

    def progress(self, rows: int, bytes_done: int) -> None:
        """Take note: ``rows`` and ``bytes_done`` encoded so far in this attempt. Called at least
        every 1,000 rows."""
        ...

    def check(self) -> None:
        """Return while the run may go on.

        Raises:
            LeaseLost, RunStopped, DeadlineExceeded: the run must stop at once.
        """
        ...
