"""Faults 1, 2, 3, 8, 9, 10, 11: the notification breaks, the job does not."""

from __future__ import annotations

import time
from typing import Any

import pytest
from celery import Celery

from waybill.jobs.queue import RUN_EXPORT
from waybill.jobs.queue_name import read_queue_name
from waybill.local.faults.rehearsal import Rehearsal


def notify(house: Rehearsal, export_id: str) -> None:
    """Publish a message as the service does, once more."""
    app = Celery(broker=house.stack.addresses.redis_url)
    queue = read_queue_name(house.dsn)
    app.send_task(RUN_EXPORT, args=[export_id], queue=queue, retry=False, ignore_result=True)
    app.close()


def test_01_redis_down_at_post_is_accepted_and_published_on_recovery(house: Rehearsal) -> None:
    house.redis.refuse()
    export_id = house.request()
    assert house.row(export_id)["status"] == "queued"
    house.redis.accept()
    assert house.wait_over(export_id)["status"] == "completed"
    assert len(house.rows("SELECT id FROM export_jobs")) == 1


def test_02_api_killed_between_commit_and_publish_is_republished(house: Rehearsal) -> None:
    # The row is committed, the publish hangs in the black hole, and then the API is gone.
    house.redis.hold()
    with pytest.raises(Exception, match=r".+"):
        _post_and_kill(house)
    house.redis.release()
    (row,) = house.rows("SELECT id FROM export_jobs")
    assert house.wait_over(str(row["id"]))["status"] == "completed"


def _post_and_kill(house: Rehearsal) -> None:
    import threading

    import httpx

    def kill() -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if house.rows("SELECT 1 FROM export_jobs"):
                house.processes.api.kill()
                return
            time.sleep(0.02)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        httpx.post(
            f"{house.processes.url}/api/users/export",
            headers={"Authorization": "Bearer rehearsal"},
            timeout=30,
        ).raise_for_status()
    finally:
        killer.join()


def test_03_frozen_worker_killed_with_a_popped_message_loses_nothing(house: Rehearsal) -> None:
    house.processes.worker.pause()
    # The broker gives the message to the frozen worker's open BRPOP.
    export_id = house.request()
    time.sleep(0.5)
    house.processes.worker.kill()
    house.add_worker()
    assert house.wait_over(export_id)["status"] == "completed"


def test_08_duplicate_message_during_a_live_lease_has_no_effect(house: Rehearsal) -> None:
    with house.uploads_held():
        export_id = house.request()
        token = house.wait_running(export_id)["lease_token"]
        notify(house, export_id)
        notify(house, export_id)
        time.sleep(2)
        row = house.row(export_id)
        assert (row["status"], row["attempt"], row["lease_token"]) == ("running", 1, token)
    assert house.wait_over(export_id)["attempt"] == 1


def test_09_duplicate_message_after_completion_has_no_effect(house: Rehearsal) -> None:
    export_id = house.request()
    before = house.wait_over(export_id)
    notify(house, export_id)
    other = house.request(format="ndjson")  # runs after the duplicate in the same queue
    house.wait_over(other)
    assert house.row(export_id) == before
    assert len(house.attempts(export_id)) == 1


def test_10_broker_killed_and_restarted_consumption_resumes(house: Rehearsal) -> None:
    with house.uploads_held():
        running = house.request()
        house.wait_running(running)
        house.stack.valkey.kill()
        waiting = house.request(format="json")
        house.stack.valkey.start()
    assert house.wait_over(running)["status"] == "completed"
    assert house.wait_over(waiting)["status"] == "completed"


def test_11_flushall_loses_no_job(house: Rehearsal) -> None:
    with house.uploads_held():
        ids = [house.request(format=f) for f in ("csv", "json", "ndjson", "csv", "ndjson")]
        house.wait_running(ids[0])
        _flush_all(house)
    for export_id in ids:
        assert house.wait_over(export_id)["status"] == "completed"


def _flush_all(house: Rehearsal) -> Any:
    import redis

    with redis.Redis.from_url(house.stack.addresses.redis_url) as client:
        return client.flushall()
