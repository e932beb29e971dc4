"""An attempt that resumes where the last one stopped, and leaves resume points for the next.

Parts end at rows. Each part that storage confirmed is a checkpoint: the next attempt adopts the
open upload, reads the rows behind the last key in a snapshot of its own, and writes the parts that
follow. What it adopts it cannot read before the commit, so the committed object is read back once,
every part's digest is compared and the whole's is taken. ``resumption`` says what can be gone on
with.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from itertools import groupby

from waybill.errors import (
    IncompleteExport,
    RetryableError,
    RunError,
    RunStopped,
    StorageCorrupted,
)
from waybill.formats.base import ResumableEncoding
from waybill.formats.computed import with_computed
from waybill.formats.plan import ExportPlan
from waybill.jobs.checkpoints import Checkpoint, CheckpointLog, CheckpointPart, ResumePoint
from waybill.log import get_logger
from waybill.manifest import Manifest, ManifestSegment, ManifestSnapshot
from waybill.pipeline.keyset import KeyLookup
from waybill.pipeline.parts import PartSizes, PartWriter, WrittenParts
from waybill.pipeline.pipeline import Completion, build_manifest, check_parts
from waybill.run.resumption import Resumption
from waybill.run_control import RunControl
from waybill.source.copy_chunk import CopyChunk
from waybill.source.libpq import CHUNK_ROWS
from waybill.source.source import PostgresSnapshot, PostgresSource
from waybill.storage.base import Continuation, PartReceipt, SharedUpload, Storage

log = get_logger(__name__)

_GROUP_BYTES = 128 * 1024
_ROOM_BYTES = 512 * 1024
"""A part is ended at a row once it has less room than this: four groups of rows. A longer row
fills parts to their end; those that end inside it are no resume points."""


def run_resumable(
    resumption: Resumption,
    source: PostgresSource,
    snapshot: PostgresSnapshot,
    storage: Storage,
    continuation: Continuation,
    checkpoints: CheckpointLog,
    key: str,
    control: RunControl,
    *,
    export_id: str,
    created_at: datetime,
    part_bytes: int,
    checkpoint_seconds: float,
) -> Completion:
    """Do what ``run_pipeline`` does, from the resume point on.

    Args:
        resumption: what is left to do.
        source: for a second connection, which looks up keys.
        snapshot: the attempt's own.
        storage: where the object goes.
        continuation: what that storage has for uploads that are resumed.
        checkpoints: where finished parts are written down.
        key: the object's key, if no upload is resumed.
        control: the line to the runner.
        export_id: the job.
        created_at: when it was requested.
        part_bytes: the least size of the first parts.
        checkpoint_seconds: how often finished parts are written down.

    Raises:
        RetryableError, PermanentError: by source, storage or the final comparison.
        LeaseLost, RunStopped, DeadlineExceeded: from ``control.check``, or by the fence.
    """
    plan, base, point = resumption.plan, resumption.base, resumption.resume_point
    encoding = plan.encoder.open(plan)
    adopted = tuple(part.receipt for part in base.parts) if base else ()
    adopted_bytes = sum(receipt.bytes for receipt in adopted)
    opened: AbstractContextManager[SharedUpload] = (
        continuation.open_upload(base.object_key, base.upload_id)
        if base
        else continuation.begin_upload(key, content_type=plan.media_type)
    )
    order = snapshot.key_comparisons(plan.export_type)
    lookup = KeyLookup(source, plan, order, snapshot.export(), control.check)
    with lookup, opened as upload:
        recorder = _Recorder(
            resumption, resumption.stated, upload, checkpoints, lookup, checkpoint_seconds
        )
        sizes = PartSizes(first_bytes=part_bytes + _ROOM_BYTES)
        writer = PartWriter(upload, control.check, sizes, first_number=len(adopted) + 1)
        try:
            with writer:
                if base is None:
                    writer.write(encoding.header())
                elif isinstance(encoding, ResumableEncoding):
                    encoding.resume_after(point.rows)
                chunks = snapshot.copy(encoding.statement, is_large=True)
                for chunk in _regrouped(with_computed(plan, chunks, control.check)):
                    writer.write(encoding.encode(chunk))
                    if writer.room < _ROOM_BYTES:
                        recorder.cut(writer.cut(), encoding.rows)
                    recorder.record(writer.confirmed)
                    control.progress(encoding.rows, adopted_bytes + writer.bytes_written)
                    control.check()
                writer.write(encoding.footer())
                new = writer.finish()
        except (RetryableError, RunStopped):
            # There will be another attempt, and it should not do again what arrived last.
            with contextlib.suppress(RunError):
                recorder.record(writer.confirmed, is_late=True)
            raise
        if encoding.rows - point.rows != snapshot.copied_rows:
            raise IncompleteExport(
                f"{encoding.rows - point.rows} rows were written where PostgreSQL sent "
                f"{snapshot.copied_rows}."
            )
        if resumption.rows_left not in (None, snapshot.copied_rows):
            # Not to be resumed by the next attempt either.
            checkpoints.discard()
            raise IncompleteExport(
                f"{snapshot.copied_rows} rows were found behind the resume point, where "
                f"{resumption.rows_left} are. An index may be damaged: REINDEX it."
            )
        written = WrittenParts(adopted + new.receipts, adopted_bytes + new.bytes, new.sha256)
        check_parts(written)
        control.progress(encoding.rows, written.bytes)
        control.check()
        stored = upload.complete(list(written.receipts))
        if base is not None:
            whole = _read_back(storage, stored.key, written.receipts, control.check)
            written = dataclasses.replace(written, sha256=whole)
    manifest = build_manifest(
        plan, snapshot, written, rows=encoding.rows, export_id=export_id, created_at=created_at
    ).model_copy(update={"snapshot": resumption.stated})
    if base is not None:
        manifest = _with_segments(manifest, base, plan)
    return Completion(manifest, stored, storage.name, is_shared=upload.is_shared)


def _regrouped(chunks: Iterable[CopyChunk]) -> Iterator[CopyChunk]:
    """Yield the rows in groups that depend on them alone, not on when they arrived: where parts
    end is to be the same whoever reads them, from the first row or behind the end of a part."""
    messages, filled = list[bytes | memoryview](), 0
    for chunk in chunks:
        for message in chunk.messages:
            messages.append(message)
            filled += len(message)
            if filled >= _GROUP_BYTES or len(messages) >= CHUNK_ROWS:
                yield CopyChunk(messages)
                messages, filled = [], 0
    if messages:
        yield CopyChunk(messages)


class _Recorder:
    """Writes down finished parts: all of them, and a resume point with the last."""

    def __init__(
        self,
        resumption: Resumption,
        stated: ManifestSnapshot,
        upload: SharedUpload,
        checkpoints: CheckpointLog,
        lookup: KeyLookup,
        seconds: float,
    ) -> None:
        self._resumption = resumption
        self._stated = stated
        self._upload = upload
        self._checkpoints = checkpoints
        self._lookup = lookup
        self._seconds = seconds
        self._cuts: dict[int, int] = {}
        self._recorded = len(resumption.base.parts) if resumption.base else 0
        self._next_at = time.monotonic()

    def cut(self, number: int, rows: int) -> None:
        """Note that part ``number`` ends behind ``rows`` rows of the file."""
        self._cuts[number] = rows

    def record(
        self, confirmed: Callable[[], Sequence[PartReceipt]], *, is_late: bool = False
    ) -> None:
        """Write down what storage has confirmed since, if it is time."""
        if not self._cuts or (time.monotonic() < self._next_at and not is_late):
            return
        receipts = confirmed()
        last = receipts[-1].number if receipts else 0
        ends = [number for number in self._cuts if number <= last]
        if not ends:
            return
        end = max(ends)
        rows = self._cuts[end]
        # The lookup counts the rows of this snapshot, which begin behind the resume point.
        key = self._lookup.find(rows - self._resumption.resume_point.rows)
        self._next_at = time.monotonic() + self._seconds
        self._cuts = {number: rows for number, rows in self._cuts.items() if number > end}
        if key is None:
            return
        added = [
            CheckpointPart(
                receipt, self._stated, ResumePoint(rows, key) if receipt.number == end else None
            )
            for receipt in receipts
            if self._recorded < receipt.number <= end
        ]
        # Before it is written: whether it was, an answer that got lost would not say.
        self._upload.share()
        checkpoint = Checkpoint(
            self._upload.key, self._upload.upload_id, self._resumption.fingerprint
        )
        if self._checkpoints.record(checkpoint, added):
            self._recorded = end


def _read_back(
    storage: Storage, key: str, receipts: Sequence[PartReceipt], check: Callable[[], None]
) -> str:
    """Return the SHA-256 of the committed object, whose parts must be those of the receipts."""
    whole = hashlib.sha256()
    chunks = storage.read(key)
    rest = memoryview(b"")
    for receipt in receipts:
        part, missing = hashlib.sha256(), receipt.bytes
        while missing:
            if not rest:
                rest = memoryview(next(chunks, b""))
                check()
                if not rest:
                    raise StorageCorrupted("The committed object ends before its last part.")
            piece, rest = rest[:missing], rest[missing:]
            missing -= len(piece)
            part.update(piece)
            whole.update(piece)
        if part.hexdigest() != receipt.sha256:
            # Left to the sweep: the key may be another attempt's too.
            raise StorageCorrupted(
                f"Part {receipt.number} of the committed object is not what was sent."
            )
    return whole.hexdigest()


def _with_segments(manifest: Manifest, base: Checkpoint, plan: ExportPlan) -> Manifest:
    """Return the manifest of a file whose beginning was read from other snapshots."""
    is_personal = any(map(plan.export_type.scope_of_column, plan.export_type.key))
    segments: list[ManifestSegment] = []
    before = ResumePoint(0, ())

    def add(rows: int, snapshot: ManifestSnapshot, last: tuple[str, ...] | None) -> None:
        segments.append(
            ManifestSegment(
                rows=rows,
                snapshot=snapshot,
                after_key=None if is_personal else before.key or None,
                last_key=None if is_personal else last,
            )
        )

    for snapshot, parts in groupby(base.parts, key=lambda part: part.snapshot):
        end = list(parts)[-1].resume_point
        if end is None:
            raise IncompleteExport("A segment of the checkpoint does not end at a row.")
        add(end.rows - before.rows, snapshot, end.key)
        before = end
    add(manifest.rows - before.rows, manifest.snapshot, None)
    return manifest.model_copy(
        update={"snapshot": segments[0].snapshot, "segments": tuple(segments)}
    )
