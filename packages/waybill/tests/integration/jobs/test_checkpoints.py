"""What a killed attempt leaves to its successor, on a real PostgreSQL: kept in order, fenced, and
read again though a connection dies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from waybill.bootstrap.everything import Services
from waybill.errors import LeaseLost
from waybill.jobs import checkpoints
from waybill.jobs.checkpoints import Checkpoint, CheckpointLog, CheckpointPart, ResumePoint
from waybill.jobs.job import ExportJob, Lease
from waybill.jobs.leases import LeaseRepository
from waybill.manifest import ManifestSnapshot
from waybill.storage.base import PartReceipt

from ..leased import claimed

Add = Callable[..., Awaitable[ExportJob]]
Execute = Callable[..., list[tuple[Any, ...]]]


def part(number: int, resume_point: ResumePoint | None = None) -> CheckpointPart:
    snapshot = ManifestSnapshot(id=f"{number}:{number}:", taken_at=datetime(2026, 1, 1, tzinfo=UTC))
    receipt = PartReceipt(number, 10 + number, f"{number}" * 64, f"etag-{number}")
    return CheckpointPart(receipt, snapshot, resume_point)


INSIDE_A_ROW = part(2)
ONE, THREE = part(1, ResumePoint(5, ("b", "5"))), part(3, ResumePoint(9, ("b", "9")))
WHOLE = Checkpoint("exports/key", "upload", "fingerprint", (ONE, INSIDE_A_ROW, THREE))


@pytest.fixture
def dsn(services: Services) -> str:
    return services.settings.database_dsn


@pytest.fixture
async def lease(add: Add, leases: LeaseRepository) -> Lease:
    return await claimed(leases, await add())


def up_to(*parts: CheckpointPart) -> Checkpoint:
    return Checkpoint(WHOLE.object_key, WHOLE.upload_id, WHOLE.fingerprint, parts)


def test_file_is_resumed_behind_the_last_part_that_ends_a_row() -> None:
    assert WHOLE.to_last_resume_point() == WHOLE
    assert WHOLE.resume_point == ResumePoint(9, ("b", "9"))
    assert up_to(ONE, INSIDE_A_ROW).to_last_resume_point() == up_to(ONE)
    assert up_to(ONE, INSIDE_A_ROW).resume_point is None
    assert up_to(INSIDE_A_ROW).to_last_resume_point() is None
    assert up_to().to_last_resume_point() is None
    assert up_to().resume_point is None


async def test_parts_are_read_as_they_were_written_and_newer_ones_take_the_place_of_old(
    dsn: str, lease: Lease
) -> None:
    with CheckpointLog(dsn, lease) as log:
        assert log.load() is None
        assert log.record(up_to(ONE), [ONE])
        assert log.record(WHOLE, [INSIDE_A_ROW, THREE])
        assert log.load() == WHOLE
    again = part(2, ResumePoint(7, ("b", "7")))
    with CheckpointLog(dsn, lease) as log:
        assert log.record(up_to(ONE, again), [again])
        assert log.load() == up_to(ONE, again)
        log.discard()
        assert log.load() is None


async def test_attempt_without_its_lease_writes_and_forgets_nothing(dsn: str, lease: Lease) -> None:
    with CheckpointLog(dsn, lease) as log:
        assert log.record(up_to(ONE), [ONE])
    with CheckpointLog(dsn, Lease(lease.export_id, lease.attempt, uuid4())) as zombie:
        with pytest.raises(LeaseLost):
            zombie.record(WHOLE, [THREE])
        with pytest.raises(LeaseLost):
            zombie.discard()
        assert zombie.load() == up_to(ONE)


async def test_checkpoint_is_gone_with_its_own_job_and_no_other(
    dsn: str, lease: Lease, leases: LeaseRepository, services: Services, add: Add
) -> None:
    other = await claimed(leases, await add())
    for each in (lease, other):
        with CheckpointLog(dsn, each) as log:
            assert log.record(up_to(ONE), [ONE])
    assert await services.repository.cancel(lease.export_id) is not None
    with CheckpointLog(dsn, lease) as log, CheckpointLog(dsn, other) as beside:
        assert log.load() is None
        assert beside.load() == up_to(ONE)


async def test_connection_that_dies_costs_one_write_and_no_reading(
    dsn: str, lease: Lease, execute: Execute
) -> None:
    def kill_connections() -> None:
        killed = execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
            " WHERE application_name = 'waybill checkpoints' AND datname = current_database()"
        )
        assert killed == [(True,)]

    with CheckpointLog(dsn, lease) as log:
        assert log.record(up_to(ONE), [ONE])
        kill_connections()
        assert not log.record(WHOLE, [INSIDE_A_ROW, THREE])
        assert log.record(WHOLE, [INSIDE_A_ROW, THREE])
        kill_connections()
        assert log.load() == WHOLE


async def test_database_that_stays_away_is_asked_three_times_and_said_to_be_away(
    dsn: str, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    def away(*_: object, **__: object) -> None:
        nonlocal tries
        tries += 1
        raise psycopg.OperationalError("Away.")

    monkeypatch.setattr(checkpoints.psycopg, "connect", away)
    with CheckpointLog(dsn, lease) as log, pytest.raises(psycopg.OperationalError, match="Away"):
        log.load()
    assert tries == 3
