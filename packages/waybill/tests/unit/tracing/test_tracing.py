"""Spans of one process: what they say, where they belong, and what they cost whoever makes none."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from uuid import uuid4

import pytest
import structlog
from pydantic import HttpUrl

from waybill import tracing
from waybill.errors import ConfigurationError, SourceUnavailable

from ...collector import Collector
from ...logged import logged

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
THEIRS = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        tracing.use(HttpUrl(collector.url), service="waybill-test")
        yield collector
        tracing.use(None, service="waybill-test")


def test_without_tracing_nothing_of_it_is_imported() -> None:
    code = (
        "import sys, waybill.requests.service, waybill.run.attempt_span, waybill.storage.traced\n"
        "from waybill import tracing\n"
        "with tracing.caller('x'), tracing.span('a', kind='server', export_id='1') as span:\n"
        "    span.set(rows=1)\n"
        "    tracing.note(failed='x')\n"
        "    assert tracing.begin('b', within='x').traceparent is tracing.current() is None\n"
        "tracing.close()\n"
        # FastAPI and redis-py import its API where it is, and of its SDK what they use.
        "sent = ('opentelemetry.exporter', 'opentelemetry.sdk.trace.export', 'google.protobuf')\n"
        "print([name for name in sys.modules if name.startswith(sent)])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_missing_extra_is_a_sentence_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(tracing, "find_spec", absent)
    with pytest.raises(ConfigurationError, match=r"pip install 'waybill\[tracing\]'"):
        tracing.use(HttpUrl("http://127.0.0.1:4318/v1/traces"), service="waybill")
    assert not tracing.is_on()


def test_spans_belong_together_and_lines_of_the_log_name_them(collector: Collector) -> None:
    attempt, before = uuid4(), uuid4()
    with tracing.caller(THEIRS), tracing.span("outer", kind="server", rows=3, type=None) as outer:
        bound = dict(structlog.contextvars.get_contextvars())
        kept = tracing.current()
        with tracing.span("inner"):
            tracing.note(bytes=7)
    assert "trace_id" not in structlog.contextvars.get_contextvars()
    with tracing.span("later", within=kept, stands_for=attempt, follows=[before]):
        pass
    with tracing.span("again", within=kept, stands_for=uuid4(), follows=[attempt]):
        pass
    tracing.close()
    spans = {span.name: span for span in collector.spans()}
    assert {span.trace for span in spans.values()} == {TRACE} == {bound["trace_id"]}
    assert (spans["outer"].parent, spans["outer"].id) == (SPAN, bound["span_id"])
    assert outer.traceparent == kept == f"00-{TRACE}-{spans['outer'].id}-01"
    assert spans["outer"].attributes == {"waybill.rows": 3}
    assert spans["inner"].parent == spans["later"].parent == spans["outer"].id
    assert spans["inner"].attributes == {"waybill.bytes": 7}
    assert spans["again"].links == ((TRACE, spans["later"].id),)
    # The attempt's token would let whoever has it end the attempt.
    assert attempt.hex[:8] not in collector.text() + spans["later"].id
    assert spans["outer"].service == "waybill-test"


def test_failure_is_told_by_its_code_and_never_by_its_text(collector: Collector) -> None:
    for error in (SourceUnavailable("row ann@example.org"), ValueError("row ann@example.org")):
        with pytest.raises(type(error)), tracing.span("work"):
            raise error
    tracing.close()
    assert [span.failed for span in collector.spans()] == ["source_unavailable", "ValueError"]
    assert "ann" not in collector.text()


def test_caller_who_names_no_trace_begins_none(collector: Collector) -> None:
    given = ("", "x", f"00-{TRACE}-{SPAN}", f"00-{'0' * 32}-{SPAN}-01", THEIRS * 1000, "ä\x00")
    for each in given:
        with tracing.caller(each), tracing.span("work"):
            pass
    tracing.close()
    spans = collector.spans()
    assert [span.parent for span in spans] == [""] * len(given)
    assert TRACE not in {span.trace for span in spans}


def test_caller_who_samples_nothing_is_heeded(collector: Collector) -> None:
    with tracing.caller(f"{THEIRS[:-2]}00"), tracing.span("work") as span:
        assert span.traceparent is not None
        assert span.traceparent.endswith("-00")
    tracing.close()
    assert collector.spans() == []


def test_sdk_that_is_switched_off_says_nothing(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with tracing.span("work", stands_for=uuid4()) as span:
        assert span.traceparent is tracing.current() is None
        assert structlog.contextvars.get_contextvars() == {}
    tracing.close()
    assert collector.requests == []


def test_span_of_the_application_around_us_is_not_replaced(collector: Collector) -> None:
    with tracing.span("theirs") as theirs, tracing.caller(THEIRS), tracing.span("ours"):
        pass
    tracing.close()
    spans = {span.name: span for span in collector.spans()}
    assert theirs.traceparent is not None
    assert spans["ours"].parent == spans["theirs"].id


def test_collector_that_is_away_costs_two_lines_and_is_used_when_it_is_back(
    collector: Collector, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from waybill.tracing import spans

    caplog.set_level("INFO")
    ours = logged(monkeypatch, spans)
    collector.status = 400
    for _ in range(3):
        for _ in range(3_000):  # more than are kept
            tracing.begin("work").end()
        flush()
    collector.status = 200
    collector.requests.clear()
    tracing.begin("late").end()
    flush()
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []
    assert [line["event"] for line in ours.entries] == [
        "tracing.collector_unavailable",
        "tracing.collector_back",
    ]
    assert [span.name for span in collector.spans()] == ["late"]


def flush() -> None:
    """Wait until what is queued was sent, or refused."""
    from waybill.tracing import _process

    assert _process.spans is not None
    _process.spans._provider.force_flush()


def test_collector_that_hangs_holds_nobody_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        tracing.use(
            HttpUrl(f"http://127.0.0.1:{deaf.getsockname()[1]}/v1/traces"), service="waybill-test"
        )
        try:
            for _ in range(3_000):
                tracing.begin("work").end()
            tracing.close()  # returns
        finally:
            tracing.use(None, service="waybill-test")
