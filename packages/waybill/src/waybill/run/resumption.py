"""What an earlier attempt left, and whether it can be resumed.

Whatever does not fit (another catalog, other options, another server, an upload that is gone or
holds other parts, an order that cannot be relied on) is a reason to begin anew, in an upload under
a key of its own: no file is ever mixed of two exports.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from waybill import __version__, tracing
from waybill.catalog.key_order import KeyOrder, OrderTrust
from waybill.errors import RunError
from waybill.formats.base import ResumableEncoding
from waybill.formats.plan import ExportPlan
from waybill.jobs.checkpoints import Checkpoint, CheckpointLog, ResumePoint
from waybill.log import get_logger
from waybill.manifest import ManifestSnapshot
from waybill.pipeline.key_proof import follow_the_index, is_index_in_order
from waybill.pipeline.keyset import rows_behind, rows_up_to
from waybill.source.server import identify_server
from waybill.source.source import PostgresSnapshot
from waybill.storage.base import Continuation, Storage

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Resumption:
    """What an attempt has to do: ``plan`` is of the rows that are left, ``base`` what is there.

    ``rows_left`` is how many rows that must be, counted without the key's index; ``None`` where
    nothing is resumed, since one statement from the first row needs no such proof.
    """

    plan: ExportPlan
    fingerprint: str
    stated: ManifestSnapshot
    base: Checkpoint | None = None
    rows_left: int | None = None

    @property
    def resume_point(self) -> ResumePoint:
        """Where to go on from; at no rows and no key when there is no base."""
        return (self.base and self.base.resume_point) or ResumePoint(0, ())


def can_resume(plan: ExportPlan) -> bool:
    """Return whether a file of this plan can be resumed: its type wants it, its format can.
    (A compressed one is not: its parts end inside of frames.)"""
    return (
        plan.export_type.consistency == "resumable"
        and plan.codec is None
        and isinstance(plan.encoder.open(plan), ResumableEncoding)
    )


def find_resumption(
    plan: ExportPlan,
    order: KeyOrder,
    snapshot: PostgresSnapshot,
    storage: Storage,
    continuation: Continuation,
    checkpoints: CheckpointLog,
) -> Resumption:
    """Return what is left to do; a checkpoint that does not fit is given up together with its
    upload.

    Raises:
        LeaseLost: the job is somebody else's.
        StorageUnavailable, StorageRejected: the upload could not be looked at.
        SourceUnavailable, SourceRejected: by the source.
    """
    fingerprint = _fingerprint(plan, order, snapshot.place.theirs)
    stated = _stated(snapshot)
    anew = Resumption(plan, fingerprint, stated)
    if order.trust is OrderTrust.TO_PROVE:
        # The order of today's comparison is proven of the index alone, so all rows come by it.
        follow_the_index(snapshot)
    try:
        found = checkpoints.load()
        if found is None:
            return anew
        base = found.to_last_resume_point()
        reason = (
            _misfit(found, base, fingerprint, continuation)
            or (base and _server_misfit(base.parts[-1].snapshot, stated))
            or _order_misfit(order, plan, snapshot)
        )
        if base is not None and base.resume_point is not None and reason is None:
            tracing.note(resumed_rows=base.resume_point.rows)
            log.info("export.resumed", rows=base.resume_point.rows, parts=len(base.parts))
            return _behind(anew, base, base.resume_point, snapshot)
        log.warning("checkpoint.discarded", reason=reason)
        checkpoints.discard()
    except psycopg.OperationalError as exc:
        # Its own upload, under its own key, is never in the way of what stands there.
        log.warning("checkpoint.not_read", error=type(exc).__name__)
        return anew
    with contextlib.suppress(RunError):  # else the sweep aborts it, at the latest with the job
        storage.abort_upload(found.object_key, found.upload_id)
    return anew


def _fingerprint(plan: ExportPlan, order: KeyOrder, theirs: Sequence[str]) -> str:
    """Return a digest of everything that decides the file's bytes, but for the data; ``theirs``: as
    of ``source.opening.Place``."""
    facts = {
        "version": __version__,
        # Two of them may be databases of one server, and read alike.
        "source": plan.export_type.source_name,
        "format": plan.encoder.name,
        "options": plan.options.model_dump(mode="json"),
        "columns": [[c.name, c.header, c.type_name] for c in plan.columns],
        **(
            {"computed": [c.computed and c.computed.spelt for c in plan.columns]}
            if plan.computed
            else {}
        ),
        "key": plan.export_type.key,
        "order": order.identity,
        "theirs": list(theirs),
        "statement": plan.encoder.open(plan).statement.as_string(None),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _misfit(
    found: Checkpoint, base: Checkpoint | None, fingerprint: str, continuation: Continuation
) -> str | None:
    """Return why ``found`` cannot be resumed, or ``None``."""
    if found.fingerprint != fingerprint:
        return "export_changed"
    if base is None:
        return "no_resume_point"
    held = continuation.list_parts(base.object_key, base.upload_id)
    if held is None:
        return "upload_gone"
    for number, part in enumerate(base.parts, start=1):
        there = held.get(number)
        receipt = part.receipt
        if there is None or receipt.number != number:
            return "part_missing"
        if (there.bytes, there.etag) != (receipt.bytes, receipt.etag):
            return "part_differs"
    return None


def _server_misfit(then: ManifestSnapshot, now: ManifestSnapshot) -> str | None:
    """Return why ``now`` is no later snapshot of the history that ``then`` was one of."""
    pairs = (
        (then.system_identifier, now.system_identifier),
        (then.timeline, now.timeline),
        (then.server_started_at, now.server_started_at),
    )
    if any(before is None or after is None for before, after in pairs):
        return "server_unknown"
    if any(before != after for before, after in pairs):
        return "server_changed"
    if then.wal_lsn is None or now.wal_lsn is None:
        return "position_unknown"
    return "server_went_back" if _position(now.wal_lsn) < _position(then.wal_lsn) else None


def _position(lsn: str) -> int:
    high, _, low = lsn.partition("/")
    return (int(high, 16) << 32) | int(low, 16)


def _order_misfit(order: KeyOrder, plan: ExportPlan, snapshot: PostgresSnapshot) -> str | None:
    if order.trust is OrderTrust.TO_PROVE and not is_index_in_order(snapshot, plan.export_type):
        return "order_unproven"
    return None


def _behind(
    anew: Resumption, base: Checkpoint, resume_point: ResumePoint, snapshot: PostgresSnapshot
) -> Resumption:
    plan = anew.plan
    compared = snapshot.key_comparisons(plan.export_type)
    rows, up_to_point = snapshot.count_exactly(
        plan.export_type, plan.where, of_which=rows_up_to(None, compared, resume_point.key)
    )
    limit = None if plan.limit is None else plan.limit - resume_point.rows
    left = rows - up_to_point
    return dataclasses.replace(
        anew,
        plan=dataclasses.replace(
            plan, where=rows_behind(plan.where, compared, resume_point.key), limit=limit
        ),
        base=base,
        rows_left=left if limit is None else min(left, limit),
    )


def _stated(snapshot: PostgresSnapshot) -> ManifestSnapshot:
    facts, server = snapshot.facts, identify_server(snapshot)
    return ManifestSnapshot(
        id=facts.id,
        taken_at=facts.taken_at,
        wal_lsn=facts.wal_lsn,
        server_version=facts.server_version,
        lag_seconds=facts.lag_seconds,
        system_identifier=server.system_identifier,
        timeline=server.timeline,
        server_started_at=server.started_at,
    )
