"""What must hold after any fault, checked from outside: rows, objects, bytes."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from waybill.manifest import Manifest, manifest_key
from waybill.results.object_keys import owner_of
from waybill.results.verify import verify_file
from waybill.storage.base import Storage

TERMINAL = frozenset({"completed", "failed", "cancelled", "expired", "deleted"})


@dataclass(slots=True)
class Audit:
    """The state of all jobs; ``problems`` is empty when every invariant holds."""

    jobs: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    doubled: int = 0
    truncated: int = 0
    stuck: int = 0
    orphans: int = 0
    problems: list[str] = field(default_factory=list)

    def assert_holds(self) -> None:
        """Raise ``AssertionError`` with every problem."""
        if self.problems:
            raise AssertionError("\n".join(self.problems))


def audit(
    dsn: str,
    storages: dict[str, Storage],
    *,
    prefix: str,
    expected: dict[str, int] | None = None,
    accepted: set[str] | None = None,
    allow_unfinished: bool = False,
) -> Audit:
    """Look at every row and every object.

    - each row is terminal (or due, where ``allow_unfinished``);
    - each completed job has one object with its manifest, whose size, digests and rows agree with
      the row, with the manifest and with ``expected`` (rows by export type);
    - every id in ``accepted`` (what clients were promised) has a row;
    - no object lies in a storage that no completed job refers to there, no upload of a job that is
      over is open, and no checkpoint of one is kept.

    Args:
        dsn: waybill's database, past any proxy.
        storages: by name, past any proxy.
        prefix: where keys begin.
        expected: rows per export type whose table does not change.
        accepted: ids that were answered with 202.
        allow_unfinished: whether jobs may still be under way.
    """
    result = Audit()
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        rows = connection.execute("SELECT * FROM export_jobs").fetchall()
        attempts = connection.execute(
            "SELECT export_id, count(*) AS times FROM export_attempts"
            " WHERE outcome = 'completed' GROUP BY export_id"
        ).fetchall()
        kept = connection.execute(
            "SELECT export_id FROM export_checkpoints JOIN export_jobs ON id = export_id"
            " WHERE status NOT IN ('queued', 'running')"
        ).fetchall()
    result.problems += [f"{each['export_id']}: is over and has a checkpoint" for each in kept]
    result.jobs = len(rows)
    known = {str(row["id"]) for row in rows}
    for missing in sorted((accepted or set()) - known):
        result.lost += 1
        result.problems.append(f"{missing}: was accepted with 202 and has no row")
    completions = {str(each["export_id"]): each["times"] for each in attempts}
    for row in rows:
        _check_row(row, result, allow_unfinished)
        times = completions.get(str(row["id"]), 0)
        if times > 1:
            result.doubled += 1
            result.problems.append(f"{row['id']}: completed {times} times")
        if row["status"] == "completed":
            _check_object(row, storages, result, expected or {})
    _check_orphans(rows, storages, prefix, result)
    return result


def _check_row(row: dict[str, Any], result: Audit, allow_unfinished: bool) -> None:
    status = row["status"]
    result.by_status[status] += 1
    if status in TERMINAL:
        if row["lease_token"] is not None:
            result.problems.append(f"{row['id']}: {status} with a live lease")
    elif not allow_unfinished:
        result.stuck += 1
        result.problems.append(f"{row['id']}: is still {status} after attempt {row['attempt']}")


def _check_object(
    row: dict[str, Any], storages: dict[str, Storage], result: Audit, expected: dict[str, int]
) -> None:
    name, key = str(row["id"]), row["object_key"]
    storage = storages[row["storage"]]
    manifest = Manifest.load(row["manifest"])
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "file"
        digest = hashlib.sha256()
        try:
            with path.open("wb") as file:
                for chunk in storage.read(key):
                    digest.update(chunk)
                    file.write(chunk)
        except FileNotFoundError:
            result.lost += 1
            result.problems.append(f"{name}: completed, but its object is not there")
            return
        report = verify_file(path, manifest)
        size = path.stat().st_size
    if not report.is_whole or digest.hexdigest() != row["sha256"] or size != row["object_bytes"]:
        result.truncated += 1
        findings = ", ".join(finding.code for finding in report.findings) or "row and object differ"
        result.problems.append(f"{name}: its object is not what the manifest says: {findings}")
    wanted = expected.get(row["export_type"])
    if wanted is not None and manifest.rows != wanted:
        result.truncated += 1
        result.problems.append(f"{name}: holds {manifest.rows} rows instead of {wanted}")
    stored = b"".join(storage.read(manifest_key(key)))
    if Manifest.from_json(stored.decode()) != manifest:
        result.problems.append(f"{name}: the stored manifest is not the row's")


def _check_orphans(
    rows: list[dict[str, Any]], storages: dict[str, Storage], prefix: str, result: Audit
) -> None:
    for storage_name, storage in storages.items():
        referred = {
            key
            for row in rows
            if row["status"] == "completed" and row["storage"] == storage_name
            for key in (row["object_key"], manifest_key(row["object_key"]))
        }
        for key in storage.list_keys(f"{prefix}/"):
            if key not in referred:
                result.orphans += 1
                result.problems.append(f"{storage_name}: {key} belongs to no completed job")
        over = {str(row["id"]) for row in rows if row["status"] in TERMINAL}
        for upload in storage.stale_uploads(older_than=datetime.now(UTC) + timedelta(days=1)):
            owner = owner_of(prefix, upload.key)
            if owner is not None and str(owner.export_id) in over:
                result.orphans += 1
                result.problems.append(f"{storage_name}: an upload to {upload.key} is open")
