"""Events out of bytes, however those are cut."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from waybill.client.sse import Event, EventReader

STREAM = (
    "retry: 1500\n\n: nothing new\n\n"
    'id: running-1\nevent: progress\ndata: {"naïve": "☃"}\n\n'
    "data: two\r\ndata:lines\r\n\r\n"
    "event: unfinished\n\n"
    "id: done\revent: finished\rdata: {}\r\r\n"
).encode()
EVENTS = [
    Event("progress", '{"naïve": "☃"}', "running-1"),
    Event("message", "two\nlines", "running-1"),
    Event("finished", "{}", "done"),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_events_are_read_wherever_the_stream_is_cut(cuts: list[int]) -> None:
    places = sorted({0, len(STREAM), *cuts})
    reader = EventReader()
    events: list[Event] = []
    for start, stop in itertools.pairwise(places):
        events += reader.feed(STREAM[start:stop])
    assert events == EVENTS
    assert reader.retry_seconds == 1.5


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(data: bytes) -> None:
    list(EventReader().feed(data))


def test_event_that_is_cut_off_is_none() -> None:
    assert list(EventReader().feed(b"data: half\n")) == []
