"""Wiping out one's traces: the trail forgets by age alone, and what no route does is in it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from waybill.config import Settings

from .conftest import House

Execute = Callable[..., list[tuple[Any, ...]]]

BOSS = {"sub": "boss", "org": "acme", "scope": "exports:admin exports:read"}
CHIEF = BOSS | {"sub": "chief", "org": "globex"}
FORGETS = "SET LOCAL waybill.forgets_audit_events = 'on'"


@pytest.fixture
def aged(execute: Execute) -> None:
    """Events of 1, 29, 31, 399 and 401 days ago."""
    for days in (1, 29, 31, 399, 401):
        execute(
            "INSERT INTO audit_events (at, actor, action, outcome)"
            " VALUES (now() - %s * interval '1 day', %s, 'read', 'allowed')",
            days,
            f"d{days}",
        )


def ages(execute: Execute) -> list[str]:
    return [row[0] for row in execute("SELECT actor FROM audit_events ORDER BY id")]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_events WHERE actor = 'd401'",
        "UPDATE audit_events SET actor = 'nobody' WHERE actor = 'd401'",
        f"{FORGETS}; UPDATE audit_events SET actor = 'nobody' WHERE actor = 'd401'",
        f"{FORGETS}; UPDATE audit_events SET at = now() - interval '1 year'",
        f"{FORGETS}; DELETE FROM audit_events WHERE actor = 'd29'",
        f"{FORGETS}; DELETE FROM audit_events",
        f"{FORGETS}; TRUNCATE audit_events",
    ],
)
def test_trail_is_not_changed_nor_are_young_events_deleted_whoever_asks(
    database: str, execute: Execute, aged: None, statement: str
) -> None:
    with psycopg.connect(database) as connection, pytest.raises(psycopg.Error, match="append-only"):
        connection.execute(statement.encode())
    assert len(ages(execute)) == 5


async def test_events_past_their_time_are_forgotten_and_no_others(
    house: House, execute: Execute, aged: None
) -> None:
    assert house.services.settings.audit_retention_days == 400
    await house.services.sweeper.clean()
    assert ages(execute) == ["d1", "d29", "d31", "d399"]
    # A shorter time than the table itself allows is not to be had.
    with pytest.raises(ValueError, match="audit_retention_days"):
        Settings(**(house.services.settings.model_dump() | {"audit_retention_days": 1}))
    assert await house.services.audit.forget(timedelta(days=30), limit=1) == 1
    assert await house.services.audit.forget(timedelta(days=30), limit=10) == 1
    assert ages(execute) == ["d1", "d29"]


async def test_replay_by_command_is_in_the_victims_trail(
    house: House, settings: Settings, tmp_path: Path
) -> None:
    """Whoever holds the database's password acts through no route."""
    letters = [await house.job("failed") for _ in range(2)]
    environment = {
        "PATH": os.environ["PATH"],
        "LOGNAME": "operator",
        "WAYBILL_DATABASE_URL": settings.database_url.get_secret_value(),
        "WAYBILL_REDIS_URL": settings.redis_url.get_secret_value(),
    }
    for arguments in ([str(letters[0].id)], ["--all", "--type", "orders"]):
        await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "waybill", "dead-letters", "replay", *arguments],
            check=True, cwd=tmp_path, env=environment, capture_output=True, timeout=120,
        )  # fmt: skip
    answer = await house.ask(BOSS, "GET", "/api/audit", params={"action": "replayed"})
    events = answer.raise_for_status().json()["items"]
    assert {event["export_id"] for event in events} == {str(each.id) for each in letters}
    for event in events:
        assert (event["actor"], event["code"]) == ("command:operator", "by_command")
        assert (event["export_tenant"], event["outcome"]) == ("acme", "allowed")
    others = await house.ask(CHIEF, "GET", "/api/audit", params={"action": "replayed"})
    assert others.json()["items"] == []
