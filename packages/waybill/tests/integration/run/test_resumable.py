"""Resumable exports on real services: an attempt ends early, and the next one goes on, or does not.

An attempt is broken off from inside (``Broken`` at a chunk of the COPY); what happens when the
process is killed instead is in ``tests/faults``.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from pydantic import HttpUrl

from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog, Column, Computed, ExportType, TableSource
from waybill.config import Settings
from waybill.jobs.checkpoints import CheckpointLog
from waybill.jobs.job import ExportJob, ExportStatus, Lease
from waybill.local.faults.s3_proxy import S3Proxy
from waybill.manifest import Manifest, manifest_key
from waybill.results.verify import verify_file
from waybill.run import resumable, resumption
from waybill.run.runner import Outcome
from waybill.storage.base import PartReceipt

Add = Callable[..., Awaitable[ExportJob]]
Execute = Callable[..., list[tuple[Any, ...]]]

ROWS = 20_000
EVENTS = ExportType(
    "events", TableSource("public", "events"), key=("kind", "id"), consistency="resumable"
)
TOLD = dataclasses.replace(
    EVENTS,
    name="told",
    columns=(
        Column("id"),
        Column(
            "made", computed=Computed(lambda row: f"{row['id']}, {row['kind']}", ("id", "kind"))
        ),
        Column("note"),
    ),
)
# 900 bytes a row: 18 MB, of which a part of 5.5 MiB holds about 6,400 rows.
CREATE = """
    CREATE TABLE events AS
    SELECT CASE WHEN n % 3 = 0 THEN 'b' ELSE 'B''x' END AS kind, n AS id, n % 1000 AS amount,
           repeat(md5(n::text), 27) AS note, now() AS at
    FROM generate_series(1, {rows}) AS n;
    ALTER TABLE events ALTER kind SET NOT NULL, ALTER id SET NOT NULL, ADD UNIQUE (kind, id)"""


@pytest.fixture
def stored_in() -> str:
    """The storage that files go to; tests choose another by a parameter of this name."""
    return "s3"


@pytest.fixture
def settings(settings: Settings, stored_in: str, tmp_path: Path) -> Settings:
    (tmp_path / "storage").mkdir()
    small = {
        "part_bytes": 5 * 1024 * 1024,
        "checkpoint_seconds": 0.0,
        "storage_sweep_seconds": 0.001,
    }
    where = {"storage": stored_in, "storage_directory": tmp_path / "storage"}
    return settings.model_copy(update=small | where)


@pytest.fixture
def catalog() -> Catalog:
    return Catalog([EVENTS, TOLD])


@pytest.fixture(autouse=True)
def table(execute: Execute) -> None:
    for statement in CREATE.format(rows=ROWS).split(";"):
        execute(statement)


@pytest.fixture
def broken(
    services: Services, add: Add, execute: Execute, break_off: Callable[[int | None], None]
) -> Callable[..., Awaitable[ExportJob]]:
    """A job whose first attempt broke off behind 13,000 rows, of which some parts are stored."""

    async def broken(**values: Any) -> ExportJob:
        break_off(13_000)
        job = await add(**({"export_type": "events"} | values))
        assert await services.runner.run(job.id) is Outcome.RETRIED
        break_off(None)
        execute("UPDATE export_jobs SET next_attempt_at = now() WHERE status = 'queued'")
        assert execute("SELECT count(*) FROM export_checkpoint_parts WHERE rows > 0") >= [(1,)]
        return job

    return broken


def held_of(execute: Execute) -> tuple[str, str]:
    ((key, upload_id),) = execute("SELECT object_key, upload_id FROM export_checkpoints")
    return str(key), str(upload_id)


async def finished(services: Services, job: ExportJob, tmp_path: Any) -> tuple[bytes, Manifest]:
    """Return a completed job's file and manifest, which agree with the row and each other."""
    done = await services.repository.find(job.id)
    assert done is not None
    assert (done.status, done.error_code) == (ExportStatus.COMPLETED, None)
    storage = services.storage_of(done)
    data = b"".join(storage.read(done.object_key or ""))
    manifest = Manifest.load(await services.repository.find_manifest(job.id) or {})
    stored = b"".join(storage.read(manifest_key(done.object_key or "")))
    assert Manifest.from_json(stored.decode()) == manifest
    path = tmp_path / "file"
    path.write_bytes(data)
    verify_file(path, manifest).raise_if_failed()
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (done.sha256, manifest.bytes)
    return data, manifest


async def undisturbed(services: Services, add: Add, tmp_path: Any, **values: Any) -> bytes:
    job = await add(**({"export_type": "events"} | values))
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    data, manifest = await finished(services, job, tmp_path)
    assert manifest.segments == ()
    return data


def open_uploads(services: Services) -> list[str]:
    far = services.clock.now() + timedelta(days=1)
    return [
        upload.key
        for upload in services.storage.stale_uploads(older_than=far)
        if upload.key.startswith(services.settings.s3_prefix)
    ]


# -- going on ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format_name", "stored_in"),
    [("csv", "s3"), ("csv", "directory"), ("json", "directory"), ("json", "s3"), ("ndjson", "s3")],
)
async def test_resumed_file_of_an_unchanged_table_is_the_undisturbed_one(
    services: Services, add: Add, broken: Any, execute: Execute, tmp_path: Any, format_name: str
) -> None:
    job = await broken(format=format_name)
    key, _ = held_of(execute)
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    data, manifest = await finished(services, job, tmp_path)
    done = await services.repository.find(job.id)
    assert done is not None
    assert (done.object_key, done.rows_done, done.attempt) == (key, ROWS, 2)
    first, second = manifest.segments
    assert first.rows + second.rows == manifest.rows == ROWS
    assert first.rows > 5_000
    assert (first.after_key, second.last_key) == (None, None)
    assert first.last_key == second.after_key
    assert first.snapshot.taken_at < second.snapshot.taken_at
    assert manifest.snapshot == first.snapshot
    assert data == await undisturbed(services, add, tmp_path, format=format_name)
    assert execute("SELECT count(*) FROM export_checkpoints") == [(0,)]
    assert open_uploads(services) == []


async def test_computed_columns_are_resumed_to_the_same_file(
    services: Services, add: Add, broken: Any, tmp_path: Any
) -> None:
    job = await broken(export_type="told", format="json")
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    data, manifest = await finished(services, job, tmp_path)
    assert len(manifest.segments) == 2
    assert data == await undisturbed(services, add, tmp_path, export_type="told", format="json")
    assert data.count(b", B'x") + data.count(b", b") == manifest.rows == ROWS


async def test_three_attempts_make_three_segments(
    services: Services, add: Add, broken: Any, break_off: Any, execute: Execute, tmp_path: Any
) -> None:
    job = await broken()
    break_off(6_900)
    assert await services.runner.run(job.id) is Outcome.RETRIED
    break_off(None)
    execute("UPDATE export_jobs SET next_attempt_at = now() WHERE status = 'queued'")
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    data, manifest = await finished(services, job, tmp_path)
    assert len(manifest.segments) == 3
    assert data == await undisturbed(services, add, tmp_path)


async def test_nothing_left_to_write_is_a_whole_file_too(
    services: Services, add: Add, execute: Execute, broken: Any, tmp_path: Any
) -> None:
    job = await broken(format="json")
    ((kind, number),) = execute(
        "SELECT last_key->>0, last_key->>1 FROM export_checkpoint_parts"
        " WHERE rows IS NOT NULL ORDER BY number DESC LIMIT 1"
    )
    execute("DELETE FROM events WHERE (kind, id) > (%s, %s)", kind, int(str(number)))
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    data, manifest = await finished(services, job, tmp_path)
    assert manifest.segments[-1].rows == 0
    assert len(json.loads(data)) == manifest.rows


async def test_rows_that_vanish_between_segments_are_stated_and_break_nothing(
    services: Services, broken: Any, execute: Execute, tmp_path: Any
) -> None:
    job = await broken(format="ndjson")
    ((last,),) = execute(
        "SELECT max((last_key->>1)::int) FROM export_checkpoint_parts WHERE rows IS NOT NULL"
    )
    # One before the resume point, the row at the point itself, and one behind it.
    gone = execute(
        "DELETE FROM events WHERE id IN (1, %s) OR id IN"
        " (SELECT max(id) FROM events WHERE kind = 'b') RETURNING kind, id",
        last,
    )
    assert len(gone) == 3
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    data, manifest = await finished(services, job, tmp_path)
    rows = [json.loads(line) for line in data.splitlines()]
    keys = [(row["kind"], row["id"]) for row in rows]
    assert len(set(keys)) == len(keys) == manifest.rows
    # What the first segment had seen is in the file; what vanished before the second is not.
    seen = {key for key in gone if key in keys}
    assert len(seen) == 2
    assert manifest.rows == ROWS - 1


async def test_personal_key_is_not_in_the_manifest(
    services: Services, catalog: Catalog, broken: Any, tmp_path: Any
) -> None:
    columns = (Column("kind"), Column("id", pii="exports:pii"), Column("note"))
    catalog._types["events"] = dataclasses.replace(EVENTS, columns=columns)
    job = await broken()
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    _, manifest = await finished(services, job, tmp_path)
    assert [(s.after_key, s.last_key) for s in manifest.segments] == [(None, None)] * 2


# -- beginning anew ------------------------------------------------------------------------------


async def _begins_anew(
    services: Services, job: ExportJob, old: tuple[str, str], tmp_path: Any
) -> Manifest:
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    _, manifest = await finished(services, job, tmp_path)
    done = await services.repository.find(job.id)
    assert done is not None
    assert done.object_key != old[0]
    assert manifest.segments == ()
    assert open_uploads(services) == []
    return manifest


async def test_upload_that_was_aborted_begins_anew(
    services: Services, broken: Any, execute: Execute, tmp_path: Any
) -> None:
    job = await broken()
    old = held_of(execute)
    services.storages["s3"].abort_upload(*old)
    await _begins_anew(services, job, old, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE export_checkpoint_parts SET etag = md5('another') WHERE number = 1",
        "UPDATE export_checkpoint_parts SET bytes = bytes - 1 WHERE number = 1",
        "DELETE FROM export_checkpoint_parts WHERE number = 1",
        "UPDATE export_checkpoint_parts SET rows = NULL, last_key = NULL",
        "UPDATE export_checkpoints SET fingerprint = 'of another version'",
    ],
)
async def test_checkpoint_that_does_not_match_the_upload_begins_anew(
    services: Services, broken: Any, execute: Execute, tmp_path: Any, change: str
) -> None:
    job = await broken()
    old = held_of(execute)
    execute(change)
    manifest = await _begins_anew(services, job, old, tmp_path)
    assert manifest.rows == ROWS


async def test_changed_catalog_begins_anew(
    services: Services, catalog: Catalog, broken: Any, execute: Execute, tmp_path: Any
) -> None:
    job = await broken()
    old = held_of(execute)
    columns = (Column("id"), Column("note", label="Remark"))
    catalog._types["events"] = dataclasses.replace(EVENTS, columns=columns)
    manifest = await _begins_anew(services, job, old, tmp_path)
    assert [column.header for column in manifest.columns] == ["id", "Remark"]


async def test_column_added_to_the_table_begins_anew(
    services: Services, broken: Any, execute: Execute, tmp_path: Any
) -> None:
    job = await broken()
    old = held_of(execute)
    execute("ALTER TABLE events ADD COLUMN later int")
    manifest = await _begins_anew(services, job, old, tmp_path)
    assert manifest.columns[-1].name == "later"


async def test_key_column_dropped_in_between_is_a_clear_end(
    services: Services, broken: Any, execute: Execute
) -> None:
    job = await broken()
    execute("ALTER TABLE events DROP COLUMN kind")
    assert await services.runner.run(job.id) is Outcome.FAILED
    (*_, attempt) = await services.repository.attempts_of(job.id)
    assert attempt.error_code == "source_rejected"
    assert "'kind'" in (attempt.message or "")
    assert execute("SELECT count(*) FROM export_checkpoints") == [(0,)]


async def test_key_without_an_index_is_refused_with_the_remedy(
    services: Services, add: Add, execute: Execute
) -> None:
    execute("ALTER TABLE events ALTER kind DROP NOT NULL")
    job = await add(export_type="events")
    assert await services.runner.run(job.id) is Outcome.FAILED
    (attempt,) = await services.repository.attempts_of(job.id)
    assert attempt.cause == "permanent"
    assert "waybill check" in (attempt.message or "")


async def test_rows_that_a_later_segment_misses_are_counted_and_it_is_not_gone_on_with(
    services: Services,
    broken: Any,
    execute: Execute,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = await broken()
    real = resumption.rows_behind

    def without_the_last(*arguments: Any) -> sql.Composable:
        # What an index in another order does to the rows behind a key.
        last = "(SELECT max(id) FROM public.events)"
        return sql.SQL(f"{{}} AND waybill_source.id <> {last}").format(real(*arguments))

    with monkeypatch.context() as late:
        late.setattr(resumption, "rows_behind", without_the_last)
        assert await services.runner.run(job.id) is Outcome.RETRIED
    (*_, attempt) = await services.repository.attempts_of(job.id)
    assert attempt.error_code == "incomplete_export"
    assert "REINDEX" in (attempt.message or "")
    assert execute("SELECT count(*) FROM export_checkpoints") == [(0,)]
    execute("UPDATE export_jobs SET next_attempt_at = now()")
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    _, manifest = await finished(services, job, tmp_path)
    assert (manifest.rows, manifest.segments) == (ROWS, ())


# -- an S3 that lies -------------------------------------------------------------------------------


# The list of parts comes by GET as well, and is short.


def _cut(answer: bytes) -> bytes:
    return answer[:-100] if len(answer) > 1_000_000 else answer


def _altered(answer: bytes) -> bytes:
    if len(answer) < 1_000_000:
        return answer
    middle = len(answer) // 2
    return answer[:middle] + bytes([answer[middle] ^ 1]) + answer[middle + 1 :]


def _of_another_size(answer: bytes) -> bytes:
    return re.sub(rb"(?i)content-length: \d+", b"Content-Length: 6000000", answer)


@pytest.mark.parametrize(
    ("operation", "lie"), [("get", _cut), ("get", _altered), ("head", _of_another_size)]
)
async def test_object_that_s3_cut_or_altered_is_never_completed(
    services: Services, broken: Any, execute: Execute, tmp_path: Any, operation: str, lie: Any
) -> None:
    job = await broken()
    old = held_of(execute)
    address = urlsplit(str(services.settings.s3_endpoint_url))
    with S3Proxy(address.port or 0) as proxy:
        url = HttpUrl(f"http://127.0.0.1:{proxy.port}")
        lied_to = services.settings.model_copy(update={"s3_endpoint_url": url})
        async with Services(lied_to, catalog=Catalog([EVENTS])) as others:
            proxy.fault(operation=operation, rewrite=lie)
            assert await others.runner.run(job.id) is Outcome.RETRIED
    # What it wrote is no checkpoint any more, as its upload has ended.
    execute("UPDATE export_jobs SET next_attempt_at = now()")
    await _begins_anew(services, job, old, tmp_path)


# -- two who think that the job is theirs ----------------------------------------------------------


async def test_zombie_cannot_write_a_checkpoint(
    services: Services, broken: Any, execute: Execute
) -> None:
    job = await broken()
    claimed = await services.leases.claim(job.id, lease_seconds=60, worker="second")
    assert claimed is not None
    _, lease = claimed
    zombie = Lease(lease.export_id, 1, job.id)
    before = execute("SELECT * FROM export_checkpoint_parts ORDER BY number")
    with CheckpointLog(services.settings.database_dsn, zombie) as checkpoints:
        found = checkpoints.load()
        assert found is not None
        with pytest.raises(Exception, match="lease was lost"):
            checkpoints.record(found, found.parts)
        with pytest.raises(Exception, match="lease was lost"):
            checkpoints.discard()
    assert execute("SELECT * FROM export_checkpoint_parts ORDER BY number") == before


async def test_file_that_a_zombie_committed_is_not_taken_for_ones_own(
    services: Services, broken: Any, execute: Execute, clock: Any, tmp_path: Any
) -> None:
    job = await broken()
    key, upload_id = old = held_of(execute)
    # It had written one more part than it could write down, and commits all of them.
    parts = execute("SELECT number, etag, sha256, bytes FROM export_checkpoint_parts ORDER BY 1")
    receipts = [PartReceipt(n, size, sha, etag) for n, etag, sha, size in parts]
    s3: Any = services.storages["s3"]
    s3.client.join_parts(key, upload_id, receipts)
    await _begins_anew(services, job, old, tmp_path)
    # Nobody refers to the zombie's file any more; what is young could still be adopted.
    await services.orphans.step()
    assert s3.find(key) is not None
    clock.advance(seconds=services.settings.download_grace_seconds + 60)
    await services.orphans.step()
    assert s3.find(key) is None


# -- the sweep -----------------------------------------------------------------------------------


async def test_sweep_leaves_an_upload_that_will_be_gone_on_with_however_old(
    services: Services, broken: Any, execute: Execute, clock: Any, tmp_path: Any
) -> None:
    job = await broken()
    clock.advance(days=3)
    assert await services.orphans.abort_uploads() == 0
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    _, manifest = await finished(services, job, tmp_path)
    assert len(manifest.segments) == 2


async def test_sweep_aborts_the_upload_of_a_job_that_ended_otherwise(
    services: Services, broken: Any, execute: Execute
) -> None:
    job = await broken()
    assert len(open_uploads(services)) == 1
    execute("UPDATE export_jobs SET max_attempts = 2")
    execute("ALTER TABLE events RENAME TO elsewhere")
    assert await services.runner.run(job.id) is Outcome.FAILED
    assert await services.orphans.abort_uploads() == 1
    assert open_uploads(services) == []


async def test_committed_object_of_a_resumed_attempt_is_no_orphan_before_the_row_says_so(
    services: Services, broken: Any, execute: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await broken()
    key, _ = held_of(execute)
    real, seen = resumable._read_back, []

    def read_back(*arguments: Any) -> str:
        # The object is there, the row does not know it yet: the moment a sweep could do harm.
        swept = psycopg.connect(services.settings.database_dsn, autocommit=True)
        with swept:
            seen.append(swept.execute("SELECT object_key FROM export_jobs").fetchall())

        async def sweep() -> int:
            async with Services(services.settings, catalog=Catalog([EVENTS])) as others:
                return await others.orphans.step()

        seen.append(asyncio.run(sweep()))
        return real(*arguments)

    monkeypatch.setattr(resumable, "_read_back", read_back)
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    assert seen == [[(None,)], 0]
    assert services.storages["s3"].find(key) is not None
