"""Workers are scaled by the work there is: running and due, of waybill's own table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

KEDA = Path(__file__).parents[5] / "deploy" / "kubernetes" / "keda.yaml"
_INSERT = (
    "INSERT INTO export_jobs (id, export_type, format, requested_by, status, max_attempts,"
    " next_attempt_at, lease_token, is_stream, attempt, error_code)"
    " VALUES (%s, 'users', 'csv', 'ann', %s, 3, now() + %s::interval, %s, %s, 0, %s)"
)


def test_keda_counts_what_runs_and_what_is_due(execute: Callable[..., Any]) -> None:
    for status, wait, is_stream, code in (
        ("queued", "-1 s", False, None), ("queued", "-1 s", False, "source_unavailable"),
        ("queued", "1 hour", False, "source_unavailable"),  # waits for its retry
        ("queued", "-1 s", False, "source_full"),  # no worker could begin it
        ("running", "0 s", False, None),
        ("running", "0 s", True, None),  # the API's own
        ("cancelled", "0 s", False, None),
    ):  # fmt: skip
        lease = uuid4() if status == "running" else None
        execute(_INSERT, uuid4(), status, wait, lease, is_stream, code)
    _, scaled = yaml.safe_load_all(KEDA.read_text(encoding="utf-8"))
    trigger = scaled["spec"]["triggers"][0]["metadata"]
    # As KEDA's own role asks, to whom our schema is one among others.
    execute("SET search_path = public")
    assert execute(trigger["query"]) == [(3,)]
    assert scaled["spec"]["scaleTargetRef"]["name"] == "waybill-worker"
    assert scaled["spec"]["minReplicaCount"] == 1
