"""Faults 15 to 20: S3 is overloaded, loses answers, lies, corrupts; 23: time passes."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from waybill.client import ServerRefused
from waybill.local.faults.rehearsal import PREFIX, Rehearsal
from waybill.local.faults.s3_proxy import answer, corrupt_body, error_in_200, unavailable
from waybill.local.sample import create_users
from waybill.local.stack import LocalStack

from .conftest import children_of

USERS = 60_000


def objects_of(house: Rehearsal, export_id: str) -> list[str]:
    return sorted(house.storages()["s3"].list_keys(f"{PREFIX}/{export_id}/"))


def test_15_bursts_of_503_are_retried_on_s3(house: Rehearsal) -> None:
    house.s3.fault(unavailable(), times=3)
    export_id = house.request()
    row = house.wait_over(export_id)
    assert (row["status"], row["storage"]) == ("completed", "s3")
    assert house.s3.injected == 3


def test_17_complete_that_times_out_but_succeeded_is_found(house: Rehearsal) -> None:
    house.s3.fault(operation="complete", times=1, lose_answer=True)
    export_id = house.request()
    row = house.wait_over(export_id)
    assert (row["status"], row["attempt"]) == ("completed", 1)
    assert len(objects_of(house, export_id)) == 2  # the file and its manifest, no second copy


def test_18_error_in_a_200_is_a_failure(house: Rehearsal) -> None:
    house.s3.fault(error_in_200(), operation="complete", times=10)
    export_id = house.request()
    house.wait_for(export_id, lambda row: row["attempt"] == 1 and row["status"] == "queued")
    house.s3.clear()
    row = house.wait_over(export_id)
    assert (row["status"], row["attempt"]) == ("completed", 2)
    assert house.attempts(export_id)[0]["outcome"] == "retried"


def test_19_corrupted_part_is_sent_again_and_never_committed(house: Rehearsal) -> None:
    house.s3.fault(corrupt_body(), operation="part", times=1)
    export_id = house.request()
    row = house.wait_over(export_id)
    assert (row["status"], row["attempt"]) == ("completed", 1)
    assert house.s3.requests.count("part") > 3


def test_20_disk_full_everywhere_fails_cleanly(fault_stack: LocalStack) -> None:
    full = answer(500, b"<Error><Code>InternalError</Code><Message>no space</Message></Error>")
    # No room in the database either: over the cap of the fallback.
    with Rehearsal(
        fault_stack, users=USERS, settings={"WAYBILL_FALLBACK_MAX_BYTES": "1024"}
    ) as house:
        house.s3.fault(full, operation="part")
        export_id = house.request()
        row = house.wait_over(export_id, seconds=120)
        house.s3.clear()
        assert row["status"] == "failed"
        assert "no space" not in row["error_message"]
        assert objects_of(house, export_id) == []
        house.assert_invariants()


def test_20_memory_does_not_grow_with_the_export(fault_stack: LocalStack) -> None:
    rows = {"users": USERS, "many": 6 * USERS}
    catalog = "".join(
        f'[exports.{name}]\ntable = "public.{name}"\nkey = "id"\ndeadline_seconds = 600\n'
        for name in rows
    )
    create_users(fault_stack.addresses.postgres_dsn, rows["many"], table="many")
    # One child, so that both exports are in the same process.
    with Rehearsal(fault_stack, users=USERS, catalog=catalog, concurrency=1) as house:
        peaks = []
        for name, count in rows.items():
            row = house.wait_over(house.request(name), seconds=600)
            assert (row["status"], row["rows_done"]) == ("completed", count)
            (child,) = children_of(house.processes.worker)
            peaks.append(peak_mib(child.pid))
        # Three parts and more were in flight in the small one already: 21 MB against 126.
        assert peaks[1] - peaks[0] < 32
        house.audit(expected=rows).assert_holds()


def peak_mib(pid: int) -> float:
    """The most memory a process ever held (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def test_23_a_week_later_the_files_are_gone_and_say_so(fault_stack: LocalStack) -> None:
    with Rehearsal(fault_stack, users=USERS, settings={"WAYBILL_MAX_ATTEMPTS": "1"}) as house:
        in_s3 = house.request()
        house.wait_over(in_s3)
        assert len(objects_of(house, in_s3)) == 2
        house.s3.fault(unavailable())
        in_database = house.request(format="ndjson")
        assert house.wait_over(in_database)["storage"] == "database"
    # The same service eight days later; its cleanup is killed while it deletes the object.
    later = {
        "WAYBILL_CLOCK_OFFSET_SECONDS": str(8 * 86_400),
        "WAYBILL_DOWNLOAD_GRACE_SECONDS": "60",
    }
    with Rehearsal(fault_stack, users=USERS, settings=later, fresh=False) as house:
        # S3 takes no file, so that the one in the database stays there.
        house.s3.fault(unavailable(), operation="put")
        with house.uploads_held():
            house.wait_for(in_s3, lambda row: row["status"] == "expired")
            house.processes.scheduler.kill()
            # The object goes before the row's memory of it.
            assert house.row(in_s3)["object_key"] is not None
        house.processes.scheduler.start()
        for export_id in (in_s3, in_database):
            house.wait_for(export_id, lambda row: row["object_key"] is None)
            with pytest.raises(ServerRefused) as refused:
                house.client.manifest(export_id)
            assert refused.value.status == httpx.codes.GONE
            assert "new export" in str(refused.value)
        assert objects_of(house, in_s3) == []
        assert house.rows("SELECT 1 FROM stored_objects") == []
        assert house.rows("SELECT 1 FROM stored_chunks") == []
        house.s3.clear()
        house.assert_invariants()
