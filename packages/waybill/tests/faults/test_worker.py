"""Faults 4 to 7, 21, 22: workers die, freeze, crash again and again, are told to stop, are late."""

from __future__ import annotations

import time

import psutil

from waybill.local.faults.rehearsal import LEASE_SECONDS, PREFIX, Rehearsal
from waybill.local.process import SupervisedProcess
from waybill.local.stack import LocalStack


def children_of(process: SupervisedProcess) -> list[psutil.Process]:
    """The forked children of a worker, which run the exports."""
    return psutil.Process(process.pid).children(recursive=True)


def kill_children(process: SupervisedProcess) -> None:
    for child in children_of(process):
        child.kill()


def test_04_killed_child_is_replaced_and_the_job_reruns(house: Rehearsal) -> None:
    with house.uploads_held():
        export_id = house.request()
        house.wait_running(export_id)
        kill_children(house.processes.worker)
    row = house.wait_over(export_id)
    assert row["status"] == "completed"
    assert row["attempt"] == 2
    assert house.attempts(export_id)[0]["cause"] == "worker_lost"


def test_04_killed_child_loses_none_of_the_small_jobs_it_ran_side_by_side(
    fault_stack: LocalStack,
) -> None:
    with Rehearsal(fault_stack, users=1_000, concurrency=1) as house:
        with house.uploads_held():
            house.processes.worker.pause()  # until all are due: then the first takes them along
            jobs = [house.request(format=name) for name in ("csv", "json", "ndjson")]
            house.processes.worker.resume()
            for each in jobs:
                house.wait_running(each)
            assert len({house.attempts(each)[0]["worker"] for each in jobs}) == 1
            kill_children(house.processes.worker)
        rows = [house.wait_over(each) for each in jobs]
        assert [(row["status"], row["attempt"]) for row in rows] == [("completed", 2)] * 3
        assert [house.attempts(each)[0]["cause"] for each in jobs] == ["worker_lost"] * 3
        house.assert_invariants()


def test_05_killed_worker_is_replaced_by_another(house: Rehearsal) -> None:
    with house.uploads_held():
        export_id = house.request()
        house.wait_running(export_id)
        house.processes.worker.kill()
        house.add_worker()
    row = house.wait_over(export_id)
    assert (row["status"], row["attempt"]) == ("completed", 2)
    # The upload of the dead worker is aborted, not left to cost money.
    deadline = time.monotonic() + 30
    while open_uploads(house):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def open_uploads(house: Rehearsal) -> list[str]:
    client = house.stack.seaweedfs.client()
    found = client.list_multipart_uploads(
        Bucket=house.stack.addresses.s3_bucket, Prefix=f"{PREFIX}/"
    )
    return [upload["Key"] for upload in found.get("Uploads", ())]


def test_06_job_that_crashes_its_worker_three_times_is_a_dead_letter(house: Rehearsal) -> None:
    with house.uploads_held():
        export_id = house.request()
        for attempt in (1, 2, 3):
            house.wait_for(
                export_id,
                lambda row, attempt=attempt: (
                    row["status"] == "running" and row["attempt"] == attempt
                ),
            )
            kill_children(house.processes.worker)
    # The last attempt is not ended before storage has said whether its file is whole.
    row = house.wait_over(export_id)
    assert (row["status"], row["error_code"], row["attempt"]) == ("failed", "worker_lost", 3)
    assert [each["cause"] for each in house.attempts(export_id)] == ["worker_lost"] * 3
    # No fourth run: another job passes the same queue, and this one is as it was.
    house.wait_over(house.request())
    assert house.row(export_id)["attempt"] == 3


def test_07_zombie_that_wakes_after_its_lease_changes_nothing(house: Rehearsal) -> None:
    with house.uploads_held():
        export_id = house.request()
        first = house.wait_running(export_id)
        house.processes.worker.pause()
        second_worker = house.add_worker()
        second = house.wait_for(
            export_id, lambda row: row["attempt"] == 2 and row["status"] == "running"
        )
        assert second["lease_token"] != first["lease_token"]
    done = house.wait_over(export_id)
    assert done["status"] == "completed"
    house.processes.worker.resume()
    # The zombie notices, at the latest when it tries to write: its attempt stays ended as lost.
    time.sleep(LEASE_SECONDS / 2)
    assert house.row(export_id) == done
    assert [each["outcome"] for each in house.attempts(export_id)].count("completed") == 1
    assert second_worker.is_running


def test_21_sigterm_gives_the_job_back_without_spending_the_attempt(house: Rehearsal) -> None:
    with house.uploads_held():
        export_id = house.request()
        house.wait_running(export_id)
        house.processes.worker.stop()
        row = house.wait_for(export_id, lambda row: row["status"] == "queued")
        assert row["attempt"] == 0
    house.add_worker()
    row = house.wait_over(export_id)
    assert (row["status"], row["attempt"]) == ("completed", 1)
    assert [each["outcome"] for each in house.attempts(export_id)] == ["given_back", "completed"]


def test_22_deadline_fails_the_job_gracefully(fault_stack: LocalStack) -> None:
    catalog = '[exports.users]\ntable = "public.users"\nkey = "id"\ndeadline_seconds = 2\n'
    with Rehearsal(fault_stack, users=60_000, catalog=catalog) as house:
        with house.uploads_held():
            export_id = house.request()
            row = house.wait_over(export_id)
        assert (row["status"], row["error_code"]) == ("failed", "deadline_exceeded")
        assert row["attempt"] == 1
        assert row["error_message"]
        house.assert_invariants()
