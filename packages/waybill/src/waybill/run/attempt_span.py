"""An attempt as a span of its job's trace."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from waybill import tracing
from waybill.jobs.job import ExportJob, Lease
from waybill.jobs.leases import LeaseRepository
from waybill.run.settlement import DATABASE_ERRORS


@asynccontextmanager
async def attempt_span(
    leases: LeaseRepository, job: ExportJob, lease: Lease
) -> AsyncIterator[tracing.Span]:
    """Have the block be a span in the trace that the job's row names, linked to the attempt before.

    An attempt whose process is killed sends nothing; the link to it stays, and names its token's
    span all the same.
    """
    if not tracing.is_on():
        yield tracing.NO_SPAN
        return
    try:
        traceparent, before = await leases.find_trace(lease)
    except DATABASE_ERRORS:
        traceparent, before = None, None  # a trace of its own: the export goes on
    if before is None:
        tracing.begin(
            "export.queued", within=traceparent, since=job.created_at, export_id=str(job.id)
        ).end()
    with tracing.span(
        "export.attempt",
        kind="consumer",
        within=traceparent,
        stands_for=lease.token,
        follows=() if before is None else (before,),
        export_id=str(job.id),
        type=job.export_type,
        format=job.format,
        attempt=lease.attempt,
    ) as span:
        yield span
