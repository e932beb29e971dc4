"""Faults 12, 13, 14: PostgreSQL restarts, loses an answer, falls silent."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

from waybill.local.faults.rehearsal import Rehearsal


def test_12_postgresql_restart_mid_copy_is_retried(house: Rehearsal) -> None:
    with house.uploads_held():
        export_id = house.request()
        house.wait_running(export_id)
        house.stack.postgres.restart()
    row = house.wait_over(export_id)
    assert row["status"] == "completed"
    attempts = house.attempts(export_id)
    # The source's connection broke, or the whole COPY was in our buffers already: either way the
    # file is of one snapshot, and whatever failed was retried after its backoff.
    if len(attempts) > 1:
        waited = attempts[1]["started_at"] - attempts[0]["ended_at"]
        assert waited >= timedelta(seconds=1)


def test_12_source_connection_cut_mid_copy_is_retried_after_a_backoff(house: Rehearsal) -> None:
    house.source.cut_after(2 * 1024 * 1024)
    export_id = house.request()
    house.wait_for(export_id, lambda row: row["status"] == "queued" and row["attempt"] == 1)
    house.source.cut_after(None)
    row = house.wait_over(export_id)
    assert (row["status"], row["attempt"]) == ("completed", 2)
    first, second = house.attempts(export_id)
    assert (first["outcome"], first["error_code"]) == ("retried", "source_unavailable")
    assert second["started_at"] - first["ended_at"] >= timedelta(seconds=1)


def test_13_connection_cut_inside_commit_is_read_again_and_never_doubled(house: Rehearsal) -> None:
    struck = threading.Event()
    completing: set[int] = set()

    def watch(data: bytes) -> None:
        # The statement that completes a job, then the COMMIT on the same connection: the server
        # gets it, the worker never hears of it.
        if b"export_jobs" in data and b"object_etag" in data and b"UPDATE" in data:
            completing.add(1)
        if completing and b"COMMIT" in data and not struck.is_set():
            struck.set()
            raise ConnectionResetError

    house.postgres.on_client_bytes(watch)
    export_id = house.request()
    row = house.wait_over(export_id)
    house.postgres.on_client_bytes(None)
    assert struck.is_set()
    assert (row["status"], row["attempt"]) == ("completed", 1)
    outcomes = [each["outcome"] for each in house.attempts(export_id)]
    assert outcomes == ["completed"]


def test_14_stalled_postgresql_makes_the_worker_give_up_its_lease(house: Rehearsal) -> None:
    with house.uploads_held():
        export_id = house.request()
        first = house.wait_running(export_id)
        house.postgres.hold()
        try:
            deadline = time.monotonic() + 60
            while not _has_given_up(house):
                assert time.monotonic() < deadline, house.processes.worker.log_tail()
                time.sleep(0.2)
        finally:
            house.postgres.release()
    row = house.wait_over(export_id)
    assert row["status"] == "completed"
    assert row["attempt"] >= 2
    assert row["object_key"].split("/")[-1] != f"{first['attempt']}-{first['lease_token']}"


def _has_given_up(house: Rehearsal) -> bool:
    """Whether the worker has stopped by itself: it cannot know any more that the job is its own."""
    said = house.processes.worker.log_text()
    return "export.lease_lost" in said or "export.pipeline_abandoned" in said
