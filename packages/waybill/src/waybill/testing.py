"""For the tests of an application that embeds waybill: an export in their own process, on a real
PostgreSQL, without a broker, a worker or S3::

    def test_export_of_orders(database_url, tmp_path):
        settings = waybill.testing.settings(database_url, tmp_path)
        export = waybill.testing.run_export(settings, "orders", waybill.Principal("ann"))
        assert export.job.status == "completed"
        assert b"1001" in export.data

Rights, filters, limits and the file are the real ones; what is left out is the waiting. For a
PostgreSQL in the tests there is ``waybill.local.testing``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from waybill.audit.sink import AuditSink
from waybill.bootstrap.api import ApiParts
from waybill.bootstrap.worker import WorkerParts
from waybill.catalog import Catalog
from waybill.config import Settings, load_settings
from waybill.jobs.job import ExportJob
from waybill.migrations.run import migrate
from waybill.notify.delivery import NotificationChannel
from waybill.principal import Principal
from waybill.requests.request import ExportRequest
from waybill.run.hooks import Hooks

__all__ = ["Export", "run_export", "settings"]


@dataclass(frozen=True, slots=True)
class Export:
    """An export that ended. ``data`` is the file; empty unless it completed."""

    job: ExportJob
    data: bytes


def settings(database_url: str, directory: Path, **overrides: Any) -> Settings:
    """Return settings for tests, and migrate the database.

    Args:
        database_url: the test's own database; the source as well unless ``source_dsn`` is given.
        directory: where files go, such as pytest's ``tmp_path``.
        overrides: any of ``waybill.Settings``.
    """
    files = directory / "waybill-files"
    files.mkdir(exist_ok=True)
    found = load_settings(
        **{
            "database_url": database_url,
            "storage": "directory",
            "storage_directory": files,
            # Nothing listens there: whatever is announced is run here.
            "redis_url": "redis://127.0.0.1:1/0",
            "quota_per_day": "unlimited",
            "max_attempts": 1,
            # What is asked for is run, and nothing that lies there besides.
            "small_jobs_together": 1,
            **overrides,
        }
    )
    migrate(found)
    return found


def run_export(
    settings: Settings,
    export_type: str,
    principal: Principal,
    *,
    catalog: Catalog | None = None,
    hooks: Hooks | None = None,
    channels: Sequence[NotificationChannel] = (),
    audit_sink: AuditSink | None = None,
    **wanted: Any,
) -> Export:
    """Request an export as ``principal`` and run it here and now; not from a running event loop.

    Args:
        settings: as ``settings`` returns them.
        export_type: a name in the catalog.
        principal: who asks.
        catalog: what may be exported; the settings' when ``None``.
        hooks: called as a worker would.
        channels: remembered to be told, as a worker would; ``waybill.notify`` tells them.
        audit_sink: told of the request, as a service would, before this returns.
        wanted: as a request has them: ``format``, ``columns``, ``filters``, ``options`` …

    Raises:
        RequestError: as the API would refuse it.
    """

    if audit_sink is not None:
        settings = settings.model_copy(update={"audit_sink": audit_sink})

    async def main() -> Export:
        async with (
            ApiParts(settings, catalog=catalog, channels=channels) as api,
            WorkerParts(settings, catalog=catalog, hooks=hooks, channels=channels) as worker,
        ):
            request = ExportRequest(export_type=export_type, **{"format": "csv", **wanted})
            requested = await api.exports.request(principal, request)
            await worker.runner.run(requested.job.id)
            job = await api.repository.find(requested.job.id)
            assert job is not None  # noqa: S101 - it was requested a moment ago
            data = b""
            if job.object_key is not None:
                data = await asyncio.to_thread(
                    lambda: b"".join(api.storage_of(job).read(job.object_key or ""))
                )
            return Export(job, data)

    return asyncio.run(main())
