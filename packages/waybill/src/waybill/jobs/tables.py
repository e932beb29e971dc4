"""The tables as SQLAlchemy sees them. The migrations create them; a test holds the two equal."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from waybill.jobs.attempts import AttemptOutcome, Cause
from waybill.jobs.job import ExportStatus
from waybill.metadata import metadata

_STATUSES = ", ".join(f"'{status.value}'" for status in ExportStatus)
_OUTCOMES = ", ".join(f"'{outcome.value}'" for outcome in AttemptOutcome)
_CAUSES = ", ".join(f"'{cause.value}'" for cause in Cause)
_TIMESTAMP = DateTime(timezone=True)

FORGOTTEN: Final = "forgotten"
"""The mark, in a job's options, that what its rows were compared with is not kept any more, and
what stands for ``since`` then: no instant, so that nothing which overlooks the mark can run the
request."""
HAS_VALUES: Final = (
    f"NOT options ? '{FORGOTTEN}' AND (coalesce(options -> 'filters', '{{}}'::jsonb)"
    " <> '{}'::jsonb OR options ->> 'since' IS NOT NULL)"
)
"""Whether there is something to forget; see ``forgetting``."""

export_jobs = Table(
    "export_jobs",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("export_type", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("options", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("requested_by", Text, nullable=False),
    Column("tenant", Text),
    Column("status", Text, nullable=False, server_default=ExportStatus.QUEUED.value),
    Column("created_at", _TIMESTAMP, nullable=False, server_default=func.now()),
    Column("updated_at", _TIMESTAMP, nullable=False, server_default=func.now()),
    # Attempts and the lease. All instants here are the database server's own.
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("max_attempts", Integer, nullable=False),
    Column("next_attempt_at", _TIMESTAMP, server_default=func.now()),
    Column("published_at", _TIMESTAMP),
    Column("lease_token", UUID(as_uuid=True)),
    Column("lease_expires_at", _TIMESTAMP),
    Column("started_at", _TIMESTAMP),
    Column("finished_at", _TIMESTAMP),
    Column("expires_at", _TIMESTAMP),
    # Progress of the current or last attempt.
    Column("rows_expected", BigInteger),
    Column("rows_expected_exact", Boolean, nullable=False, server_default=text("false")),
    Column("rows_done", BigInteger, nullable=False, server_default="0"),
    Column("bytes_done", BigInteger, nullable=False, server_default="0"),
    # The result. object_key outlives the status until the object is really deleted.
    Column("storage", Text),
    Column("object_key", Text),
    # Said when it is requested, where the application has files lie in folders of its own.
    Column("object_folder", Text),
    Column("object_bytes", BigInteger),
    Column("object_etag", Text),
    Column("sha256", Text),
    # Read by itself, never with the row: of a file of 10,000 parts it is a megabyte.
    Column("manifest", JSONB),
    Column("file_name", Text),
    Column("media_type", Text),
    Column("file_columns", JSONB),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("error_cause", Text),
    # The span that made it, as W3C's ``traceparent``; read by whoever traces, never with the row.
    Column("traceparent", Text),
    # Equal for equal requests; see ``ExportRequest.fingerprint``.
    Column("fingerprint", Text),
    # Run by the API for its caller and not by a worker.
    Column("is_stream", Boolean, nullable=False, server_default=text("false")),
    CheckConstraint(f"status IN ({_STATUSES})", name="status"),
    # What the code promises, the database holds as well.
    CheckConstraint("(status = 'running') = (lease_token IS NOT NULL)", name="lease_when_running"),
    CheckConstraint(
        "status <> 'completed' OR (object_key IS NOT NULL AND manifest IS NOT NULL"
        " AND sha256 IS NOT NULL AND expires_at IS NOT NULL)",
        name="completed_has_result",
    ),
    CheckConstraint("attempt >= 0 AND attempt <= max_attempts", name="attempt_bounded"),
    # A job that waits can run: otherwise it would wait for ever.
    CheckConstraint("status <> 'queued' OR attempt < max_attempts", name="queued_can_run"),
    CheckConstraint("status <> 'queued' OR next_attempt_at IS NOT NULL", name="queued_is_due"),
    CheckConstraint(f"error_cause IN ({_CAUSES})", name="error_cause"),
)

Index(
    "ix_export_jobs_due",
    export_jobs.c.next_attempt_at,
    postgresql_where=text("status = 'queued'"),
)
Index(
    "ix_export_jobs_leases",
    export_jobs.c.lease_expires_at,
    postgresql_where=text("status = 'running'"),
)
# What expires, and what operators are told of files: read from here alone.
Index(
    "ix_export_jobs_files",
    export_jobs.c.expires_at,
    postgresql_include=["object_bytes", "tenant"],
    postgresql_where=text("status = 'completed'"),
)
# How it went, which operators look at: without a visit to the rows, which are wide, and without a
# comparison of each one's status. What failed is in ``ix_export_jobs_dead_letters``.
Index(
    "ix_export_jobs_delivered",
    export_jobs.c.finished_at,
    postgresql_include=["tenant", "started_at", "rows_done"],
    postgresql_where=text("status IN ('completed', 'expired', 'deleted')"),
)
Index(
    "ix_export_jobs_leftovers",
    export_jobs.c.updated_at,
    postgresql_where=text("status IN ('expired', 'deleted') AND object_key IS NOT NULL"),
)
# What is forgotten with a file; rows that have nothing to forget, almost all, are not looked at.
Index(
    "ix_export_jobs_values",
    export_jobs.c.finished_at,
    postgresql_where=text(
        "status IN ('failed', 'cancelled', 'expired', 'deleted') AND object_key IS NULL"
        f" AND {HAS_VALUES}"
    ),
)
# What a request is coalesced with, and whose jobs wait and run.
Index(
    "ix_export_jobs_unfinished",
    export_jobs.c.requested_by,
    export_jobs.c.fingerprint,
    postgresql_include=["tenant", "status"],
    postgresql_where=text("status IN ('queued', 'running')"),
)
# What a claim chooses from; see ``turn_tables``.
Index(
    "ix_export_jobs_turns",
    func.coalesce(export_jobs.c.tenant, text("''")),
    export_jobs.c.requested_by,
    export_jobs.c.export_type,
    export_jobs.c.created_at,
    export_jobs.c.id,
    postgresql_where=text("status = 'queued'"),
)
Index("ix_export_jobs_requested_by", export_jobs.c.requested_by, export_jobs.c.created_at.desc())

# What the dead-letter list shows, newest first, and how many failed of what, and whose.
Index(
    "ix_export_jobs_dead_letters",
    export_jobs.c.finished_at,
    postgresql_include=["tenant", "started_at", "error_code"],
    postgresql_where=text("status = 'failed'"),
)
# What is kept beside object storage and is to be moved there.
Index(
    "ix_export_jobs_fallback",
    export_jobs.c.finished_at,
    postgresql_where=text("status = 'completed' AND storage = 'database'"),
)
# What the retention of old rows deletes.
Index(
    "ix_export_jobs_retention",
    export_jobs.c.updated_at,
    postgresql_where=text(
        "status IN ('failed', 'cancelled', 'expired', 'deleted') AND object_key IS NULL"
    ),
)

# One row per lease. It is written in the transactions that take and end the lease, so it also
# tells a worker what became of a write whose answer it never got.
export_attempts = Table(
    "export_attempts",
    metadata,
    Column("lease_token", UUID(as_uuid=True), primary_key=True),
    Column(
        "export_id",
        UUID(as_uuid=True),
        ForeignKey("export_jobs.id", ondelete="CASCADE"),
        nullable=False,
    ),
    # Not unique per job: an attempt that is given back is not spent, and its number comes again.
    Column("attempt", Integer, nullable=False),
    Column("worker", Text, nullable=False),
    Column("started_at", _TIMESTAMP, nullable=False, server_default=func.now()),
    Column("ended_at", _TIMESTAMP),
    Column("outcome", Text),
    Column("cause", Text),
    Column("error_code", Text),
    # For operators: our own text, never a vendor's, but it may name hosts and settings.
    Column("message", Text),
    Column("rows_done", BigInteger, nullable=False, server_default="0"),
    Column("bytes_done", BigInteger, nullable=False, server_default="0"),
    CheckConstraint(f"outcome IN ({_OUTCOMES})", name="outcome"),
    CheckConstraint(f"cause IN ({_CAUSES})", name="cause"),
    CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name="outcome_when_ended"),
)

Index("ix_export_attempts_export_id", export_attempts.c.export_id, export_attempts.c.started_at)
# Which workers were heard of lately.
Index("ix_export_attempts_ended", export_attempts.c.ended_at)
# Two live leases on one job are impossible, whatever the code does.
Index(
    "uq_export_attempts_open",
    export_attempts.c.export_id,
    unique=True,
    postgresql_where=text("ended_at IS NULL"),
)
