"""Faults 26, 27, 28: hostile cells, hostile webhooks, and a change of mind at the worst moment.

Faults 24 and 25 are in ``test_admission.py``.
"""

from __future__ import annotations

import csv
import io
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from waybill.client import ServerRefused
from waybill.local.faults.rehearsal import LEASE_SECONDS, PREFIX, Rehearsal
from waybill.local.stack import LocalStack

CELLS = ["=cmd|' /C calc'!A0", "+1 on the list", "-2+3", "@SUM(1)", "\t=1", "\r=1", "+15551234567"]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_CATALOG = (
    '[exports.users]\ntable = "public.users"\nkey = "id"\n\n'
    '[exports.cells]\ntable = "public.cells"\nkey = "id"\n'
)


@pytest.fixture
def cells(fault_stack: LocalStack) -> None:
    import psycopg

    with psycopg.connect(fault_stack.addresses.postgres_dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS cells")
        connection.execute("CREATE TABLE cells (id int PRIMARY KEY, cell text, amount numeric)")
        for number, cell in enumerate(CELLS):
            connection.execute("INSERT INTO cells VALUES (%s, %s, -1.5)", [number, cell])


def test_26_formulas_are_neutralised_in_csv_and_lossless_in_json(
    fault_stack: LocalStack, cells: None, tmp_path: Path
) -> None:
    with Rehearsal(fault_stack, users=1_000, catalog=_CATALOG) as house:
        files = {}
        for name in ("csv", "ndjson"):
            export_id = house.request("cells", format=name)
            house.wait_over(export_id)
            files[name] = house.client.download(export_id, tmp_path / name)
            manifest = house.client.manifest(export_id)
            assert (manifest["formula_guard"] is None) == (name == "ndjson")
        text = files["csv"].read_bytes().decode()
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert [row["cell"][0] for row in rows[:-1]] == ["'"] * (len(CELLS) - 1)
        assert rows[-1]["cell"] == "+15551234567"
        assert {row["amount"] for row in rows} == {"-1.5"}
        lines = files["ndjson"].read_text("utf-8").splitlines()
        assert [json.loads(line)["cell"] for line in lines] == CELLS
        house.assert_invariants()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0177.0.0.1", "[::ffff:127.0.0.1]", "169.254.169.254"],
)
def test_27_webhook_to_an_internal_host_is_refused_before_anything_connects(
    fault_stack: LocalStack, host: str, tmp_path: Path
) -> None:
    # Names that resolve inside, rebinding and redirects need a resolver of the test's own: they
    # are in tests/integration/notify, as no test may ask the real one.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        webhook = {
            "name": "internal",
            "url": f"https://{host}:{listener.getsockname()[1]}/hook",
            "secrets": [SECRET],
        }
        refused = subprocess.run(
            [sys.executable, "-m", "waybill", "scheduler"],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                **fault_stack.as_environment(),
                "WAYBILL_WEBHOOKS": json.dumps([webhook]),
                "WAYBILL_PUBLIC_URL": "https://exports.example",
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert refused.returncode == 78
    assert "webhook 'internal'" in refused.stderr


def test_27_webhook_that_cannot_be_delivered_fails_no_export(fault_stack: LocalStack) -> None:
    webhook = {"name": "gone", "url": "https://receiver.invalid/hook", "secrets": [SECRET]}
    settings = {
        "WAYBILL_WEBHOOKS": json.dumps([webhook]),
        "WAYBILL_PUBLIC_URL": "https://exports.example",
    }
    with Rehearsal(fault_stack, users=1_000, settings=settings) as house:
        export_id = house.request()
        assert house.wait_over(export_id)["status"] == "completed"
        deadline = time.monotonic() + 90
        while not (tried := house.rows("SELECT * FROM notifications WHERE attempts > 0")):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert len(tried) == 1
        assert house.row(export_id)["status"] == "completed"
        house.assert_invariants()


def test_28_cancel_during_a_run_stops_it_within_a_heartbeat(house: Rehearsal) -> None:
    house.s3.delay(0.5)
    export_id = house.request()
    house.wait_running(export_id)
    cancelled = house.client.discard(export_id)
    assert cancelled.status == "cancelled"
    house.s3.delay(0)
    deadline = time.monotonic() + LEASE_SECONDS + 30
    while "export.attempt_ended" not in house.processes.worker.log_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert house.row(export_id)["status"] == "cancelled"
    with pytest.raises(ServerRefused) as refused:
        house.client.manifest(export_id)
    assert refused.value.status in {httpx.codes.CONFLICT, httpx.codes.GONE}


def test_28_delete_during_a_download_ends_links_with_the_object(
    fault_stack: LocalStack, tmp_path: Path
) -> None:
    with Rehearsal(fault_stack, users=60_000, settings={"WAYBILL_DOWNLOAD": "redirect"}) as house:
        export_id = house.request()
        house.wait_over(export_id)
        asked = httpx.get(
            f"{house.processes.url}/api/exports/{export_id}/download",
            headers={"Authorization": "Bearer rehearsal"},
        )
        link = asked.headers["location"]
        assert httpx.head(link).status_code in {200, 403}  # signed for GET alone
        with httpx.stream("GET", link) as response:
            assert response.status_code == 200
        house.client.discard(export_id)
        # No new links at once, and the one given out dies with the object.
        again = httpx.get(
            f"{house.processes.url}/api/exports/{export_id}/download",
            headers={"Authorization": "Bearer rehearsal"},
        )
        assert again.status_code == httpx.codes.GONE
        deadline = time.monotonic() + 90
        while list(house.storages()["s3"].list_keys(f"{PREFIX}/{export_id}/")):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert httpx.get(link).status_code == httpx.codes.NOT_FOUND
        house.assert_invariants()
