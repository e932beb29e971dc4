"""What an export does for the database it reads: how fast, when, and when it stands back.

Plain values, as the catalog has them (``[exports.NAME.polite]``); ``source.pace`` and the runner
keep to them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from waybill.catalog.query import normalise_query
from waybill.errors import ConfigurationError, OutsideHours

MB: Final = 1_000_000
_HOURS: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Hours:
    """The hours of a day in which exports begin, as clocks show them in ``timezone``.

    ``text`` is ``22:00-06:00``: from the first on, up to the second, over midnight if need be.
    Those that have begun may end whenever they do.

    Raises:
        ConfigurationError: it is not of that form, both are the same, or there is no such zone.
    """

    text: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        found = _HOURS.fullmatch(self.text)
        if found is None or found[1] + found[2] == found[3] + found[4]:
            raise ConfigurationError(
                f"hours = {self.text!r} is no part of a day. Write it as 22:00-06:00."
            )
        try:
            ZoneInfo(self.timezone)
        except (OSError, ValueError, KeyError) as exc:
            raise ConfigurationError(
                f"There is no time zone {self.timezone!r}. Write it as Europe/Berlin, or UTC."
            ) from exc

    def __str__(self) -> str:
        return f"{self.text} {self.timezone}"

    def opens_at(self, now: datetime) -> datetime | None:
        """Return when they begin next; ``None`` while they last."""
        begin, end = (time.fromisoformat(each) for each in self.text.split("-"))
        zone = ZoneInfo(self.timezone)
        here = now.astimezone(zone)
        clock = here.time().replace(tzinfo=None)
        is_open = begin <= clock < end if begin < end else clock >= begin or clock < end
        if is_open:
            return None
        # By the calendar, not by 24 hours: days on which clocks are changed are not that long.
        day = here.date() if clock < begin else here.date() + timedelta(days=1)
        return datetime.combine(day, begin, tzinfo=zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Politeness:
    """How an export treats its source. Nothing is limited by default.

    ``rows_per_second`` and ``mb_per_second`` (1,000,000 bytes, as PostgreSQL sends them) bound how
    fast rows are read, by one connection. ``max_lag_seconds`` (of the standby that is read from, or
    of those that follow the primary that is), ``max_active_sessions`` (of others) and
    ``health_query`` (one value: whether there is room for an export) say when the source is under
    pressure: nothing begins then, and what has begun pauses.
    """

    rows_per_second: float | None = None
    mb_per_second: float | None = None
    hours: Hours | None = None
    max_lag_seconds: float | None = None
    max_active_sessions: int | None = None
    health_query: str | None = None

    def __post_init__(self) -> None:
        for name in ("rows_per_second", "mb_per_second", "max_lag_seconds"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigurationError(f"{name} must be greater than 0.")
        if self.max_active_sessions is not None and self.max_active_sessions < 1:
            raise ConfigurationError("max_active_sessions must be at least 1.")
        if self.health_query is not None:
            object.__setattr__(self, "health_query", normalise_query(self.health_query))

    def over(self, general: Politeness) -> Politeness:
        """Return what is said here, and for what is not, what ``general`` says."""
        return Politeness(
            **{
                each.name: getattr(general, each.name) if own is None else own
                for each in fields(self)
                for own in (getattr(self, each.name),)
            }
        )

    @property
    def limits_rate(self) -> bool:
        """Whether rows are read no faster than a given rate."""
        return (self.rows_per_second, self.mb_per_second) != (None, None)

    @property
    def heeds_pressure(self) -> bool:
        """Whether the source is asked how it is."""
        return (self.max_lag_seconds, self.max_active_sessions, self.health_query) != (
            None,
            None,
            None,
        )

    @property
    def may_wait(self) -> bool:
        """Whether a job may have to wait for its source although a worker is free."""
        return self.hours is not None or self.heeds_pressure

    def seconds_for(self, *, rows: int = 0, bytes: int = 0) -> float:
        """Return how long that much takes at the rates that are set."""
        by_rows = rows / self.rows_per_second if self.rows_per_second else 0.0
        by_bytes = bytes / (self.mb_per_second * MB) if self.mb_per_second else 0.0
        return max(by_rows, by_bytes)


@dataclass(frozen=True, slots=True)
class Together:
    """What all exports of a source keep to together, whichever workers run them. Nothing is limited
    by default.

    ``max_running`` is how many of them run at a time; ``rows_per_second`` and ``mb_per_second`` are
    shared out equally among those that do, each of which keeps to its own ``polite`` as well.
    """

    max_running: int | None = None
    rows_per_second: float | None = None
    mb_per_second: float | None = None

    def __post_init__(self) -> None:
        if self.max_running is not None and self.max_running < 1:
            raise ConfigurationError("max_running must be at least 1.")
        _ = self.rate

    @property
    def rate(self) -> Politeness:
        """What one export keeps to that has the source to itself."""
        return Politeness(self.rows_per_second, self.mb_per_second)


def outside_hours(politeness: Politeness, now: datetime) -> OutsideHours | None:
    """Return what there is to say where exports do not begin at this hour."""
    if politeness.hours is None or (opens_at := politeness.hours.opens_at(now)) is None:
        return None
    return OutsideHours(str(politeness.hours), (opens_at - now).total_seconds())


NOT_LIMITED: Final = Politeness()
UNSHARED: Final = Together()
