"""The end of files, and what belongs to nobody, on a real PostgreSQL and a real S3."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from waybill.bootstrap.everything import Services
from waybill.config import Settings
from waybill.errors import StorageUnavailable
from waybill.jobs.attempts import AttemptFailure, Cause
from waybill.jobs.job import ExportJob, ExportStatus, Lease, Progress
from waybill.manifest import manifest_key
from waybill.results.object_keys import object_key
from waybill.storage.base import Storage
from waybill.upkeep import cleanup as upkeep
from waybill.upkeep.cleanup import CleanupPolicy, ResultCleanup
from waybill.upkeep.orphans import OrphanSweep

from ...logged import logged
from ..leased import claimed, result_of

Add = Callable[..., Awaitable[ExportJob]]
Execute = Callable[..., list[tuple[Any, ...]]]
Begin = Callable[[Lease], None]

HOUR = timedelta(hours=1)


@pytest.fixture
def storage(services: Services) -> Storage:
    return services.storages["s3"]


@pytest.fixture
def cleanup(services: Services) -> ResultCleanup:
    return services.cleanup


@pytest.fixture
def sweep(services: Services) -> OrphanSweep:
    """A search that never rests."""
    return OrphanSweep(
        repository=services.repository,
        storages={"s3": services.storages["s3"]},
        clock=services.clock,
        prefix=services.settings.s3_prefix,
        stale_upload_age=timedelta(hours=24),
        rest_seconds=0,
    )


def put(services: Services, lease: Lease) -> str:
    """Store an object and its manifest as an attempt would."""
    key = object_key(services.settings.s3_prefix, None, lease)
    storage = services.storages["s3"]
    storage.put(key, b"id\r\n1\r\n", content_type="text/csv")
    storage.put(manifest_key(key), b"{}", content_type="application/json")
    return key


async def completed(services: Services, add: Add) -> tuple[ExportJob, str]:
    job = await add()
    lease = await claimed(services.leases, job)
    key = put(services, lease)
    expires_at = services.clock.now() + timedelta(days=7)
    result = result_of(lease, prefix=services.settings.s3_prefix, expires_at=expires_at)
    assert await services.leases.complete(lease, result)
    return job, key


def keys(services: Services) -> set[str]:
    return set(services.storages["s3"].list_keys(services.settings.s3_prefix))


# -- the end of files -----------------------------------------------------------------------------


async def test_file_past_its_time_is_out_of_reach_at_once_and_deleted_after_the_grace(
    services: Services, cleanup: ResultCleanup, add: Add, clock: Any
) -> None:
    job, key = await completed(services, add)
    clock.advance(days=7, seconds=1)
    assert await cleanup.expire() == 1
    assert await cleanup.remove_leftovers() == 0
    expired = await services.repository.find(job.id)
    assert expired is not None
    assert expired.status is ExportStatus.EXPIRED
    assert key in keys(services)  # somebody may be downloading it
    clock.advance(seconds=services.settings.download_grace_seconds)
    assert await cleanup.remove_leftovers() == 1
    assert keys(services) == set()
    forgotten = await services.repository.find(job.id)
    assert forgotten is not None
    assert forgotten.object_key is None
    assert await services.repository.find_manifest(job.id)  # what the file was can still be shown


async def test_cleanup_twice_does_nothing_the_second_time(
    services: Services, cleanup: ResultCleanup, add: Add, clock: Any
) -> None:
    await completed(services, add)
    clock.advance(days=8)
    assert [await cleanup.expire(), await cleanup.remove_leftovers()] == [1, 1]
    assert [await cleanup.expire(), await cleanup.remove_leftovers()] == [0, 0]


async def test_cleanup_killed_between_object_and_row_is_finished_by_the_next(
    services: Services, cleanup: ResultCleanup, storage: Storage, add: Add, clock: Any
) -> None:
    job, key = await completed(services, add)
    clock.advance(days=8)
    await cleanup.expire()
    storage.delete(key)  # and here it is killed
    assert await cleanup.remove_leftovers() == 1
    assert keys(services) == set()
    forgotten = await services.repository.find(job.id)
    assert forgotten is not None
    assert forgotten.object_key is None


async def test_storage_that_is_away_loses_no_memory_of_the_object(
    services: Services, add: Add, clock: Any
) -> None:
    class AwayStorage:
        name = "s3"

        def delete(self, key: str) -> None:
            raise StorageUnavailable("Away.")

    cleanup = ResultCleanup(
        repository=services.repository,
        storages={"s3": AwayStorage()},  # type: ignore[dict-item]
        clock=services.clock,
        policy=CleanupPolicy(
            download_grace=HOUR,
            job_retention=timedelta(days=90),
            replay_window=timedelta(days=30),
        ),
    )
    job, key = await completed(services, add)
    clock.advance(days=8)
    await cleanup.expire()
    assert await cleanup.remove_leftovers() == 0
    kept = await services.repository.find(job.id)
    assert kept is not None
    assert kept.object_key == key
    assert await services.cleanup.remove_leftovers() == 1


async def test_copy_in_another_storage_goes_last(services: Services, add: Add, clock: Any) -> None:
    class AwayStorage:
        name = "another"
        asked = 0

        def delete(self, key: str) -> None:
            self.asked += 1
            raise StorageUnavailable("Away.")

    away = AwayStorage()
    cleanup = ResultCleanup(
        repository=services.repository,
        storages={"another": away, "s3": services.storages["s3"]},  # type: ignore[dict-item]
        clock=services.clock,
        policy=services.cleanup._policy,
    )
    job, key = await completed(services, add)
    clock.advance(days=8)
    await cleanup.expire()
    assert await cleanup.remove_leftovers() == 0
    assert away.asked
    assert keys(services) == set()
    kept = await services.repository.find(job.id)
    assert kept is not None
    assert kept.object_key == key  # the copy is still there


async def test_file_of_a_removed_export_type_ends_like_any_other(
    services: Services, cleanup: ResultCleanup, add: Add, clock: Any
) -> None:
    job = await add(export_type="removed")
    lease = await claimed(services.leases, job)
    put(services, lease)
    result = result_of(lease, prefix=services.settings.s3_prefix, expires_at=services.clock.now())
    assert await services.leases.complete(lease, result)
    clock.advance(days=1)
    assert [await cleanup.expire(), await cleanup.remove_leftovers()] == [1, 1]
    assert keys(services) == set()


async def test_whoever_hosts_us_hears_of_each_file_that_expired(
    services: Services, add: Add, clock: Any
) -> None:
    heard: list[ExportJob] = []

    async def hear(job: ExportJob) -> None:
        heard.append(job)

    cleanup = ResultCleanup(
        repository=services.repository,
        storages=services.storages,
        clock=services.clock,
        policy=services.cleanup._policy,
        on_expired=hear,
    )
    job, _ = await completed(services, add)
    assert await cleanup.expire() == 0
    clock.advance(days=8)
    assert await cleanup.expire() == 1
    assert [(each.id, each.status) for each in heard] == [(job.id, ExportStatus.EXPIRED)]


async def test_file_in_a_storage_that_is_not_configured_keeps_its_key(
    services: Services, cleanup: ResultCleanup, add: Add, execute: Execute, clock: Any
) -> None:
    job, key = await completed(services, add)
    clock.advance(days=8)
    await cleanup.expire()
    execute("UPDATE export_jobs SET storage = 'former'")
    assert await cleanup.remove_leftovers() == 0
    kept = await services.repository.find(job.id)
    assert kept is not None
    assert kept.object_key == key
    assert key in keys(services)
    # A row of before there was a choice of storages says none: its file is in one of them.
    execute("UPDATE export_jobs SET storage = NULL")
    assert await cleanup.remove_leftovers() == 1
    assert keys(services) == set()
    gone = await services.repository.find(job.id)
    assert gone is not None
    assert not await cleanup.remove_object(gone)


# -- the end of rows ------------------------------------------------------------------------------


async def test_values_and_rows_of_jobs_that_are_over_go_each_after_its_time(
    services: Services,
    cleanup: ResultCleanup,
    add: Add,
    clock: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = logged(monkeypatch, upkeep)
    policy = cleanup._policy
    options = {"filters": {"email": {"eq": "looked-for@example.org"}}}
    failed, waiting = await add(options=options), await add(options=options)
    lease = await claimed(services.leases, failed)
    failure = AttemptFailure("source_rejected", Cause.PERMANENT, "No.")
    assert await services.leases.fail(lease, failure, progress=Progress())

    clock.advance(seconds=policy.replay_window.total_seconds() - 60)
    assert await cleanup.forget_values() == 0
    clock.advance(seconds=120)
    assert await cleanup.forget_values() == 1
    kept = await services.repository.find(failed.id)
    assert kept is not None
    assert "looked-for" not in str(kept.options)

    since = policy.job_retention - policy.replay_window
    clock.advance(seconds=since.total_seconds() - 120)
    assert await cleanup.purge() == 0
    clock.advance(seconds=120)
    assert await cleanup.purge() == 1
    assert await services.repository.find(failed.id) is None
    assert await services.repository.find(waiting.id) == waiting
    assert lines.entries == [
        {"event": "exports.values_forgotten", "count": 1, "log_level": "info"},
        {"event": "exports.purged", "count": 1, "log_level": "info"},
    ]


# -- what belongs to nobody -----------------------------------------------------------------------


async def test_sweep_deletes_objects_of_ended_attempts_and_keeps_results_and_live_ones(
    services: Services, sweep: OrphanSweep, add: Add
) -> None:
    _, result_key = await completed(services, add)
    running = await add()
    live_key = put(services, await claimed(services.leases, running))
    job, _ = await completed(services, add)
    zombie = Lease(job.id, 1, uuid4())
    put(services, zombie)
    given_back = await add()
    lease = await claimed(services.leases, given_back)
    put(services, lease)
    await services.leases.give_back(lease, progress=Progress())
    before = keys(services)
    assert await sweep.step() == 4
    left = keys(services)
    assert {result_key, live_key} <= left
    assert len(before) - len(left) == 4
    assert not any(str(zombie.token) in key or str(lease.token) in key for key in left)


async def test_sweep_leaves_alone_what_is_not_ours_to_judge(
    services: Services, sweep: OrphanSweep, storage: Storage
) -> None:
    prefix = services.settings.s3_prefix
    foreign = [
        f"{prefix}/readme.txt",
        f"{prefix}/{uuid4()}/1-not-a-token",
        f"{prefix}/{uuid4()}/1-{uuid4()}",  # a job this database does not know
        f"{prefix}x/{uuid4()}/1-{uuid4()}",
        # Of another service, whose prefix begins as ours.
        f"{prefix}/theirs/{uuid4()}/1-{uuid4()}",
    ]
    for key in foreign:
        storage.put(key, b"x", content_type="text/plain")
    assert await sweep.step() == 0
    assert set(storage.list_keys(prefix)) == set(foreign)


async def test_object_that_a_zombie_writes_after_a_sweep_is_found_by_the_next(
    services: Services, sweep: OrphanSweep, add: Add
) -> None:
    job, key = await completed(services, add)
    assert await sweep.step() == 0
    put(services, Lease(job.id, 1, uuid4()))
    assert await sweep.step() == 2
    assert keys(services) == {key, manifest_key(key)}


async def test_sweep_of_more_keys_than_one_step_goes_on_where_it_stopped(
    services: Services, sweep: OrphanSweep, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("waybill.upkeep.orphans._KEYS_PER_STEP", 3)
    job = await add()
    for _ in range(4):
        put(services, Lease(job.id, 1, uuid4()))
    assert [await sweep.step() for _ in range(3)] == [3, 3, 2]


async def test_search_in_a_process_that_may_end_reaches_the_last_key_each_time(
    services: Services, sweep: OrphanSweep, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("waybill.upkeep.orphans._KEYS_PER_STEP", 3)
    job = await add()
    assert await sweep.search(within_seconds=60) == 0  # and it rests for none
    for _ in range(4):
        put(services, Lease(job.id, 1, uuid4()))
    assert await sweep.search(within_seconds=0) == 3
    assert await sweep.search(within_seconds=60) == 5
    assert keys(services) == set()


async def test_sweep_rests_between_two_searches(services: Services, add: Add) -> None:
    now = 100.0
    sweep = OrphanSweep(
        repository=services.repository,
        storages={"s3": services.storages["s3"]},
        clock=services.clock,
        prefix=services.settings.s3_prefix,
        stale_upload_age=timedelta(hours=24),
        rest_seconds=600,
        monotonic=lambda: now,
    )
    job = await add()
    assert await sweep.step() == 0
    put(services, Lease(job.id, 1, uuid4()))
    now += 599
    assert await sweep.step() == 0
    now += 1
    assert await sweep.step() == 2


# -- uploads left open ----------------------------------------------------------------------------


@pytest.fixture
def begin_upload(services: Services) -> Iterator[Callable[[Lease], None]]:
    """Begin an upload as an attempt would, send a part, and go no further."""
    with contextlib.ExitStack() as stack:

        def begin(lease: Lease) -> None:
            key = object_key(services.settings.s3_prefix, None, lease)
            opened = services.storages["s3"].open_upload(key, content_type="text/csv")
            part = b"x" * 5 * 1024 * 1024
            stack.enter_context(opened).write_part(1, part, hashlib.sha256(part).hexdigest())

        yield begin


def open_uploads(services: Services) -> int:
    later = services.clock.now() + timedelta(days=400)
    found = services.storages["s3"].stale_uploads(older_than=later)
    return sum(upload.key.startswith(f"{services.settings.s3_prefix}/") for upload in found)


async def test_upload_of_a_live_lease_is_kept_however_old(
    services: Services, sweep: OrphanSweep, add: Add, clock: Any, begin_upload: Begin
) -> None:
    begin_upload(await claimed(services.leases, await add()))
    clock.advance(days=3)
    assert await sweep.abort_uploads() == 0
    assert open_uploads(services) == 1


async def test_upload_of_a_lost_attempt_is_aborted_when_its_job_is_over(
    services: Services, sweep: OrphanSweep, add: Add, begin_upload: Begin
) -> None:
    job = await add()
    begin_upload(Lease(job.id, 1, uuid4()))
    assert await sweep.abort_uploads() == 0  # its successor may resume it
    assert await services.repository.cancel(job.id) is not None
    assert await sweep.abort_uploads() == 1
    assert open_uploads(services) == 0


async def test_old_upload_of_a_lost_attempt_is_aborted_though_its_job_goes_on(
    services: Services, sweep: OrphanSweep, add: Add, clock: Any, begin_upload: Begin
) -> None:
    job = await add()
    begin_upload(Lease(job.id, 1, uuid4()))
    clock.advance(days=1, seconds=60)
    assert await sweep.abort_uploads() == 1
    assert open_uploads(services) == 0


async def test_old_upload_of_a_job_nobody_knows_is_aborted(
    services: Services, sweep: OrphanSweep, clock: Any, begin_upload: Begin
) -> None:
    begin_upload(Lease(uuid4(), 1, uuid4()))
    assert await sweep.abort_uploads() == 0
    clock.advance(days=1, seconds=60)
    assert await sweep.abort_uploads() == 1


def test_grace_shorter_than_a_link_lives_is_refused() -> None:
    with pytest.raises(ValueError, match="download_grace_seconds"):
        Settings(database_url=SecretStr("postgresql://x/y"), download_grace_seconds=59)
