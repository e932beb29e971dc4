from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.notify.retry import RETRY_SECONDS, RetrySchedule, parse_retry_after

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def test_default_schedule_lasts_for_days() -> None:
    assert RetrySchedule().max_attempts == 10
    assert timedelta(seconds=sum(RETRY_SECONDS)) > timedelta(days=3)
    assert list(RETRY_SECONDS) == sorted(RETRY_SECONDS)


@given(attempt=st.integers(1, 9), draw=st.floats(0, 1))
def test_wait_stays_within_the_jitter(attempt: int, draw: float) -> None:
    delay = RetrySchedule(jitter=0.2, draw=lambda: draw).delay_seconds(attempt)
    planned = RETRY_SECONDS[attempt - 1]
    assert delay is not None
    assert 0.8 * planned - 1e-6 <= delay <= 1.2 * planned + 1e-6


def test_last_attempt_has_no_successor() -> None:
    schedule = RetrySchedule((1.0,))
    assert schedule.delay_seconds(1) is not None
    assert schedule.delay_seconds(2) is None
    assert schedule.delay_seconds(2, retry_after_seconds=5) is None
    assert RetrySchedule(()).delay_seconds(1) is None


@pytest.mark.parametrize(
    ("asked", "waits"), [(0.0, 5.0), (3.0, 5.0), (60.0, 60.0), (1e9, 86_400.0)]
)
def test_retry_after_prolongs_within_a_day(asked: float, waits: float) -> None:
    schedule = RetrySchedule(jitter=0)
    assert schedule.delay_seconds(1, retry_after_seconds=asked) == waits


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("Tue, 24 Nov 2026 12:01:00 GMT", 60.0),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0.0),
        (None, None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("9" * 400, None),
        ("Tue, 24 Nov 2026 12:01:00 -0000", None),
        ("Tue, 99 Nov 99999 99:99:99 GMT", None),
    ],
)
def test_retry_after_is_read(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, now=NOW) == seconds


@given(st.text())
def test_any_retry_after_is_survived(value: str) -> None:
    seconds = parse_retry_after(value, now=NOW)
    assert seconds is None or seconds >= 0
