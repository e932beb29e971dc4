"""Counting costs no export anything, whatever becomes of the figures."""

from __future__ import annotations

import os
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import generate_latest
from starlette.responses import StreamingResponse

from waybill.api.request_figures import RequestFigures
from waybill.catalog import Catalog, ExportType, TableSource
from waybill.config import Settings
from waybill.errors import ConfigurationError
from waybill.jobs.attempts import AttemptFailure, Cause
from waybill.jobs.figures import JobFigures
from waybill.jobs.job import ExportJob, ExportStatus
from waybill.metrics import definitions as m
from waybill.metrics import recording
from waybill.metrics.recording import Family, Figures, record
from waybill.metrics.serving import serve_family, serve_metrics

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def figures() -> Iterator[Figures]:
    figures = Figures()
    recording.use(figures)
    yield figures
    recording.use(None)


def value(figures: Figures, series: str, **labels: str) -> float | None:
    return figures.registry.get_sample_value(series, labels)


@pytest.fixture
def settings() -> Callable[..., Settings]:
    return lambda **more: Settings(
        _env_file=None,  # type: ignore[call-arg]
        database_url="postgresql://nobody@127.0.0.1:1/none",
        **more,
    )


def job(**changes: Any) -> ExportJob:
    facts = {
        "id": uuid4(), "export_type": "users", "format": "csv", "options": {},
        "requested_by": "ann", "status": ExportStatus.COMPLETED, "created_at": NOW,
        "updated_at": NOW, "attempt": 1, "started_at": NOW + timedelta(seconds=20),
        "finished_at": NOW + timedelta(seconds=50), "rows_done": 7, "object_bytes": 99,
    }  # fmt: skip
    return ExportJob(**(facts | changes))


def counted(urgency: Any = "high") -> JobFigures:
    return JobFigures(Catalog([ExportType("users", TableSource("p", "u"), urgency=urgency)]))


async def test_job_is_held_against_the_objectives_of_its_urgency(figures: Figures) -> None:
    nobody = cast("Any", None)
    jobs = counted()
    jobs.claimed(job())
    await jobs.job_ended(nobody, job())
    held = {
        each: value(figures, "waybill_objective_misses_total", urgency="high", objective=each)
        for each in ("waiting", "run", "success")
    }
    # It waited for 20 s and ran for 30: high promises 10 and 60.
    assert held == {"waiting": 1, "run": 0, "success": 0}
    assert value(
        figures, "waybill_exports_total", type="users", format="csv", status="completed", cause=""
    ) == 1  # fmt: skip
    assert value(figures, "waybill_export_rows_sum", type="users") == 7
    assert value(figures, "waybill_export_file_bytes_sum", format="csv") == 99
    assert value(figures, "waybill_export_run_seconds_sum", type="users", format="csv") == 30

    jobs.claimed(job(attempt=2))  # a second attempt waited for its retry, which is no queue
    await jobs.job_ended(nobody, job(status=ExportStatus.FAILED, error_cause="worker_lost"))
    await jobs.job_ended(nobody, job(status=ExportStatus.FAILED, error_cause="permanent"))
    await jobs.job_ended(nobody, job(status=ExportStatus.EXPIRED))
    events = {
        each: value(figures, "waybill_objective_events_total", urgency="high", objective=each)
        for each in ("waiting", "run", "success")
    }
    assert events == {"waiting": 1, "run": 1, "success": 2}  # a bad request is not ours
    missed = value(figures, "waybill_objective_misses_total", urgency="high", objective="success")
    assert missed == 1
    await jobs.job_ended(nobody, job(storage="database"))
    assert value(figures, "waybill_export_fallbacks_total") == 1
    jobs.attempt_failed(job(), AttemptFailure("standby_conflict", Cause.TRANSIENT, ""))
    assert value(
        figures, "waybill_attempt_failures_total",
        type="users", cause="transient", code="standby_conflict",
    ) == 1  # fmt: skip


def test_labels_are_bounded(figures: Figures) -> None:
    for number in range(m.MOST_VALUES + 50):
        record(m.REFUSALS, code=f"code-{number}")
    lines = generate_latest(figures.registry).decode().splitlines()
    codes = [each for each in lines if each.startswith("waybill_request_refusals_total{")]
    assert len(codes) == m.MOST_VALUES + 1
    assert value(figures, "waybill_request_refusals_total", code="other") == 50


def test_counting_never_raises(figures: Figures) -> None:
    record(m.REFUSALS)  # a label is missing
    record(m.DUE, cast("Any", "many"))
    recording.use(None)
    record(m.DUE, 5)
    assert value(figures, "waybill_queue_depth") != 5


def test_process_that_does_not_look_at_a_state_says_nothing_of_it(figures: Figures) -> None:
    shown = generate_latest(figures.registry).decode()
    assert "waybill_monitor_timestamp_seconds" not in shown  # 0 would be 1970: an alert
    assert value(figures, "waybill_export_leases_lost_total") == 0
    record(m.LOOKED_AT, 5)
    assert value(figures, "waybill_monitor_timestamp_seconds") == 5


def test_what_a_forked_child_counts_reaches_its_parent(figures: Figures) -> None:
    family = Family()
    child = os.fork()
    if child == 0:
        recording.use(family)
        for _ in range(5):
            record(m.LEASES_LOST)
        record(m.RUNNING_TIME, 3.0, type="users", format="csv")
        os._exit(0)
    os.waitpid(child, 0)
    heard = [family._outlet.recv(4096) for _ in range(6)]
    for each in heard:
        family._inlet.send(each)
    family._inlet.send(b'["no_such_metric", 1, {}]')
    family._inlet.send(b"\xff not JSON")
    family._inlet.send(b'["waybill_queue_depth", 4, {}]')
    family._outlet.settimeout(0.5)  # ends the loop when there is no more
    family._hear(figures)
    assert value(figures, "waybill_export_leases_lost_total") == 5
    assert value(figures, "waybill_export_run_seconds_count", type="users", format="csv") == 1
    assert value(figures, "waybill_queue_depth") == 4


def test_parent_that_does_not_listen_holds_up_nobody_and_the_loss_is_counted(
    figures: Figures,
) -> None:
    family = Family()
    sent = 0
    while not family._dropped:  # until the kernel takes no more
        family.record(m.LEASES_LOST, 1, {})
        sent += 1
        assert sent < 1_000_000
    for _ in range(99):
        family.record(m.LEASES_LOST, 1, {})
    lost = family._dropped
    assert lost == 100
    family._outlet.settimeout(0.2)
    family._hear(figures)
    family.record(m.LEASES_LOST, 1, {})
    family._hear(figures)
    assert value(figures, "waybill_metrics_unheard_total") == lost
    assert value(figures, "waybill_export_leases_lost_total") == sent + 99 + 1 - lost
    family._outlet.close()
    family.record(m.LEASES_LOST, 1, {})  # the parent has gone


def test_figures_are_served_on_a_port_of_their_own_and_only_if_wanted(
    settings: Callable[..., Settings],
) -> None:
    assert serve_metrics(settings()) is None
    assert serve_family(settings()) is None
    server = serve_metrics(settings(metrics_port=0))
    try:
        assert server is not None
        record(m.DUE, 3)
        address = f"http://127.0.0.1:{server.port}/metrics"
        text = urllib.request.urlopen(address, timeout=10).read().decode()
        assert "waybill_queue_depth 3.0" in text
        assert server._server.socket.getsockname()[0] == "127.0.0.1"
        with pytest.raises(ConfigurationError, match=f"port {server.port}.*--metrics-port"):
            serve_metrics(settings(metrics_port=server.port))
    finally:
        recording.use(None)
        assert server is not None
        server._server.shutdown()
        server._server.server_close()


def test_names_are_as_prometheus_wants_them(
    figures: Figures, find_program: Callable[[str, str], str]
) -> None:
    ours = b"\n".join(
        line for line in generate_latest(figures.registry).split(b"\n") if b"waybill_" in line
    )
    done = subprocess.run(
        [find_program("promtool", "prometheus"), "check", "metrics"],
        input=ours + b"\n", capture_output=True, check=False,
    )  # fmt: skip
    # The created-timestamps of the client library are not ours to name.
    said = [line for line in done.stderr.decode().splitlines() if "_created" not in line]
    assert said == []


async def test_answers_are_counted_by_route_and_never_by_what_was_written(
    figures: Figures,
) -> None:
    app = FastAPI()
    app.add_middleware(RequestFigures)

    @app.get("/api/{export_type}/export/stream")
    async def stream(export_type: str) -> StreamingResponse:
        return StreamingResponse(iter([b"", b"a", b"b"]))

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        await client.get("/api/users/export/stream")
        await client.get("/wp-admin/secret")
    route = "/api/{export_type}/export/stream"
    assert value(
        figures, "waybill_http_requests_total", method="GET", route=route, status="2xx"
    ) == 1  # fmt: skip
    assert value(
        figures, "waybill_http_requests_total", method="GET", route="none", status="4xx"
    ) == 1  # fmt: skip
    assert value(figures, "waybill_stream_first_byte_seconds_count", type="users") == 1
