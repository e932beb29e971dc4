"""What exports took is read from the history of the service itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from psycopg.conninfo import conninfo_to_dict

from waybill.capacity.measured import measured_loads
from waybill.errors import ConfigurationError

_JOB = (
    "INSERT INTO export_jobs (id, export_type, format, requested_by, status, max_attempts,"
    " is_stream) VALUES (%s, %s, 'csv', 'ann', 'cancelled', 3, %s)"
)
_ATTEMPT = (
    "INSERT INTO export_attempts (lease_token, export_id, attempt, worker, started_at, ended_at,"
    " outcome) VALUES (%s, %s, 1, 'w', now() - %s::interval, now() - %s::interval + %s::interval,"
    " %s)"
)

_ATTEMPT_AT = (
    "INSERT INTO export_attempts (lease_token, export_id, attempt, worker, started_at, ended_at,"
    " outcome) SELECT %s, %s, 1, 'w', at + %s::interval, at + %s::interval + %s::interval, %s"
    " FROM public.began"
)


def test_loads_are_what_completed_lately(database: str, execute: Callable[..., Any]) -> None:
    # As a server's default is: nothing of ours is found without its schema's name.
    name = conninfo_to_dict(database)["dbname"]
    execute(f'ALTER DATABASE "{name}" SET search_path = public')
    for name, ago, took, outcome, is_stream in (
        ("users", "1 hour", "2 s", "completed", False),
        ("users", "1 hour", "4 s", "completed", False),
        ("users", "1 hour", "9 s", "completed", False),
        ("orders", "1 hour", "10 s", "completed", False),
        ("orders", "1 hour", "50 s", "failed", False),
        ("orders", "9 days", "99 s", "completed", False),
        ("orders", "1 hour", "1 s", "completed", True),
    ):
        job = uuid4()
        execute(_JOB, job, name, is_stream)
        execute(_ATTEMPT, uuid4(), job, ago, ago, took, outcome)
    loads = {load.name: load for load in measured_loads(database, days=7)}
    assert sorted(loads["users.csv"].seconds) == [2, 4, 9]
    assert loads["orders.csv"].seconds == (10,)
    assert {name: load.share for name, load in loads.items()} == {
        "users.csv": 0.75,
        "orders.csv": 0.25,
    }


def test_exports_side_by_side_keep_their_place_for_a_part_each(
    database: str, execute: Callable[..., Any]
) -> None:
    # Of one process: two from the beginning, and one that failed beside the longer of them.
    execute("CREATE TABLE began AS SELECT now() - interval '10 s' AS at")
    for after, took, outcome in (
        ("0 s", "10 s", "completed"),
        ("0 s", "6 s", "completed"),
        ("8 s", "1 s", "failed"),
    ):
        job = uuid4()
        execute(_JOB, job, "users", False)
        execute(_ATTEMPT_AT, uuid4(), job, after, after, took, outcome)

    (load,) = measured_loads(database, days=7)

    assert sorted(map(round, load.seconds)) == [6, 10]
    # Both from the beginning: 3 s each of the first 6; then 2 s alone, 1 s of two, 1 s alone.
    assert sorted(round(each, 1) for each in load.held) == [3.0, 6.5]
    assert round(load.mean_held, 2) == 4.75


def test_service_without_history_says_what_to_do(database: str) -> None:
    with pytest.raises(ConfigurationError, match="--mix"):
        measured_loads(database, days=7)
