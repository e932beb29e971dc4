"""The API's documents. Field names are the wire's; the domain has its own in ``exports.job``."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from waybill.jobs.job import ExportJob, ExportStatus


class ProgressDocument(BaseModel):
    percent: float | None = Field(description="0 to 100; null while nothing is known.")
    rows: int
    rows_expected: int | None
    rows_expected_is: Literal["exact", "estimate"] | None
    bytes: int
    rows_per_second: float | None
    eta_seconds: float | None


class ProblemSummary(BaseModel):
    code: str
    detail: str | None


class Links(BaseModel):
    self: str
    download: str | None = None
    manifest: str | None = None


class ExportDocument(BaseModel):
    """A job as clients see it."""

    id: UUID
    type: str
    format: str
    status: ExportStatus
    progress: ProgressDocument
    attempt: int
    max_attempts: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    next_attempt_at: datetime | None
    expires_at: datetime | None
    bytes: int | None
    sha256: str | None
    error: ProblemSummary | None
    links: Links

    @classmethod
    def of(
        cls, job: ExportJob, *, now: datetime, base: str, may_have_file: bool = True
    ) -> ExportDocument:
        """Describe ``job``; ``base`` is the address of ``/api`` without a trailing slash.

        Whoever may not have the file is not told what identifies its content either: a digest
        would prove a guess.
        """
        here = f"{base}/exports/{job.id}"
        has_file = job.status is ExportStatus.COMPLETED and may_have_file
        certainty: Literal["exact", "estimate"] | None = None
        if job.rows_expected is not None:
            certainty = "exact" if job.rows_expected_exact else "estimate"
        return cls(
            id=job.id,
            type=job.export_type,
            format=job.format,
            status=job.status,
            progress=ProgressDocument(
                percent=job.percent(),
                rows=job.rows_done,
                rows_expected=job.rows_expected,
                rows_expected_is=certainty,
                bytes=job.bytes_done,
                rows_per_second=job.rate(now),
                eta_seconds=job.eta_seconds(now),
            ),
            attempt=job.attempt,
            max_attempts=job.max_attempts,
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
            next_attempt_at=job.next_attempt_at if job.status is ExportStatus.QUEUED else None,
            expires_at=job.expires_at,
            bytes=job.object_bytes if may_have_file else None,
            sha256=job.sha256 if may_have_file else None,
            error=(
                None
                if job.error_code is None or job.status is ExportStatus.COMPLETED
                else ProblemSummary(code=job.error_code, detail=job.error_message)
            ),
            links=Links(
                self=here,
                download=f"{here}/download" if has_file else None,
                manifest=f"{here}/manifest" if has_file else None,
            ),
        )


class ExportList(BaseModel):
    items: list[ExportDocument]
    next: str | None = Field(description="The address of the next page, if there is one.")


class Readiness(BaseModel):
    """Each dependency: ``ok``, or what is wrong with it in a word. ``degraded``: one is away, and
    requests are accepted all the same."""

    status: Literal["ready", "degraded", "unready"]
    checks: dict[str, str]


class ProblemDocument(BaseModel):
    """RFC 9457."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: str
    detail: str
