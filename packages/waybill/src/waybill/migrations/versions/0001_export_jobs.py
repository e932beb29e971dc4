"""The job table."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIMESTAMP = sa.DateTime(timezone=True)
_NOW = sa.text("now()")


def upgrade() -> None:
    op.create_table(
        "export_jobs",
        sa.Column("id", postgresql.UUID(as_uuid=True), primary_key=True),
        sa.Column("export_type", sa.Text, nullable=False),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column(
            "options", postgresql.JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")
        ),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text),
        sa.Column("status", sa.Text, nullable=False, server_default="queued"),
        sa.Column("created_at", _TIMESTAMP, nullable=False, server_default=_NOW),
        sa.Column("updated_at", _TIMESTAMP, nullable=False, server_default=_NOW),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", _TIMESTAMP, server_default=_NOW),
        sa.Column("published_at", _TIMESTAMP),
        sa.Column("lease_token", postgresql.UUID(as_uuid=True)),
        sa.Column("lease_expires_at", _TIMESTAMP),
        sa.Column("started_at", _TIMESTAMP),
        sa.Column("finished_at", _TIMESTAMP),
        sa.Column("expires_at", _TIMESTAMP),
        sa.Column("rows_expected", sa.BigInteger),
        sa.Column(
            "rows_expected_exact", sa.Boolean, nullable=False, server_default=sa.text("false")
        ),
        sa.Column("rows_done", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("bytes_done", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("storage", sa.Text),
        sa.Column("object_key", sa.Text),
        sa.Column("object_bytes", sa.BigInteger),
        sa.Column("object_etag", sa.Text),
        sa.Column("sha256", sa.Text),
        sa.Column("manifest", postgresql.JSONB),
        sa.Column("error_code", sa.Text),
        sa.Column("error_message", sa.Text),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'completed', 'failed', 'cancelled', 'expired',"
            " 'deleted')",
            name="status",
        ),
        sa.CheckConstraint(
            "(status = 'running') = (lease_token IS NOT NULL)", name="lease_when_running"
        ),
        sa.CheckConstraint(
            "status <> 'completed' OR (object_key IS NOT NULL AND manifest IS NOT NULL"
            " AND sha256 IS NOT NULL AND expires_at IS NOT NULL)",
            name="completed_has_result",
        ),
        sa.CheckConstraint("attempt >= 0 AND attempt <= max_attempts", name="attempt_bounded"),
    )
    for name, columns, where in (
        ("ix_export_jobs_due", ["next_attempt_at"], "status = 'queued'"),
        ("ix_export_jobs_leases", ["lease_expires_at"], "status = 'running'"),
        ("ix_export_jobs_expiry", ["expires_at"], "status = 'completed'"),
        (
            "ix_export_jobs_leftovers",
            ["updated_at"],
            "status IN ('expired', 'deleted') AND object_key IS NOT NULL",
        ),
    ):
        op.create_index(name, "export_jobs", columns, postgresql_where=sa.text(where))
    op.create_index(
        "ix_export_jobs_requested_by", "export_jobs", ["requested_by", sa.text("created_at DESC")]
    )


def downgrade() -> None:
    op.drop_table("export_jobs")
