"""What ``polite`` says, and when its hours are."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from waybill.catalog.politeness import Hours, Politeness, outside_hours
from waybill.catalog.problems import CatalogFileError
from waybill.catalog.toml import parse_catalog
from waybill.errors import ConfigurationError

TYPE = '[exports.users]\ntable = "users"\n'


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("hours", "now", "opens_at"),
    [
        (Hours("09:00-17:00"), "2026-05-01T09:00:00Z", None),
        (Hours("09:00-17:00"), "2026-05-01T16:59:59Z", None),
        (Hours("09:00-17:00"), "2026-05-01T17:00:00Z", "2026-05-02T09:00:00Z"),
        (Hours("09:00-17:00"), "2026-05-01T08:59:59Z", "2026-05-01T09:00:00Z"),
        (Hours("22:00-06:00"), "2026-05-01T22:00:00Z", None),
        (Hours("22:00-06:00"), "2026-05-01T05:59:00Z", None),
        (Hours("22:00-06:00"), "2026-05-01T06:00:00Z", "2026-05-01T22:00:00Z"),
        (Hours("22:00-06:00", "Europe/Berlin"), "2026-05-01T20:30:00Z", None),
        (Hours("22:00-06:00", "Europe/Berlin"), "2026-05-01T19:30:00Z", "2026-05-01T20:00:00Z"),
        # The clocks are put back in this night: it has 25 hours.
        (Hours("06:00-07:00", "Europe/Berlin"), "2026-10-24T05:30:00Z", "2026-10-25T05:00:00Z"),
        # And in this one forward, over the very hour: it begins when there is such a time.
        (Hours("02:30-04:00", "Europe/Berlin"), "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z"),
    ],
)
def test_hours_are_those_of_the_clocks_in_their_zone(
    hours: Hours, now: str, opens_at: str | None
) -> None:
    assert hours.opens_at(_at(now)) == (None if opens_at is None else _at(opens_at))


def test_who_is_outside_the_hours_is_told_how_long() -> None:
    polite = Politeness(hours=Hours("22:00-06:00"))
    closed = outside_hours(polite, _at("2026-05-01T21:00:00Z"))
    assert closed is not None
    assert closed.retry_after_seconds == 3_600
    assert "22:00-06:00 UTC" in str(closed)
    assert outside_hours(polite, _at("2026-05-01T23:00:00Z")) is None
    assert outside_hours(Politeness(), _at("2026-05-01T21:00:00Z")) is None


@pytest.mark.parametrize("text", ["", "22-6", "24:00-06:00", "06:00-06:00", "22:60-06:00", "x"])
def test_hours_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="22:00-06:00"):
        Hours(text)


@pytest.mark.parametrize("zone", ["", "Europe/Atlantis", "../etc/passwd", "/etc/passwd"])
def test_time_zone_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(ConfigurationError, match="Europe/Berlin"):
        Hours("22:00-06:00", zone)


@pytest.mark.parametrize(
    ("politeness", "rows", "size", "seconds"),
    [
        (Politeness(), 10**9, 10**12, 0),
        (Politeness(rows_per_second=100), 1_000, 10**12, 10),
        (Politeness(mb_per_second=2), 10**9, 1_000_000, 0.5),
        (Politeness(rows_per_second=100, mb_per_second=2), 1_000, 100_000_000, 50),
    ],
)
def test_slower_of_two_rates_counts(
    politeness: Politeness, rows: int, size: int, seconds: float
) -> None:
    assert politeness.seconds_for(rows=rows, bytes=size) == seconds


def test_catalog_says_all_of_it() -> None:
    catalog = parse_catalog(
        TYPE + "polite = { rows_per_second = 5000, mb_per_second = 1.5, hours = '22:00-06:00', "
        "timezone = 'Europe/Berlin', max_lag_seconds = 10, max_active_sessions = 20, "
        "health_query = 'SELECT true' }"
    )
    assert catalog["users"].polite == Politeness(
        5_000, 1.5, Hours("22:00-06:00", "Europe/Berlin"), 10, 20, "SELECT true"
    )
    assert parse_catalog(TYPE)["users"].polite == Politeness()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("polite.rows_per_second = 0", "greater than 0"),
        ("polite.mb_per_second = -1", "greater than 0"),
        ("polite.hours = 'at night'", "22:00-06:00"),
        ("polite.hours = '22:00-06:00'\npolite.timezone = 'Mars'", "Europe/Berlin"),
        ("polite.max_active_sessions = 0", "1"),
        ("polite.health_query = 'DELETE FROM users'", "SELECT"),
        ("polite.health_query = 'SELECT true; SELECT false'", "one"),
        ("polite.rows_per_minute = 1", "rows_per_second"),
    ],
)
def test_what_cannot_be_kept_is_refused_at_its_line(line: str, says: str) -> None:
    with pytest.raises(CatalogFileError, match=says) as caught:
        parse_catalog(TYPE + line)
    assert caught.value.problems[0].position is not None
