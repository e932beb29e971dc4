"""Time comes in. Domain code asks a ``Clock``; only tests and ``bootstrap`` choose which.

Leases are not measured with this clock: they live on the database server's clock alone, so that
two machines can never disagree about who owns a job.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Return the present moment, timezone-aware, in UTC."""
        ...


class SystemClock:
    """The machine's own clock, moved by ``offset_seconds`` (a rehearsal of next week: the setting
    ``WAYBILL_CLOCK_OFFSET_SECONDS`` lets expiry be tried on a running service)."""

    def __init__(self, offset_seconds: float = 0.0) -> None:
        self._offset = timedelta(seconds=offset_seconds)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset


def instant_text(moment: datetime) -> str:
    """Return an instant as every document has it: RFC 3339 in UTC, ``2026-05-01T12:00:00.5Z``."""
    return moment.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
