"""The history of attempts, the class of a failure's cause, and what the monitor looks for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from waybill.migrations.indexes import build_index

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TIMESTAMP = sa.DateTime(timezone=True)
_CAUSES = "('transient', 'permanent', 'worker_lost', 'deadline', 'internal')"


def upgrade() -> None:
    build_index(
        "ix_export_jobs_dead_letters",
        "export_jobs",
        ["finished_at"],
        postgresql_where=sa.text("status = 'failed'"),
    )
    build_index(
        "ix_export_jobs_retention",
        "export_jobs",
        ["updated_at"],
        postgresql_where=sa.text(
            "status IN ('failed', 'cancelled', 'expired', 'deleted') AND object_key IS NULL"
        ),
    )
    op.add_column("export_jobs", sa.Column("error_cause", sa.Text))
    op.create_check_constraint("error_cause", "export_jobs", f"error_cause IN {_CAUSES}")
    for name, condition in (
        ("queued_can_run", "status <> 'queued' OR attempt < max_attempts"),
        ("queued_is_due", "status <> 'queued' OR next_attempt_at IS NOT NULL"),
    ):
        op.create_check_constraint(name, "export_jobs", condition)
    op.create_table(
        "export_attempts",
        sa.Column("lease_token", postgresql.UUID(as_uuid=True), primary_key=True),
        sa.Column(
            "export_id",
            postgresql.UUID(as_uuid=True),
            sa.ForeignKey("export_jobs.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("started_at", _TIMESTAMP, nullable=False, server_default=sa.text("now()")),
        sa.Column("ended_at", _TIMESTAMP),
        sa.Column("outcome", sa.Text),
        sa.Column("cause", sa.Text),
        sa.Column("error_code", sa.Text),
        sa.Column("message", sa.Text),
        sa.Column("rows_done", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("bytes_done", sa.BigInteger, nullable=False, server_default="0"),
        sa.CheckConstraint(
            "outcome IN ('completed', 'retried', 'failed', 'given_back', 'cancelled')",
            name="outcome",
        ),
        sa.CheckConstraint(f"cause IN {_CAUSES}", name="cause"),
        sa.CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name="outcome_when_ended"),
    )
    op.create_index("ix_export_attempts_export_id", "export_attempts", ["export_id", "started_at"])
    op.create_index(
        "uq_export_attempts_open",
        "export_attempts",
        ["export_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_table("export_attempts")
    op.drop_index("ix_export_jobs_retention", "export_jobs")
    op.drop_index("ix_export_jobs_dead_letters", "export_jobs")
    for name in ("queued_is_due", "queued_can_run"):
        op.drop_constraint(op.f(f"ck_export_jobs_{name}"), "export_jobs")
    op.drop_column("export_jobs", "error_cause")
