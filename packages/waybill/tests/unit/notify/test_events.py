from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from waybill.jobs.job import ExportJob, ExportStatus
from waybill.notify.events import EventType, ExportLinks, event_id, event_payload

ENDED = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
JOB = ExportJob(
    id=UUID("6f1f3c1e-0000-4000-8000-000000000001"),
    export_type="users",
    format="csv",
    options={"columns": ["email"]},
    requested_by="person-7",
    tenant="acme",
    status=ExportStatus.COMPLETED,
    created_at=ENDED - timedelta(minutes=1),
    updated_at=ENDED,
    finished_at=ENDED,
    expires_at=ENDED + timedelta(days=7),
    rows_done=100_000,
    object_key="exports/secret-key/data.csv",
    object_bytes=5_000_000,
    sha256="ab" * 32,
    file_name="users-20261124-6f1f3c1e.csv",
)
LINKS = ExportLinks("https://exports.example.com/", "/exports/{export_id}")


def test_completed_payload_names_the_file_and_how_to_get_it() -> None:
    payload = event_payload(JOB, EventType.COMPLETED, occurred_at=ENDED, links=LINKS)
    assert payload["type"] == "export.completed"
    assert payload["timestamp"] == "2026-11-24T12:00:00.000Z"
    data = payload["data"]
    assert (data["rows"], data["bytes"], data["sha256"]) == (100_000, 5_000_000, "ab" * 32)
    assert data["links"] == {
        "self": f"https://exports.example.com/api/exports/{JOB.id}",
        "page": f"https://exports.example.com/exports/{JOB.id}",
        "download": f"https://exports.example.com/api/exports/{JOB.id}/download",
        "manifest": f"https://exports.example.com/api/exports/{JOB.id}/manifest",
    }


def test_failed_payload_has_a_code_and_no_file() -> None:
    job = replace(JOB, status=ExportStatus.FAILED, error_code="source_unavailable")
    data = event_payload(job, EventType.FAILED, occurred_at=ENDED, links=LINKS)["data"]
    assert data["error_code"] == "source_unavailable"
    assert "download" not in data["links"]
    assert "sha256" not in data


@pytest.mark.parametrize("event", EventType)
def test_payload_is_small_and_tells_nobody_who_asked_or_where_it_lies(event: EventType) -> None:
    text = json.dumps(event_payload(JOB, event, occurred_at=ENDED, links=LINKS))
    assert len(text) < 2_000
    for private in ("person-7", "acme", "secret-key", "email"):
        assert private not in text


def test_id_is_stable_for_one_end_of_one_run() -> None:
    first = event_id(JOB, EventType.COMPLETED)
    elsewhere = replace(JOB, finished_at=ENDED.astimezone(timezone(timedelta(hours=5))))
    assert first == event_id(elsewhere, EventType.COMPLETED)
    assert first.startswith("evt_")
    assert "." not in first


def test_ids_differ_between_events_jobs_and_runs() -> None:
    ids = {
        event_id(JOB, EventType.COMPLETED),
        event_id(JOB, EventType.EXPIRING),
        event_id(replace(JOB, id=UUID(int=1)), EventType.COMPLETED),
        event_id(replace(JOB, finished_at=ENDED + timedelta(seconds=1)), EventType.COMPLETED),
    }
    assert len(ids) == 4


@pytest.mark.parametrize("status", ExportStatus)
def test_every_end_but_the_end_of_the_file_is_an_event(status: ExportStatus) -> None:
    told = {ExportStatus.COMPLETED, ExportStatus.FAILED, ExportStatus.CANCELLED}
    assert (EventType.of_status(status) is not None) == (status in told)
