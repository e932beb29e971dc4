"""One attempt: a plan's rows from a snapshot into a committed object, proven or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from waybill import __version__
from waybill.errors import IncompleteExport, StorageCorrupted
from waybill.formats import FileFacts
from waybill.formats.compress import open_stage
from waybill.formats.formula_guard import MODE, is_guarded_column
from waybill.formats.plan import ExportPlan
from waybill.manifest import (
    Manifest,
    ManifestColumn,
    ManifestGenerator,
    ManifestPart,
    ManifestSnapshot,
    export_file_name,
)
from waybill.pipeline.parts import PartSizes, PartWriter, WrittenParts
from waybill.pipeline.readers import Parallel, open_reader
from waybill.run_control import RunControl
from waybill.source.source import PostgresSnapshot
from waybill.storage.base import Storage, StoredObject


@dataclass(frozen=True, slots=True)
class Completion:
    """Exists only for an object that is committed, and whose rows, bytes and digests agree."""

    manifest: Manifest
    stored: StoredObject
    storage: str
    """The name of the storage that holds it."""
    is_shared: bool = False
    """Whether another attempt could have written to the same key: then only the sweep, which looks
    at the job's row first, may delete the object."""


def run_pipeline(
    plan: ExportPlan,
    snapshot: PostgresSnapshot,
    storage: Storage,
    key: str,
    control: RunControl,
    *,
    export_id: str,
    created_at: datetime,
    part_sizes: PartSizes | None = None,
    expected_rows: int | None = None,
    parallel: Parallel | None = None,
) -> Completion:
    """Copy, encode, hash and upload at once; commit under ``key`` when all counts agree.

    With ``parallel``, a table that ``expected_rows`` says to be large is read by several
    connections; the file is the same.

    Any exception, from wherever, aborts the upload and stops the threads before it leaves; the
    caller's ``open_snapshot`` block then closes the connection.

    Raises:
        RetryableError, PermanentError: by source, storage or the final comparison.
        LeaseLost, RunStopped, DeadlineExceeded: from ``control.check``.
    """
    facts = snapshot.facts
    encoding = plan.encoder.open(
        plan, FileFacts(export_id, plan.export_type.name, facts.id, facts.taken_at)
    )
    with storage.open_upload(key, content_type=plan.media_type) as upload:
        with (
            PartWriter(upload, control.check, part_sizes) as writer,
            open_stage(plan.codec, writer.write, control.check) as stage,
            open_reader(
                plan,
                snapshot,
                encoding,
                control.check,
                expected_rows=expected_rows,
                parallel=parallel,
            ) as reader,
        ):
            stage.write(encoding.header())
            for piece in reader.pieces():
                stage.write(piece)
                control.progress(reader.rows, writer.bytes_written)
                control.check()
            stage.write(encoding.footer())
            stage.finish()
            written = writer.finish()
        rows = reader.rows
        if rows != reader.copied_rows:
            raise IncompleteExport(
                f"{rows} rows were written where PostgreSQL sent {reader.copied_rows}."
            )
        check_parts(written)
        control.progress(rows, written.bytes)
        control.check()
        stored = upload.complete(list(written.receipts))
    if stored.bytes != written.bytes:
        storage.delete(key)
        raise StorageCorrupted(
            f"Storage holds {stored.bytes} bytes where {written.bytes} were sent."
        )
    manifest = build_manifest(
        plan, snapshot, written, rows=rows, export_id=export_id, created_at=created_at
    )
    if plan.codec is not None:
        manifest = manifest.model_copy(update={"uncompressed_bytes": stage.bytes_taken})
    return Completion(manifest, stored, storage.name)


def check_parts(written: WrittenParts) -> None:
    """Raise ``IncompleteExport`` unless the parts follow each other and add up to the file."""
    numbers = [receipt.number for receipt in written.receipts]
    confirmed = sum(receipt.bytes for receipt in written.receipts)
    if numbers != list(range(1, len(numbers) + 1)) or confirmed != written.bytes:
        raise IncompleteExport(
            f"Storage confirmed {confirmed} bytes in {len(numbers)} parts of {written.bytes} sent."
        )


def build_manifest(
    plan: ExportPlan,
    snapshot: PostgresSnapshot,
    written: WrittenParts,
    *,
    rows: int,
    export_id: str,
    created_at: datetime,
) -> Manifest:
    """Return the manifest of a file whose rows are all of ``snapshot``."""
    parts: list[ManifestPart] = []
    offset = 0
    for receipt in written.receipts:
        parts.append(
            ManifestPart(
                number=receipt.number, offset=offset, bytes=receipt.bytes, sha256=receipt.sha256
            )
        )
        offset += receipt.bytes
    facts = snapshot.facts
    is_guarding = bool(getattr(plan.options, "formula_guard", False))
    return Manifest(
        export_id=export_id,
        export_type=plan.export_type.name,
        format=plan.encoder.name,
        options=plan.options.model_dump(mode="json"),
        columns=tuple(
            ManifestColumn(
                name=c.name,
                header=c.header,
                type=c.type_name,
                is_guarded=is_guarding and is_guarded_column(c),
            )
            for c in plan.columns
        ),
        key=plan.export_type.key,
        order_by=plan.order_by,
        snapshot=ManifestSnapshot(
            id=facts.id,
            taken_at=facts.taken_at,
            wal_lsn=facts.wal_lsn,
            server_version=facts.server_version,
            lag_seconds=facts.lag_seconds,
        ),
        rows=rows,
        bytes=written.bytes,
        sha256=written.sha256,
        parts=tuple(parts),
        formula_guard=MODE if is_guarding else None,
        media_type=plan.media_type,
        file_name=export_file_name(
            plan.export_type.name, plan.extension, created_at=created_at, export_id=export_id
        ),
        compression=None if plan.codec is None else plan.codec.name,
        created_at=created_at,
        generator=ManifestGenerator(version=__version__),
    )
