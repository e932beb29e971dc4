"""Our own database fails over to a standby that had not received everything: what was finished in
storage is still somebody's file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog
from waybill.config import Settings
from waybill.errors import ExportGone, ResultUnreadable, StorageUnavailable
from waybill.jobs.job import ExportJob, ExportStatus, Lease
from waybill.local.faults.servers import Programs, Server
from waybill.manifest import Manifest, manifest_key
from waybill.migrations.run import migrate
from waybill.results.object_keys import object_key
from waybill.run.runner import Outcome
from waybill.storage.base import Storage

Add = Callable[..., Awaitable[ExportJob]]
Execute = Callable[..., list[tuple[Any, ...]]]


# -- a real standby --------------------------------------------------------------------------------


@pytest.fixture
def pair(server_directory: Path) -> Iterator[tuple[Server, Server]]:
    """A primary with waybill's tables, and an asynchronous standby of it."""
    programs = Programs.of_the_wheel()
    primary = Server(programs, server_directory / "primary")
    standby = Server(programs, server_directory / "standby")
    with primary, standby:
        primary.make("--locale=C", "--encoding=UTF8")
        primary.start()
        standby.copy_of(primary)
        standby.start()
        yield primary, standby


def _settings_on(settings: Settings, server: Server) -> Settings:
    return settings.model_copy(update={"database_url": SecretStr(server.dsn())})


@pytest.fixture
async def before(
    settings: Settings, catalog: Catalog, pair: tuple[Server, Server]
) -> AsyncIterator[Services]:
    primary, standby = pair
    ours = _settings_on(settings, primary)
    migrate(ours)
    standby.wait_replayed(primary)
    async with Services(ours, catalog=catalog) as services:
        yield services


async def _run_unreplicated(
    services: Services, pair: tuple[Server, Server], *, max_attempts: int
) -> ExportJob:
    """Run a job whose claim the standby received and whose completion it did not."""
    primary, standby = pair
    job = await services.repository.add(
        export_type="users", format="csv", options={}, requested_by="ann", tenant=None,
        max_attempts=max_attempts,
    )  # fmt: skip
    real = services.leases.complete

    async def complete(*arguments: Any) -> bool:
        standby.wait_replayed(primary)
        standby.execute("SELECT pg_wal_replay_pause()")
        return await real(*arguments)

    services.runner._leases.complete = complete  # type: ignore[method-assign]
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    done = await services.repository.find(job.id)
    assert done is not None
    return done


async def test_result_that_a_failover_forgot_is_adopted_and_its_link_stays_good(
    before: Services, settings: Settings, catalog: Catalog, pair: tuple[Server, Server]
) -> None:
    primary, standby = pair
    served = await _run_unreplicated(before, pair, max_attempts=1)
    primary.stop()
    standby.execute("SELECT pg_wal_replay_resume()")
    standby.promote()

    async with Services(_settings_on(settings, standby), catalog=catalog) as after:
        forgotten = await after.repository.find(served.id)
        assert forgotten is not None
        assert forgotten.status in {ExportStatus.RUNNING, ExportStatus.COMPLETED}
        standby.execute(
            "UPDATE export_jobs SET lease_expires_at = now() - interval '1 s'"
            " WHERE status = 'running'"
        )
        await after.sweeper.sweep()
        adopted = await after.repository.find(served.id)
        assert adopted is not None
        assert (adopted.status, adopted.object_key, adopted.sha256, adopted.rows_done) == (
            ExportStatus.COMPLETED, served.object_key, served.sha256, served.rows_done,
        )  # fmt: skip
        assert (adopted.file_name, adopted.media_type) == (served.file_name, served.media_type)
        assert await after.repository.find_manifest(served.id)
        assert await after.orphans.step() == 0
        assert after.storages["s3"].find(served.object_key or "") is not None
        (attempt,) = await after.repository.attempts_of(served.id)
        assert attempt.outcome == "completed"


# -- what counts as whole --------------------------------------------------------------------------


async def _finished(services: Services, add: Add, execute: Execute, **values: Any) -> ExportJob:
    """Return a job as a worker leaves it that died before its last statement."""
    job = await add(**values)
    kept: list[Any] = []

    async def complete(lease: Lease, result: Any) -> bool:
        kept.append(result)
        raise asyncio.CancelledError

    real = services.leases.complete
    services.runner._leases.complete = complete  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await services.runner.run(job.id)
    services.runner._leases.complete = real  # type: ignore[method-assign]
    execute("UPDATE export_jobs SET lease_expires_at = now() - interval '1 s'")
    left = await services.repository.find(job.id)
    assert left is not None
    assert kept
    return left


def _key(services: Services, job: ExportJob) -> str:
    assert job.lease_token is not None
    lease = Lease(job.id, job.attempt, job.lease_token)
    return object_key(services.settings.s3_prefix, job.object_folder, lease)


@pytest.mark.parametrize("folder", [None, "acme/2026"])
async def test_finished_file_of_a_dead_worker_is_adopted(
    services: Services, add: Add, execute: Execute, folder: str | None
) -> None:
    if folder is not None:
        execute(f"ALTER TABLE export_jobs ALTER object_folder SET DEFAULT '{folder}'")
    job = await _finished(services, add, execute, max_attempts=1)
    await services.sweeper.sweep()
    done = await services.repository.find(job.id)
    assert done is not None
    assert (done.status, done.object_key) == (ExportStatus.COMPLETED, _key(services, job))


@pytest.mark.parametrize("what", ["no manifest", "another's manifest", "cut short", "no object"])
async def test_file_that_is_not_whole_is_not_adopted(
    services: Services, add: Add, execute: Execute, what: str
) -> None:
    job = await _finished(services, add, execute, max_attempts=1)
    storage, key = services.storages["s3"], _key(services, job)
    if what == "no manifest":
        storage.delete(manifest_key(key))
    elif what == "another's manifest":
        manifest = Manifest.from_json(b"".join(storage.read(manifest_key(key))).decode())
        other = manifest.model_copy(update={"export_id": str(uuid4())})
        storage.put(manifest_key(key), other.to_json().encode(), content_type="application/json")
    elif what == "cut short":
        data = b"".join(storage.read(key))
        storage.put(key, data[:-1], content_type="text/csv")
    else:
        storage.delete(key)
    await services.sweeper.sweep()
    done = await services.repository.find(job.id)
    assert done is not None
    assert (done.status, done.error_code) == (ExportStatus.FAILED, "worker_lost")


async def test_last_attempt_is_not_ended_while_storage_cannot_be_asked(
    services: Services, add: Add, execute: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await _finished(services, add, execute, max_attempts=1)

    def away(key: str) -> None:
        raise StorageUnavailable("Away.")

    with monkeypatch.context() as patch:
        patch.setattr(services.storages["s3"], "find", away)
        await services.sweeper.sweep()
    waiting = await services.repository.find(job.id)
    assert waiting is not None
    assert waiting.status is ExportStatus.RUNNING
    services.adoption._rests_until = 0.0
    await services.sweeper.sweep()
    done = await services.repository.find(job.id)
    assert done is not None
    assert done.status is ExportStatus.COMPLETED


# -- a row that remembers what storage has not -----------------------------------------------------


async def _completed(services: Services, add: Add) -> ExportJob:
    job = await add()
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    done = await services.repository.find(job.id)
    assert done is not None
    return done


async def test_completed_job_without_its_object_is_gone_and_marked(
    services: Services, add: Add
) -> None:
    job = await _completed(services, add)
    await services.delivery.require_object(job, services.storages["s3"])
    services.storages["s3"].delete(job.object_key or "")
    with pytest.raises(ExportGone):
        await services.delivery.require_object(job, services.storages["s3"])
    marked = await services.repository.find(job.id)
    assert marked is not None
    assert marked.status is ExportStatus.DELETED


async def test_object_that_was_moved_meanwhile_is_not_called_gone(
    services: Services, add: Add, execute: Execute
) -> None:
    job = await _completed(services, add)
    services.storages["s3"].delete(job.object_key or "")
    execute("UPDATE export_jobs SET storage = 'database'")
    with pytest.raises(ResultUnreadable):
        await services.delivery.require_object(job, services.storages["s3"])
    left = await services.repository.find(job.id)
    assert left is not None
    assert left.status is ExportStatus.COMPLETED


async def test_object_that_outlives_its_deletion_is_deleted_until_it_is_gone(
    services: Services, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await _completed(services, add)
    assert await services.repository.mark_deleted(job.id) is not None
    with monkeypatch.context() as patch:
        # It says yes and does nothing.
        patch.setattr(services.storages["s3"], "delete", lambda key: None)
        assert await services.cleanup.remove_leftovers() == 0
    kept = await services.repository.find(job.id)
    assert kept is not None
    assert kept.object_key == job.object_key
    assert await services.cleanup.remove_leftovers() == 1
    assert services.storages["s3"].find(job.object_key or "") is None


async def test_orphan_is_spared_for_the_download_grace(
    services: Services, add: Add, clock: Any
) -> None:
    job = await _completed(services, add)
    storage: Storage = services.storages["s3"]
    key = object_key(services.settings.s3_prefix, None, Lease(job.id, 1, uuid4()))
    for each in (key, manifest_key(key)):
        storage.put(each, b"x", content_type="text/csv")
    assert await services.orphans.step() == 0
    clock.advance(seconds=services.settings.download_grace_seconds + 60)
    services.orphans._next_search_at = 0.0
    assert await services.orphans.step() == 2
    assert storage.find(job.object_key or "") is not None
    assert clock.now() < job.created_at + timedelta(days=1)
