"""The pace of a reading, by a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from waybill.catalog.politeness import Politeness
from waybill.errors import DeadlineExceeded, HeldBack
from waybill.source.copy_chunk import CopyChunk
from waybill.source.pace import GAUGE_SECONDS, Pace

CHUNK = CopyChunk([b"x" * 100] * 1_000)


class _Time:
    """A clock that stands still but for sleeps, and for what a test lets pass."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.longest_sleep = 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.longest_sleep = max(self.longest_sleep, seconds)
        self.now += seconds


def _pace(
    time: _Time,
    politeness: Politeness,
    *,
    check: Callable[[], None] = lambda: None,
    gauge: Callable[[], str | None] = lambda: None,
) -> Pace:
    return Pace(politeness, check, gauge, clock=time.clock, sleep=time.sleep)


@pytest.mark.parametrize(
    ("politeness", "seconds"),
    [
        (Politeness(), 0),
        (Politeness(rows_per_second=100), 50),
        (Politeness(mb_per_second=0.01), 50),
        (Politeness(rows_per_second=100, mb_per_second=0.001), 500),
    ],
)
def test_rows_come_as_fast_as_they_may_and_all_of_them(
    politeness: Politeness, seconds: float
) -> None:
    time = _Time()
    pace = _pace(time, politeness)
    assert list(pace.keep([CHUNK] * 5)) == [CHUNK] * 5
    assert time.now - 1_000 == pytest.approx(seconds)
    assert pace.waited_seconds == pytest.approx(seconds)


def test_time_that_the_source_took_counts_and_is_not_made_up_for_later() -> None:
    time = _Time()
    kept = _pace(time, Politeness(rows_per_second=100)).keep([CHUNK] * 4)
    next(kept)
    time.now += 7  # sending took that long: less than the ten seconds of the chunk
    next(kept)
    assert time.now == pytest.approx(1_017)
    time.now += 100
    next(kept)
    next(kept)
    assert time.now == pytest.approx(1_137)


def test_rate_of_all_is_shared_by_as_many_as_read_at_the_moment() -> None:
    time = _Time()
    sharers = iter([1, 1, 4, 4, 2])
    pace = Pace(
        Politeness(rows_per_second=1_000),
        lambda: None,
        lambda: None,
        together=Politeness(rows_per_second=2_000),
        sharers=lambda: next(sharers),
        clock=time.clock,
        sleep=time.sleep,
    )
    taken = [time.now - 1_000 for _ in pace.keep([CHUNK] * 5)]
    # A thousand rows each: at the rate that it may read alone, while that is the slower.
    assert [*taken, time.now - 1_000] == pytest.approx([0, 1, 2, 4, 6, 7])


def test_waits_look_for_an_order_to_stop_all_the_time() -> None:
    time = _Time()

    def check() -> None:
        if time.now > 1_003:
            raise DeadlineExceeded(3)

    pace = _pace(time, Politeness(rows_per_second=1), check=check)
    with pytest.raises(HeldBack, match="3 s of which it waited"), pace.explaining():
        list(pace.keep([CHUNK] * 2))
    assert time.longest_sleep <= 0.25
    assert time.now < 1_004


def test_deadline_that_waiting_had_no_part_in_is_left_as_it_is() -> None:
    pace = _pace(_Time(), Politeness(rows_per_second=1))
    with pytest.raises(DeadlineExceeded) as caught, pace.explaining():
        raise DeadlineExceeded(60)
    assert not isinstance(caught.value, HeldBack)


def test_reading_pauses_while_the_source_is_under_pressure() -> None:
    time = _Time()
    answers = ["20 sessions are active", "20 sessions are active", None]
    asked = []

    def gauge() -> str | None:
        asked.append(time.now)
        return answers.pop(0)

    pace = _pace(time, Politeness(max_active_sessions=10), gauge=gauge)
    kept = pace.keep([CHUNK] * 6)
    next(kept)
    next(kept)
    assert asked == []  # it was asked before the beginning, which is not long ago
    time.now += GAUGE_SECONDS
    next(kept)
    assert len(asked) == 3
    assert pace.waited_seconds == pytest.approx(2 * GAUGE_SECONDS)
    next(kept)
    assert len(asked) == 3
