"""What operators look at is read from indexes alone, and not from every job's row."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from waybill.migrations.indexes import build_index

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    build_index(
        "ix_export_jobs_files",
        "export_jobs",
        ["expires_at"],
        postgresql_include=["object_bytes", "tenant"],
        postgresql_where=sa.text("status = 'completed'"),
    )
    build_index(
        "ix_export_jobs_ended",
        "export_jobs",
        ["finished_at"],
        postgresql_include=["status", "tenant", "started_at", "rows_done", "error_code"],
        postgresql_where=sa.text("finished_at IS NOT NULL"),
    )
    # Replaced by one that holds sizes too.
    op.drop_index("ix_export_jobs_expiry", "export_jobs")


def downgrade() -> None:
    op.drop_index("ix_export_jobs_ended", "export_jobs")
    op.drop_index("ix_export_jobs_files", "export_jobs")
    op.create_index(
        "ix_export_jobs_expiry",
        "export_jobs",
        ["expires_at"],
        postgresql_where=sa.text("status = 'completed'"),
    )
