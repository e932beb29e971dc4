"""A stream's job: admitted like any other, begun at once by whoever asked, and never again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from waybill.bootstrap.everything import Services
from waybill.errors import QuotaExceeded
from waybill.jobs.job import ExportStatus, Lease
from waybill.principal import Principal
from waybill.requests.quota import QuotaBucket
from waybill.requests.request import ExportRequest

Execute = Callable[..., list[tuple[Any, ...]]]

ANN = Principal("ann", "acme")


async def test_stream_is_a_job_that_is_run_at_once_and_once(
    services: Services, execute: Execute
) -> None:
    bucket = QuotaBucket("daily", 1)
    request = ExportRequest("users")
    export_id = uuid4()
    assert await services.admission.quota(ANN, None) is None
    before = await services.admission.quota(ANN, bucket)
    assert before is not None
    assert before.remaining == 1

    job, lease, quota = await services.admission.admit_stream(
        ANN, request, export_id=export_id, bucket=bucket, lease_seconds=60, holder="api/1/f"
    )

    assert quota is not None
    assert quota.remaining == 0
    assert (job.id, job.status, job.requested_by, job.tenant) == (
        export_id, ExportStatus.RUNNING, "ann", "acme",
    )  # fmt: skip
    assert (job.attempt, job.max_attempts, job.next_attempt_at) == (1, 1, None)
    assert lease == Lease(export_id, 1, job.lease_token or uuid4())
    assert job.lease_expires_at is not None
    assert job.lease_expires_at - job.created_at == timedelta(seconds=60)
    assert execute("SELECT is_stream, fingerprint FROM export_jobs") == [(True, None)]
    (attempt,) = await services.repository.attempts_of(export_id)
    assert (attempt.attempt, attempt.worker, attempt.outcome) == (1, "api/1/f", None)
    with pytest.raises(QuotaExceeded):
        await services.admission.admit_stream(
            ANN, request, export_id=uuid4(), bucket=bucket, lease_seconds=60, holder="api/1/f"
        )
    assert execute("SELECT count(*) FROM export_jobs") == [(1,)]
    assert execute("SELECT count(*) FROM audit_events") == [(0,)]
    await services.admission.record_stream(ANN, job)
    assert execute("SELECT actor, action, export_id FROM audit_events") == [
        ("ann", "streamed", export_id)
    ]


async def test_stream_that_sent_nothing_is_taken_back_unless_it_has_ended(
    services: Services, execute: Execute
) -> None:
    bucket = QuotaBucket("daily", 2)
    ids = [uuid4(), uuid4()]
    for export_id in ids:
        await services.admission.admit_stream(
            ANN, ExportRequest("users"), export_id=export_id, bucket=bucket,
            lease_seconds=60, holder="api/1/f",
        )  # fmt: skip
    await services.repository.cancel(ids[0])
    for export_id in ids:
        await services.admission.withdraw_stream(export_id)
    assert execute("SELECT id, status FROM export_jobs") == [(ids[0], "cancelled")]
    assert execute("SELECT export_id FROM export_attempts") == [(ids[0],)]
    state = await services.admission.quota(ANN, bucket)
    assert state is not None
    assert state.remaining == 1
