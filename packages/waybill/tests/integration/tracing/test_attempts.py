"""Attempts in the trace of their job, whichever message brought them, on real services."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import HttpUrl

from waybill import tracing
from waybill.bootstrap.everything import Services
from waybill.config import Settings
from waybill.errors import SourceUnavailable, SourceUnreadable
from waybill.principal import READ, REQUEST, Principal
from waybill.requests.request import ExportRequest
from waybill.run.runner import Outcome
from waybill.source.source import PostgresSnapshot

from ...collector import Collector, Received

Execute = Callable[..., list[tuple[Any, ...]]]
ANN = Principal("ann@example.org", scopes=frozenset({REQUEST, READ}), tenant="acme-gmbh")


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector
        tracing.use(None, service="waybill-test")


@pytest.fixture
def settings(settings: Settings, collector: Collector) -> Settings:
    return settings.model_copy(
        update={"traces_endpoint": HttpUrl(collector.url), "retry_backoff_seconds": (0.0,)}
    )


async def _spans(collector: Collector) -> dict[str, list[Received]]:
    """Return all spans by name, in the order in which they began."""
    await asyncio.to_thread(tracing.close)
    found: dict[str, list[Received]] = {}
    for span in collector.spans():
        found.setdefault(span.name, []).append(span)
    return found


async def test_message_of_one_job_brings_another_and_each_keeps_its_trace(
    services: Services, collector: Collector
) -> None:
    jobs = [
        (await services.exports.request(ANN, ExportRequest("users", name))).job
        for name in ("csv", "json")
    ]
    # The claim chooses: the message of the second brings the first.
    for notified in reversed(jobs):
        assert await services.runner.run(notified.id) is Outcome.COMPLETED
    found = await _spans(collector)
    requests = {span.attributes["waybill.export_id"]: span for span in found["export.request"]}
    ran = found["export.attempt"]
    assert [span.attributes["waybill.export_id"] for span in ran] == [str(job.id) for job in jobs]
    assert len({span.trace for span in ran}) == 2
    for name in ("export.queued", "export.attempt"):
        for span in found[name]:
            of = requests[span.attributes["waybill.export_id"]]
            assert (span.trace, span.parent) == (of.trace, of.id)
    for upload in found["storage.upload"] + found["storage.put"]:
        assert upload.parent in {span.id for span in ran}
    assert {span.parent for span in found["storage.part"]} <= {
        span.id for span in found["storage.upload"]
    }
    assert "ann" not in collector.text()
    assert "acme" not in collector.text()


async def test_attempts_of_one_job_are_linked_each_to_the_one_before(
    services: Services,
    collector: Collector,
    execute: Execute,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = (await services.exports.request(ANN, ExportRequest("users", "csv"))).job
    real = PostgresSnapshot.copy
    failures = iter([True, True, False])

    def copy(self: PostgresSnapshot, *arguments: Any, **options: Any) -> Any:
        if next(failures):
            raise SourceUnavailable("secret text of a row")
        return real(self, *arguments, **options)

    monkeypatch.setattr(PostgresSnapshot, "copy", copy)
    for wanted in (Outcome.RETRIED, Outcome.RETRIED, Outcome.COMPLETED):
        execute("UPDATE export_jobs SET next_attempt_at = now() WHERE status = 'queued'")
        assert await services.runner.run(job.id) is wanted
    found = await _spans(collector)
    first, second, third = found["export.attempt"]
    assert {span.trace for span in (first, second, third)} == {found["export.request"][0].trace}
    assert [span.links for span in (first, second, third)] == [
        (),
        ((first.trace, first.id),),
        ((second.trace, second.id),),
    ]
    assert [span.failed for span in (first, second, third)] == ["source_unavailable"] * 2 + [None]
    assert [span.attributes["waybill.outcome"] for span in (first, second, third)] == [
        "retried", "retried", "completed",
    ]  # fmt: skip
    assert len(found["export.queued"]) == 1
    assert "secret text" not in collector.text()


async def test_job_of_an_api_that_traces_nothing_has_a_trace_of_its_own(
    services: Services, collector: Collector, execute: Execute
) -> None:
    job = (await services.exports.request(ANN, ExportRequest("users", "csv"))).job
    execute("UPDATE export_jobs SET traceparent = NULL")
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    (attempt,) = (await _spans(collector))["export.attempt"]
    assert attempt.parent == ""


async def test_stream_is_one_span_however_it_ends(
    services: Services, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = ExportRequest("users", "csv")
    with tracing.span("caller") as caller:
        whole = await services.streams.open(ANN, wanted)
        while await whole.next() is not None:
            pass
        await whole.close()
    left = await services.streams.open(ANN, wanted)
    await left.close()
    broken = await services.streams.open(ANN, wanted)
    await broken.close(SourceUnavailable("secret text of a row"))

    def copy(*_arguments: Any, **_options: Any) -> Any:
        raise SourceUnavailable("secret text of a row")

    monkeypatch.setattr(PostgresSnapshot, "copy", copy)
    with pytest.raises(SourceUnreadable):
        await services.streams.open(ANN, wanted)
    assert caller.traceparent is not None
    found = (await _spans(collector))["export.stream"]
    assert [span.failed for span in found] == [
        None, "abandoned", "source_unavailable", "source_unavailable",
    ]  # fmt: skip
    first = found[0]
    assert first.trace == caller.traceparent.split("-")[1]
    assert first.attributes["waybill.export_id"] == str(whole.job.id)
    assert (first.attributes["waybill.type"], first.attributes["waybill.rows"]) == ("users", 2_000)
    assert "secret text" not in collector.text()
