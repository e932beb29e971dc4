"""Fault 16: S3 is down throughout. The file is kept in the database, or the job fails whole."""

from __future__ import annotations

from typing import Any

import httpx

from waybill.local.faults.rehearsal import PREFIX, TOKEN, Rehearsal
from waybill.local.faults.s3_proxy import reset_connection, unavailable
from waybill.local.stack import LocalStack

USERS = 30_000
# What belongs to one run; everything else in a manifest says what the file is.
OF_THE_RUN = ("export_id", "snapshot", "created_at", "file_name")


def facts_of(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row["manifest"].items() if name not in OF_THE_RUN}


def download(house: Rehearsal, export_id: str, **headers: str) -> httpx.Response:
    return httpx.get(
        f"{house.processes.url}/api/exports/{export_id}/download?via=redirect",
        headers={"Authorization": f"Bearer {TOKEN}", **headers},
        timeout=60,
    )


def test_16_s3_down_throughout_keeps_the_same_file_in_the_database(
    fault_stack: LocalStack,
) -> None:
    with Rehearsal(fault_stack, users=USERS) as house:
        undisturbed = house.wait_over(house.request())
        house.s3.fault(unavailable())
        export_id = house.request()
        row = house.wait_over(export_id)

        assert (row["status"], row["storage"], row["attempt"]) == ("completed", "database", 3)
        assert row["sha256"] == undisturbed["sha256"]
        assert facts_of(row) == facts_of(undisturbed)
        assert "storage.fallback" in house.processes.worker.log_text()
        # There is no link to S3 to give out, so that the bytes come from us, ranges included.
        whole = download(house, export_id)
        assert (whole.status_code, len(whole.content)) == (200, row["object_bytes"])
        middle = download(house, export_id, Range="bytes=300000-9000000")
        assert middle.status_code == 206
        assert middle.content == whole.content[300_000:9_000_001]

        house.s3.clear()
        moved = house.wait_for(export_id, lambda row: row["storage"] == "s3")
        assert (moved["sha256"], moved["object_key"]) == (row["sha256"], row["object_key"])
        house.assert_invariants()


def test_16_file_over_the_cap_is_a_dead_letter_and_never_truncated(
    fault_stack: LocalStack,
) -> None:
    cap = {"WAYBILL_FALLBACK_MAX_BYTES": str(6 * 1024 * 1024)}
    with Rehearsal(fault_stack, users=USERS, settings=cap) as house:
        house.s3.fault(unavailable())
        row = house.wait_over(house.request())

        assert (row["status"], row["error_code"], row["attempt"]) == ("failed", "storage_full", 3)
        assert row["object_key"] is None
        assert house.rows("SELECT upload_id FROM stored_objects") == []
        assert house.rows("SELECT upload_id FROM stored_chunks") == []
        house.s3.clear()
        house.assert_invariants()


def test_16_without_a_fallback_the_job_fails_for_s3(fault_stack: LocalStack) -> None:
    off = {"WAYBILL_FALLBACK_MAX_BYTES": "0"}
    with Rehearsal(fault_stack, users=100, settings=off) as house:
        house.s3.fault(unavailable())
        row = house.wait_over(house.request())

        assert (row["status"], row["error_code"]) == ("failed", "storage_unavailable")
        house.s3.clear()
        house.assert_invariants()


def test_15_s3_that_comes_back_before_the_last_attempt_gets_the_file(
    fault_stack: LocalStack,
) -> None:
    with Rehearsal(fault_stack, users=100) as house:
        house.s3.fault(unavailable())
        export_id = house.request()
        house.wait_for(export_id, lambda row: row["attempt"] == 2)
        house.s3.clear()

        assert house.wait_over(export_id)["storage"] == "s3"
        house.assert_invariants()


def test_16_s3_that_refuses_connections_is_away(fault_stack: LocalStack) -> None:
    with Rehearsal(fault_stack, users=100) as house:
        house.s3.refuse()
        export_id = house.request()
        assert house.wait_over(export_id)["storage"] == "database"
        house.s3.accept()
        house.wait_for(export_id, lambda row: row["storage"] == "s3")
        house.assert_invariants()


def test_16_commit_that_s3_never_confirmed_is_found_by_the_move(fault_stack: LocalStack) -> None:
    with Rehearsal(fault_stack, users=USERS, settings={"WAYBILL_MAX_ATTEMPTS": "1"}) as house:
        # S3 commits the object, but neither says so nor answers anything afterwards.
        house.s3.fault(operation="complete", lose_answer=True)
        house.s3.fault(reset_connection(), operation="head")
        export_id = house.request()
        row = house.wait_over(export_id)
        assert (row["status"], row["storage"]) == ("completed", "database")
        in_s3 = house.storages()["s3"]
        assert list(in_s3.list_keys(f"{PREFIX}/")) == [row["object_key"]]

        house.s3.clear()
        moved = house.wait_for(export_id, lambda row: row["storage"] == "s3")
        assert moved["object_key"] == row["object_key"]
        house.assert_invariants()
