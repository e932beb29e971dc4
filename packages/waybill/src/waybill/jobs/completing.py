"""How a job's row keeps its file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Update, bindparam, func, null, update

from waybill.jobs.job import ExportStatus, Lease
from waybill.jobs.rows import over
from waybill.jobs.tables import export_jobs as jobs


@dataclass(frozen=True, slots=True)
class Result:
    """A committed object, as the job's row keeps it. ``expires_at``: when it goes out of reach."""

    storage: str
    object_key: str
    object_bytes: int
    object_etag: str
    manifest: dict[str, Any]
    sha256: str
    rows: int
    expires_at: datetime


def completing(lease: Lease, result: Result) -> tuple[Update, dict[str, Any]]:
    """Return the update by which the holder of ``lease`` completes its job, and its values."""
    values: dict[str, Any] = {
        "held_export": lease.export_id,
        "held_token": lease.token,
        "result_rows": result.rows,
        "result_bytes": result.object_bytes,
        "result_expires_at": result.expires_at,
        "result_storage": result.storage,
        "result_object_key": result.object_key,
        "result_object_etag": result.object_etag,
        "result_manifest": result.manifest,
        "result_file_name": result.manifest.get("file_name"),
        "result_media_type": result.manifest.get("media_type"),
        "result_sha256": result.sha256,
    }
    columns = [each["name"] for each in result.manifest.get("columns", ())]
    if not columns:
        return _COMPLETE_UNKNOWN, values
    return _COMPLETE, {**values, "result_columns": columns}


# Built once, as every job ends with it.
_COMPLETE_UNKNOWN: Final = (
    update(jobs)
    .where(
        jobs.c.id == bindparam("held_export"),
        jobs.c.status == ExportStatus.RUNNING.value,
        jobs.c.lease_token == bindparam("held_token"),
    )
    .values(
        updated_at=func.now(),
        rows_expected_exact=True,
        rows_expected=bindparam("result_rows"),
        rows_done=bindparam("result_rows"),
        bytes_done=bindparam("result_bytes"),
        object_bytes=bindparam("result_bytes"),
        expires_at=bindparam("result_expires_at"),
        storage=bindparam("result_storage"),
        object_key=bindparam("result_object_key"),
        object_etag=bindparam("result_object_etag"),
        manifest=bindparam("result_manifest"),
        file_name=bindparam("result_file_name"),
        media_type=bindparam("result_media_type"),
        sha256=bindparam("result_sha256"),
        # Not known, which is not the same as none: rights are decided by them.
        file_columns=null(),
        **over(ExportStatus.COMPLETED),
    )
)
_COMPLETE: Final = _COMPLETE_UNKNOWN.values(file_columns=bindparam("result_columns"))
