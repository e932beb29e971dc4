"""What signals do to a worker, beyond the table: to one child, to the group, cold, and repeated."""

from __future__ import annotations

import signal

import psutil

from waybill.local.faults.rehearsal import Rehearsal
from waybill.local.stack import LocalStack
from waybill.run.identity import WorkerIdentity

from .conftest import USERS, children_of


def running_child(house: Rehearsal, export_id: str) -> psutil.Process:
    """Return the process that runs the job, as its history names it."""
    identity = WorkerIdentity.parse(house.attempts(export_id)[-1]["worker"])
    assert identity is not None
    children = {child.pid: child for child in children_of(house.processes.worker)}
    return children[identity.pid]


def test_sigterm_to_the_child_itself_gives_its_job_back_unspent(house: Rehearsal) -> None:
    with house.uploads_held():
        export_id = house.request()
        house.wait_running(export_id)
        running_child(house, export_id).terminate()
        house.wait_for(export_id, lambda _: len(house.attempts(export_id)) == 2)
    row = house.wait_over(export_id)
    assert (row["status"], row["attempt"]) == ("completed", 1)
    assert [each["outcome"] for each in house.attempts(export_id)] == ["given_back", "completed"]


def test_sigterm_to_the_whole_group_gives_jobs_back_unspent(house: Rehearsal) -> None:
    worker = house.processes.worker
    with house.uploads_held():
        export_id = house.request()
        house.wait_running(export_id)
        parent = psutil.Process(worker.pid)
        for process in (*children_of(worker), parent):
            process.send_signal(signal.SIGTERM)
        parent.wait(30)
        row = house.wait_for(export_id, lambda row: row["status"] == "queued")
        assert row["attempt"] == 0
    house.add_worker()
    assert house.wait_over(export_id)["attempt"] == 1


def test_cold_shutdown_gives_jobs_back_unspent(house: Rehearsal) -> None:
    worker = house.processes.worker
    with house.uploads_held():
        export_id = house.request()
        house.wait_running(export_id)
        psutil.Process(worker.pid).send_signal(signal.SIGQUIT)
        row = house.wait_for(export_id, lambda row: row["status"] == "queued")
        assert row["attempt"] == 0
        psutil.Process(worker.pid).wait(60)
    house.add_worker()
    assert house.wait_over(export_id)["attempt"] == 1


def test_job_of_a_killed_child_does_not_wait_for_its_lease(fault_stack: LocalStack) -> None:
    # With a lease that no test would wait for, only the sibling's look can free the job.
    settings = {"WAYBILL_LEASE_SECONDS": "3600", "WAYBILL_HEARTBEAT_SECONDS": "15"}
    with Rehearsal(fault_stack, users=USERS, settings=settings) as house:
        with house.uploads_held():
            export_id = house.request()
            house.wait_running(export_id)
            running_child(house, export_id).kill()
            house.wait_for(export_id, lambda _: len(house.attempts(export_id)) == 2)
        row = house.wait_over(export_id)
        assert (row["status"], row["attempt"]) == ("completed", 2)
        assert house.attempts(export_id)[0]["cause"] == "worker_lost"
        house.assert_invariants()
