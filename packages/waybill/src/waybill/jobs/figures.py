"""What is counted of jobs, and held against the objectives of their urgency."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from waybill.catalog import Catalog
from waybill.catalog.urgency import OBJECTIVES_OF, Urgency
from waybill.jobs.attempts import AttemptFailure, Cause
from waybill.jobs.job import ExportJob, ExportStatus
from waybill.metrics import definitions as m
from waybill.metrics.recording import record

_OF_WHO_ASKED = frozenset({Cause.PERMANENT.value})
"""Failures that need somebody to change the request, the catalog or the data: told by alerts of
their own, and no breach of what the service promises."""


class JobFigures:
    """Counts jobs as they are claimed and end.

    Args:
        catalog: says which types there are, and how urgent.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def claimed(self, job: ExportJob) -> None:
        """Count a job that a worker took, and how long it had waited for the first."""
        declared = self._catalog.get(job.export_type)
        waits_on_purpose = declared is not None and declared.polite.may_wait
        if job.attempt != 1 or job.started_at is None or waits_on_purpose:
            return
        urgency = self._urgency(job)
        waited = max((job.started_at - job.created_at).total_seconds(), 0.0)
        record(m.WAITING, waited, urgency=urgency)
        self._hold(urgency, "waiting", waited <= OBJECTIVES_OF[urgency].waiting_seconds)

    def attempt_ended(self, job: ExportJob, outcome: str) -> None:
        """Count an attempt's end, whether or not it is the job's."""
        record(m.ATTEMPTS, type=job.export_type, outcome=outcome)

    def attempt_failed(self, job: ExportJob, failure: AttemptFailure) -> None:
        """Count why an attempt failed."""
        record(m.FAILURES, type=job.export_type, cause=failure.cause.value, code=failure.code)

    async def job_ended(self, connection: AsyncConnection, job: ExportJob) -> None:
        """Count a job's end; a ``JobListener``. What is broken off and made again is counted twice:
        figures are not books."""
        record(
            m.EXPORTS,
            type=job.export_type,
            format=job.format,
            status=job.status.value,
            cause=job.error_cause or "",
        )
        urgency = self._urgency(job)
        if job.status is ExportStatus.COMPLETED:
            self._completed(job, urgency)
        elif job.status is ExportStatus.FAILED and job.error_cause not in _OF_WHO_ASKED:
            self._hold(urgency, "success", False)

    def _completed(self, job: ExportJob, urgency: Urgency) -> None:
        self._hold(urgency, "success", True)
        record(m.ROWS, job.rows_done, type=job.export_type)
        record(m.BYTES, job.object_bytes or 0, format=job.format)
        if job.storage == "database":
            record(m.FALLBACKS)
        if job.started_at is not None and job.finished_at is not None:
            ran = max((job.finished_at - job.started_at).total_seconds(), 0.0)
            record(m.RUNNING_TIME, ran, type=job.export_type, format=job.format)
            self._hold(urgency, "run", ran <= OBJECTIVES_OF[urgency].run_seconds)

    def _urgency(self, job: ExportJob) -> Urgency:
        declared = self._catalog.get(job.export_type)
        return "low" if declared is None else declared.urgency

    def _hold(self, urgency: Urgency, objective: str, is_met: bool) -> None:
        record(m.OBJECTIVES, urgency=urgency, objective=objective)
        # Added even where it is nothing, so that a rate of misses exists before the first one.
        record(m.OBJECTIVES_MISSED, 0 if is_met else 1, urgency=urgency, objective=objective)
