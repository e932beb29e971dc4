"""The way back from the database to object storage, and every point where it can be killed."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from waybill.bootstrap.everything import Services
from waybill.errors import StorageUnavailable
from waybill.jobs.job import ExportJob
from waybill.manifest import manifest_key
from waybill.run.produce import ExportProducer
from waybill.run.runner import Outcome
from waybill.upkeep import fallback
from waybill.upkeep.fallback import FallbackMover

from ...logged import logged

Execute = Callable[..., list[tuple[object, ...]]]


@pytest.fixture
async def kept(services: Services, execute: Execute) -> ExportJob:
    """A completed job whose file lies in the database."""
    services.runner._producer = ExportProducer(
        source=services.source, storage=services.storages["database"], settings=services.settings
    )
    return await another(services)


async def another(services: Services) -> ExportJob:
    job = await services.repository.add(
        export_type="users",
        format="csv",
        options={},
        requested_by="ada",
        tenant=None,
        max_attempts=3,
    )
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    return await find(services, job.id)


async def find(services: Services, export_id: UUID) -> ExportJob:
    job = await services.repository.find(export_id)
    assert job is not None
    return job


def digest(services: Services, job: ExportJob) -> str:
    assert job.storage
    assert job.object_key
    return hashlib.sha256(b"".join(services.storages[job.storage].read(job.object_key))).hexdigest()


async def test_file_moves_to_object_storage_with_its_manifest(
    services: Services, kept: ExportJob
) -> None:
    assert await services.mover.step() == 1

    moved = await find(services, kept.id)
    assert (moved.storage, moved.object_key) == ("s3", kept.object_key)
    assert digest(services, moved) == kept.sha256
    found = services.storages["s3"].find(moved.object_key or "")
    assert found is not None
    assert found.etag == moved.object_etag
    stored = b"".join(services.storages["s3"].read(manifest_key(moved.object_key or "")))
    assert b"".join(services.storages["database"].read(manifest_key(kept.object_key or "")))
    assert str(kept.id) in stored.decode()
    assert await services.mover.step() == 0


async def test_bytes_stay_for_downloads_under_way_and_then_go(
    services: Services, kept: ExportJob, execute: Execute
) -> None:
    reading = services.storages["database"].read(kept.object_key or "")
    await services.mover.step()
    await services.mover.step()
    assert hashlib.sha256(b"".join(reading)).hexdigest() == kept.sha256

    execute("UPDATE stored_objects SET moved_at = moved_at - interval '2 hours'")
    await services.mover.step()

    assert execute("SELECT count(*) FROM stored_objects") == [(0,)]
    assert execute("SELECT count(*) FROM stored_chunks") == [(0,)]


async def test_orphan_sweep_leaves_files_in_the_database_alone(
    services: Services, kept: ExportJob
) -> None:
    assert await services.orphans.step() == 0
    assert digest(services, kept) == kept.sha256


async def test_move_killed_before_the_row_was_written_goes_on(
    services: Services, kept: ExportJob
) -> None:
    await asyncio.to_thread(services.mover._copy, kept, await services.mover._manifest(kept))

    assert await services.mover.step() == 1
    assert digest(services, await find(services, kept.id)) == kept.sha256


async def test_another_object_under_the_key_is_replaced(
    services: Services, kept: ExportJob
) -> None:
    services.storages["s3"].put(kept.object_key or "", b"not it", content_type="text/csv")

    assert await services.mover.step() == 1
    assert digest(services, await find(services, kept.id)) == kept.sha256


async def test_damaged_file_is_not_moved(
    services: Services, kept: ExportJob, execute: Execute
) -> None:
    execute("UPDATE stored_chunks SET data = set_byte(data, 9, 0) WHERE part_offset = 0")

    assert await services.mover.step() == 0
    assert (await find(services, kept.id)).storage == "database"
    assert services.storages["s3"].find(kept.object_key or "") is None


async def test_damaged_file_does_not_hold_up_the_others(
    services: Services, kept: ExportJob, execute: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = logged(monkeypatch, fallback)
    execute("UPDATE stored_chunks SET data = set_byte(data, 9, 0) WHERE part_offset = 0")
    whole = await another(services)

    assert await services.mover.step() == 1
    assert (await find(services, kept.id)).storage == "database"
    assert (await find(services, whole.id)).storage == "s3"
    said = [(line["event"], line["export_id"]) for line in lines.entries]
    assert said == [("storage.not_moved", str(kept.id)), ("storage.moved_back", str(whole.id))]


async def test_storage_that_goes_away_midway_keeps_what_was_moved_and_says_what_waits(
    services: Services, kept: ExportJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = logged(monkeypatch, fallback)
    waiting = await another(services)
    copy = services.mover._copy

    def copy_one(job: ExportJob, manifest: Any) -> Any:
        if job.id != kept.id:
            raise StorageUnavailable("down")
        return copy(job, manifest)

    monkeypatch.setattr(services.mover, "_copy", copy_one)
    assert await services.mover.step() == 1
    assert (await find(services, kept.id)).storage == "s3"
    assert (await find(services, waiting.id)).storage == "database"
    assert [line["waiting"] for line in lines.entries if "waiting" in line] == [1]


async def test_object_storage_still_away_is_left_alone_for_a_while(
    services: Services, kept: ExportJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    asked: list[float] = []
    storage = services.storages["s3"]

    def away(*_: Any) -> None:
        asked.append(clock[0])
        raise StorageUnavailable("down")

    mover = FallbackMover(
        services.engine,
        source=services.storages["database"],
        target=storage,
        download_grace=services.cleanup._policy.download_grace,
        rest_seconds=600,
        monotonic=lambda: clock[0],
    )
    with monkeypatch.context() as patch:
        patch.setattr(storage, "check", away)
        for clock[0] in (0.0, 10.0, 599.0, 601.0):
            assert await mover.step() == 0
    assert asked == [0.0, 601.0]
    clock[0] = 1300.0
    assert await mover.step() == 1


@pytest.mark.parametrize(("seconds_each", "moved"), [(0.0, 2), (5.0, 1)])
async def test_step_moves_what_a_few_seconds_allow(
    services: Services, kept: ExportJob, execute: Execute, seconds_each: float, moved: int
) -> None:
    await another(services)
    mover = FallbackMover(
        services.engine,
        source=services.storages["database"],
        target=services.storages["s3"],
        download_grace=services.cleanup._policy.download_grace,
        rest_seconds=600,
        monotonic=itertools.count(0.0, seconds_each).__next__,
    )
    assert await mover.step() == moved
    assert (await find(services, kept.id)).storage == "s3"


async def test_job_deleted_during_the_move_keeps_nothing(
    services: Services, kept: ExportJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = services.mover._copy

    def copy_then_delete(job: ExportJob, manifest: Any) -> Any:
        stored = copy(job, manifest)
        asyncio.run_coroutine_threadsafe(services.repository.mark_deleted(job.id), loop).result(30)
        return stored

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(services.mover, "_copy", copy_then_delete)
    assert await services.mover.step() == 0
    assert await services.cleanup.remove_leftovers() == 1

    for storage in services.storages.values():
        assert storage.find(kept.object_key or "") is None
        assert storage.find(manifest_key(kept.object_key or "")) is None


async def test_moved_file_that_is_deleted_goes_from_both_storages(
    services: Services, kept: ExportJob, execute: Execute
) -> None:
    await services.mover.step()
    await services.repository.mark_deleted(kept.id)
    assert await services.cleanup.remove_leftovers() == 1

    assert services.storages["s3"].find(kept.object_key or "") is None
    assert execute("SELECT count(*) FROM stored_objects") == [(0,)]
