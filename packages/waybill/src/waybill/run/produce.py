"""One attempt's bytes: from the job's request to a committed object with its manifest."""

from __future__ import annotations

import contextlib

from waybill.catalog import ExportType
from waybill.catalog.key_order import KeyOrder
from waybill.config import Settings
from waybill.errors import RateTooSlow, RunError, StorageUnavailable
from waybill.formats.plan import ExportPlan
from waybill.jobs.checkpoints import CheckpointLog
from waybill.jobs.job import ExportJob, Lease
from waybill.log import get_logger
from waybill.manifest import manifest_key
from waybill.pipeline.parts import PartSizes
from waybill.pipeline.pipeline import Completion, run_pipeline
from waybill.pipeline.readers import Parallel, default_readers
from waybill.requests.plan import Requester, open_plan
from waybill.requests.request import ExportRequest
from waybill.results.object_keys import object_key
from waybill.run.control import AttemptControl
from waybill.run.resumable import run_resumable
from waybill.run.resumption import can_resume, find_resumption
from waybill.source.source import PostgresSnapshot, PostgresSource, RowCount, shown_count
from waybill.storage.base import Continuation, Storage

log = get_logger(__name__)


class ExportProducer:
    """Runs the pipeline for a job. Synchronous: the runner gives it a thread.

    Args:
        source: where rows come from.
        storage: where objects go.
        fallback: where the object of a last attempt goes that found ``storage`` away; ``None`` to
            have it fail.
        settings: key prefix, size of parts, waybill's own database.
    """

    def __init__(
        self,
        *,
        source: PostgresSource,
        storage: Storage,
        fallback: Storage | None = None,
        settings: Settings,
    ) -> None:
        self._source = source
        self._storage = storage
        self._fallback = fallback
        self._settings = settings

    def produce(
        self,
        job: ExportJob,
        lease: Lease,
        export_type: ExportType,
        request: ExportRequest,
        control: AttemptControl,
    ) -> Completion:
        """Write the export's object and its manifest; neither is the job's until the row says so.

        Earlier attempts leave a storage that is away the time to come back. The last one writes
        the file a second time, from a new snapshot, rather than let the job fail.

        Raises:
            RunError: nothing was committed (see ``run_pipeline``).
            RequestError: the catalog no longer has what the request asks for.
        """
        try:
            return self._write(job, lease, export_type, request, control, self._storage)
        except StorageUnavailable as exc:
            if self._fallback is None or lease.attempt < job.max_attempts:
                raise
            control.check()
            # An alert: the file is kept, but whoever runs object storage has to look.
            log.error(  # noqa: TRY400 - an outage, no defect
                "storage.fallback", storage=self._fallback.name, cause=str(exc)
            )
            return self._write(job, lease, export_type, request, control, self._fallback)

    def _write(
        self,
        job: ExportJob,
        lease: Lease,
        export_type: ExportType,
        request: ExportRequest,
        control: AttemptControl,
        storage: Storage,
    ) -> Completion:
        storage = storage.labelled(tenant=job.tenant, export_type=job.export_type)
        with (
            open_plan(
                self._source,
                request,
                export_type,
                Requester(job.tenant, job.requested_by),
                control.check,
                application_name=f"waybill export {job.id}",
                # The server stops by itself should this process die without closing its socket.
                statement_timeout_seconds=control.seconds_left() + 1,
                sharers=control.sharers,
            ) as (snapshot, plan),
            snapshot.explaining_delays(),
        ):
            continuation = storage.continuation
            order = None
            if continuation is not None and can_resume(plan):
                order = snapshot.key_order(export_type)
                if not order.is_reliable:
                    log.warning("export.order_unreliable", reason=order.reason())
            if continuation is not None and order is not None and order.is_reliable:
                completion = self._resume(
                    job, lease, plan, order, snapshot, storage, continuation, control
                )
            else:
                snapshot.check_key(export_type, plan.where)
                expected = snapshot.count_rows(export_type, plan.where)
                _check_rate(export_type, expected, control)
                self._expect(control, shown_count(export_type, expected))
                if expected.is_exact:
                    plan.encoder.check_rows(expected.rows, plan.options)
                completion = run_pipeline(
                    plan,
                    snapshot,
                    storage,
                    object_key(self._settings.s3_prefix, job.object_folder, lease),
                    control,
                    export_id=str(job.id),
                    created_at=job.created_at,
                    part_sizes=PartSizes(first_bytes=self._settings.part_bytes),
                    expected_rows=expected.rows,
                    parallel=Parallel(
                        self._source,
                        self._settings.source_readers
                        or default_readers(plan, is_beside_source=snapshot.is_on_this_machine),
                        statement_timeout_seconds=control.seconds_left() + 1,
                    ),
                )
        self._put_manifest(storage, completion)
        return completion

    @staticmethod
    def _expect(control: AttemptControl, count: RowCount | None, *, done: int = 0) -> None:
        if count is None:
            control.expect(None, is_exact=False)
        else:
            control.expect(done + count.rows, is_exact=count.is_exact)

    def _resume(
        self,
        job: ExportJob,
        lease: Lease,
        plan: ExportPlan,
        order: KeyOrder,
        snapshot: PostgresSnapshot,
        storage: Storage,
        continuation: Continuation,
        control: AttemptControl,
    ) -> Completion:
        snapshot.require_unique_key(plan.export_type)
        with CheckpointLog(
            self._settings.database_dsn, lease, schema=self._settings.own_schema
        ) as checkpoints:
            resumption = find_resumption(plan, order, snapshot, storage, continuation, checkpoints)
            if resumption.rows_left is not None:
                left = RowCount(resumption.rows_left, is_exact=True)
            else:
                left = snapshot.count_rows(plan.export_type, plan.where)
            _check_rate(plan.export_type, left, control)
            shown = shown_count(plan.export_type, left)
            self._expect(control, shown, done=resumption.resume_point.rows)
            return run_resumable(
                resumption,
                self._source,
                snapshot,
                storage,
                continuation,
                checkpoints,
                object_key(self._settings.s3_prefix, job.object_folder, lease),
                control,
                export_id=str(job.id),
                created_at=job.created_at,
                part_bytes=self._settings.part_bytes,
                checkpoint_seconds=self._settings.checkpoint_seconds,
            )

    def _put_manifest(self, storage: Storage, completion: Completion) -> None:
        key, document = manifest_key(completion.stored.key), completion.manifest.to_json().encode()
        if completion.is_shared and storage.continuation is not None:
            # Whoever is late, this process or a zombie, may not replace the other's.
            storage.continuation.put_once(key, document, content_type="application/json")
            return
        try:
            storage.put(key, document, content_type="application/json")
        except RunError:
            # The object is whole but the attempt is not: the next one writes its own.
            with contextlib.suppress(RunError):
                storage.delete(completion.stored.key)
            raise


def _check_rate(export_type: ExportType, count: RowCount, control: AttemptControl) -> None:
    """Make sure that rows can be read in time at the rate that may be. Where they were not counted,
    it is tried: an estimate may be wrong.

    Raises:
        RateTooSlow
    """
    needed = export_type.seconds_for(rows=count.rows)
    if needed <= control.seconds_left():
        return
    if count.is_exact:
        raise RateTooSlow(control.deadline_seconds, count.rows, needed)
    log.warning(
        "export.rate_may_be_too_slow", rows_expected=count.rows, needs_seconds=round(needed)
    )
