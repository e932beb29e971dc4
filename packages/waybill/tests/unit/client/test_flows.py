"""What the clients do when answers are lost, refused or cut: flows, driven by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import pytest

from waybill.client import calls, flows
from waybill.client.calls import Answer
from waybill.client.errors import ConnectionLost, NotFound, ServerUnreachable, StreamBroken
from waybill.client.flows import Course, Emit, EmittingFlow, Open, Read, Send, Sleep

ID = UUID("6f1f3c1e-0000-4000-8000-000000000000")
LOST = ConnectionLost("http://waybill.test")
SILENT = ConnectionLost("http://waybill.test", is_silence=True)
AWAY = ServerUnreachable("http://waybill.test")


def document(status: str, rows: int = 0) -> bytes:
    none = dict.fromkeys(
        ("started_at", "finished_at", "next_attempt_at", "expires_at", "bytes", "sha256", "error")
    )
    figures = dict.fromkeys(
        ("percent", "rows_expected", "rows_expected_is", "rows_per_second", "eta_seconds")
    )
    return json.dumps(
        {
            "id": str(ID),
            "type": "users",
            "format": "csv",
            "status": status,
            "progress": {**figures, "rows": rows, "bytes": 0},
            "attempt": 1,
            "max_attempts": 3,
            "created_at": "2026-05-01T00:00:00Z",
            "links": {"self": "http://waybill.test"},
            **none,
        }
    ).encode()


def event(name: str, id: str, status: str, rows: int = 0) -> bytes:
    data = document(status, rows).decode()
    return f"id: {id}\nevent: {name}\ndata: {data}\n\n".encode()


STREAM = Answer(200, {"content-type": "text/event-stream"})
FULL = Answer(503, {"retry-after": "5"}, b'{"code": "too_many_watchers"}')


def play(flow: EmittingFlow[Any], results: Iterable[object]) -> tuple[list[Any], list[Any]]:
    """Carry the flow out with these results; returns what it wanted and what it emitted."""
    course = Course(flow)
    script = iter(results)
    wanted, emitted = [], []
    while (effect := course.step()) is not None:
        if isinstance(effect, Emit):
            emitted.append(effect.value)
            course.succeed()
            continue
        wanted.append(effect)
        result = None if isinstance(effect, Sleep) else next(script)
        if isinstance(result, Exception):
            course.fail(result)
        else:
            course.succeed(result)
    assert next(script, None) is None, "not everything was asked for"
    return wanted, emitted


def test_request_whose_answer_is_lost_is_sent_again_with_the_same_key() -> None:
    call = calls.request_export("users")
    in_use = Answer(409, {}, b'{"code": "idempotency_key_in_use"}')
    wanted, [job] = play(
        flows.emitting(flows.send(call)), [LOST, in_use, Answer(202, {}, document("queued"))]
    )
    assert [type(each) for each in wanted] == [Send, Sleep, Send, Sleep, Send]
    assert all(each.call is call for each in wanted if isinstance(each, Send))
    assert job.id == ID


def test_call_that_must_not_happen_twice_is_not_sent_again() -> None:
    from waybill.client import admin

    with pytest.raises(ConnectionLost):
        play(flows.emitting(flows.send(admin.replay_dead_letter(ID))), [LOST])


def test_events_are_told_until_the_last() -> None:
    chunks = [event("progress", "a", "running", 1), event("finished", "b", "completed", 2)]
    _, jobs = play(flows.watch(ID), [STREAM, *chunks])
    assert [(job.status.value, job.progress.rows) for job in jobs] == [
        ("running", 1),
        ("completed", 2),
    ]


def test_broken_stream_goes_on_after_the_last_event_that_arrived() -> None:
    wanted, jobs = play(
        flows.watch(ID),
        [
            STREAM,
            b"retry: 1500\n\n" + event("progress", "a", "running"),
            LOST,
            AWAY,
            STREAM,
            event("progress", "b", "running"),
            b"",
            STREAM,
            event("finished", "c", "completed"),
        ],
    )
    opened = [each.call.headers.get("Last-Event-ID") for each in wanted if isinstance(each, Open)]
    assert opened == [None, "a", "a", "b"]
    assert len(jobs) == 3


def test_finished_and_known_is_the_end() -> None:
    _, jobs = play(
        flows.watch(ID), [STREAM, event("progress", "a", "running"), b"", Answer(204, {})]
    )
    assert len(jobs) == 1


def test_where_no_stream_is_to_be_had_it_polls_as_often_as_the_service_says() -> None:
    polled = [
        Answer(200, {"retry-after": "3"}, document("running")),
        Answer(429, {"retry-after": "9"}, b'{"code": "too_many_requests"}'),
        Answer(200, {"retry-after": "4"}, document("running")),
        Answer(200, {}, document("completed")),
    ]
    wanted, jobs = play(flows.watch(ID), [FULL, *polled])
    assert [each.seconds for each in wanted if isinstance(each, Sleep)] == [0.0, 3, 9, 4]
    assert jobs[-1].status == "completed"
    assert not any(isinstance(each, Read) for each in wanted)


def test_proxy_that_knows_no_streams_is_polled_through() -> None:
    page = Answer(200, {"content-type": "text/html"})
    _, jobs = play(flows.watch(ID), [page, Answer(200, {}, document("completed"))])
    assert len(jobs) == 1


@pytest.mark.parametrize(
    "held",
    [
        [SILENT],  # not even the head comes
        [STREAM, SILENT],
        [Answer(504, {}, b"<html>")],
        [Answer(503, {}, b"<html>")],
    ],
)
def test_stream_that_something_holds_back_is_polled_round(held: list[object]) -> None:
    polled = [Answer(200, {}, document("running")), LOST, Answer(200, {}, document("completed"))]
    wanted, jobs = play(flows.watch(ID), [*held, *polled])
    assert [job.status for job in jobs] == ["running", "completed"]
    assert sum(isinstance(each, Open) for each in wanted) == 1


def test_stream_that_falls_silent_once_it_spoke_is_opened_anew() -> None:
    first = [STREAM, b": nothing new\n\n", SILENT]
    wanted, _ = play(flows.watch(ID), [*first, STREAM, event("finished", "a", "completed")])
    assert sum(isinstance(each, Open) for each in wanted) == 2


def test_service_that_stays_away_is_given_up() -> None:
    with pytest.raises(ServerUnreachable):
        play(flows.watch(ID), [AWAY] * 9)


def test_streams_that_break_again_and_again_but_were_there_are_no_absence() -> None:
    silent = [STREAM, LOST] * 20
    _, jobs = play(flows.watch(ID), [*silent, STREAM, event("finished", "a", "completed")])
    assert len(jobs) == 1


def test_refusal_is_not_tried_again() -> None:
    with pytest.raises(NotFound):
        play(flows.watch(ID), [Answer(404, {}, b'{"code": "export_not_found"}')])


def test_all_pages_are_listed() -> None:
    def page(next: str | None) -> Answer:
        items = f'{{"items": [{document("completed").decode()}], "next": {json.dumps(next)}}}'
        return Answer(200, {}, items.encode())

    wanted, jobs = play(
        flows.list_all(calls.list_exports()), [page("http://x/api/exports?before=2026"), page(None)]
    )
    assert len(jobs) == 2
    assert [each.call.params for each in wanted] == [{}, {"before": "2026"}]


# -- streams --------------------------------------------------------------------------------------


def test_stream_is_emitted_as_it_comes_and_asked_for_once() -> None:
    call = calls.stream_export("users", columns=["id"], since=None)
    wanted, emitted = play(flows.stream(call), [Answer(200, {}), b"ab", b"c", b""])
    assert emitted == [b"ab", b"c"]
    assert wanted == [Open(call), Read(), Read(), Read()]
    assert call.params == {"columns": '["id"]'}


def test_stream_that_breaks_says_that_it_is_not_all() -> None:
    flow = flows.stream(calls.stream_export("users"))
    with pytest.raises(StreamBroken, match="not the whole export"):
        play(flow, [Answer(200, {}), b"ab", LOST])


def test_stream_that_is_refused_begins_with_the_problem() -> None:
    refused = Answer(404, {}, b'{"code": "unknown_export_type"}')
    with pytest.raises(NotFound):
        play(flows.stream(calls.stream_export("nothing")), [refused])
