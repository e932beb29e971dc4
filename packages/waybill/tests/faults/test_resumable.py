"""Faults 5, 7 and 21 again, for exports that are declared resumable: the successor goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from waybill.local.faults.rehearsal import LEASE_SECONDS, PREFIX, Rehearsal
from waybill.local.stack import LocalStack

from .conftest import USERS

_CATALOG = (
    '[exports.users]\ntable = "public.users"\nkey = "id"\nconsistency = "resumable"\n'
    "deadline_seconds = 120\n"
)
# 21 MB in parts of 5.5 MiB: three resume points.
_SETTINGS = {
    "WAYBILL_PART_BYTES": str(5 * 1024 * 1024),
    "WAYBILL_CHECKPOINT_SECONDS": "0",
}


@pytest.fixture
def slow_house(fault_stack: LocalStack) -> Iterator[Rehearsal]:
    """A service whose exports can be resumed, on a source that takes seconds for one of them."""
    with Rehearsal(fault_stack, users=USERS, catalog=_CATALOG, settings=_SETTINGS) as house:
        house.source.delay(0.02)
        yield house
        house.source.delay(0)
        house.assert_invariants()


def begin(house: Rehearsal, **arguments: Any) -> str:
    """Request an export and return when it has left a checkpoint."""
    export_id = house.request(**arguments)
    deadline = time.monotonic() + 60
    while not house.rows(
        "SELECT 1 FROM export_checkpoint_parts WHERE export_id = %s AND rows IS NOT NULL", export_id
    ):
        assert time.monotonic() < deadline
        assert house.row(export_id)["status"] in {"queued", "running"}
        time.sleep(0.05)
    return export_id


def assert_resumed(house: Rehearsal, export_id: str, first_key: str) -> dict[str, Any]:
    """The file is one upload's, of more than one snapshot, and equal to an undisturbed one."""
    row = house.wait_over(export_id)
    assert row["status"] == "completed"
    assert row["object_key"].startswith(first_key)
    segments = row["manifest"]["segments"]
    assert len(segments) >= 2
    assert sum(segment["rows"] for segment in segments) == USERS
    house.source.delay(0)
    undisturbed = house.wait_over(house.request(format=row["format"]))
    assert undisturbed["manifest"]["segments"] == []
    assert undisturbed["sha256"] == row["sha256"]
    parts = [row["manifest"]["parts"], undisturbed["manifest"]["parts"]]
    assert parts[0] == parts[1]
    assert house.rows("SELECT 1 FROM export_checkpoints") == []
    return row


@pytest.mark.parametrize("format_name", ["csv", "json"])
def test_05_successor_of_a_killed_worker_goes_on_from_its_last_part(
    slow_house: Rehearsal, format_name: str
) -> None:
    export_id = begin(slow_house, format=format_name)
    first = slow_house.row(export_id)
    slow_house.processes.worker.kill()
    slow_house.add_worker()
    row = assert_resumed(slow_house, export_id, f"{PREFIX}/{export_id}/1-{first['lease_token']}")
    assert row["attempt"] == 2


def test_07_zombie_of_a_resumed_export_changes_nothing(slow_house: Rehearsal) -> None:
    export_id = begin(slow_house)
    first = slow_house.row(export_id)
    zombie = slow_house.processes.worker
    zombie.pause()
    slow_house.add_worker()
    done = assert_resumed(slow_house, export_id, f"{PREFIX}/{export_id}/1-{first['lease_token']}")
    zombie.resume()
    # It has parts of the same upload on their way, or is about to end the upload itself.
    time.sleep(LEASE_SECONDS / 2)
    assert slow_house.row(export_id) == done
    outcomes = [each["outcome"] for each in slow_house.attempts(export_id)]
    assert outcomes.count("completed") == 1


def test_21_deploy_in_the_middle_of_a_resumable_export_repeats_little(
    slow_house: Rehearsal,
) -> None:
    export_id = begin(slow_house)
    first = slow_house.row(export_id)
    slow_house.processes.worker.stop()
    assert slow_house.row(export_id)["attempt"] == 0
    slow_house.add_worker()
    row = assert_resumed(slow_house, export_id, f"{PREFIX}/{export_id}/1-{first['lease_token']}")
    assert row["attempt"] == 1
