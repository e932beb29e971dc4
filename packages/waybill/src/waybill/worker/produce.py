"""One attempt's bytes: from the job's request to a committed object with its manifest."""

from __future__ import annotations

import contextlib

from waybill.catalog import ExportType
from waybill.config import Settings
from waybill.errors import RunError
from waybill.exports.job import ExportJob, Lease
from waybill.exports.manifest import manifest_key
from waybill.exports.object_keys import object_key
from waybill.exports.request import ExportRequest
from waybill.pipeline.encoders import read_options
from waybill.pipeline.parts import PartSizes
from waybill.pipeline.pipeline import Completion, run_pipeline
from waybill.pipeline.plan import ExportPlan
from waybill.pipeline.source import PostgresSource
from waybill.storage.base import Storage
from waybill.worker.control import AttemptControl


class ExportProducer:
    """Runs the pipeline for a job. Synchronous: the runner gives it a thread."""

    def __init__(self, *, source: PostgresSource, storage: Storage, settings: Settings) -> None:
        self._source = source
        self._storage = storage
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

        Raises:
            RunError: nothing was committed (see ``run_pipeline``).
            RequestError: the catalog no longer has what the request asks for.
        """
        options = read_options(request.format, request.format_options)
        columns = export_type.select(request.columns) if request.columns else ()
        with self._source.open_snapshot(
            control.check,
            application_name=f"waybill export {job.id}",
            # The server stops by itself should this process die without closing its socket.
            statement_timeout_seconds=control.seconds_left() + 1,
        ) as snapshot:
            plan = ExportPlan(
                export_type,
                snapshot.resolve(export_type, columns),
                request.format,
                options,
                where=request.where(
                    export_type, {"tenant": job.tenant, "subject": job.requested_by}
                ),
            )
            snapshot.check_key(export_type, plan.where)
            expected = snapshot.count_rows(export_type, plan.where)
            control.expect(expected.rows, is_exact=expected.is_exact)
            completion = run_pipeline(
                plan,
                snapshot,
                self._storage,
                object_key(self._settings.s3_prefix, lease),
                control,
                export_id=str(job.id),
                created_at=job.created_at,
                part_sizes=PartSizes(first_bytes=self._settings.part_bytes),
            )
        try:
            self._storage.put(
                manifest_key(completion.stored.key),
                completion.manifest.to_json().encode(),
                content_type="application/json",
            )
        except RunError:
            # The object is whole but the attempt is not: the next one writes its own.
            with contextlib.suppress(RunError):
                self._storage.delete(completion.stored.key)
            raise
        return completion
