"""How a week went is read from one index of what was delivered and one of what failed: half of the
work that one index of all that ended was, and as many entries to write."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from waybill.migrations.indexes import build_index

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_FAILED = sa.text("status = 'failed'")
_UNFINISHED = sa.text("status IN ('queued', 'running')")


def upgrade() -> None:
    build_index(
        "ix_export_jobs_delivered",
        "export_jobs",
        ["finished_at"],
        postgresql_include=["tenant", "started_at", "rows_done"],
        postgresql_where=sa.text("status IN ('completed', 'expired', 'deleted')"),
    )
    # Workers were found by what ended lately, of which there is no index any more.
    build_index("ix_export_attempts_ended", "export_attempts", ["ended_at"])
    build_index(
        "ix_export_jobs_dead_letters",
        "export_jobs",
        ["finished_at"],
        replaces=True,
        postgresql_include=["tenant", "started_at", "error_code"],
        postgresql_where=_FAILED,
    )
    build_index(
        "ix_export_jobs_unfinished",
        "export_jobs",
        ["requested_by", "fingerprint"],
        replaces=True,
        postgresql_include=["tenant", "status"],
        postgresql_where=_UNFINISHED,
    )
    op.drop_index("ix_export_jobs_ended", "export_jobs")


def downgrade() -> None:
    op.drop_index("ix_export_attempts_ended", "export_attempts")
    op.drop_index("ix_export_jobs_unfinished", "export_jobs")
    op.create_index(
        "ix_export_jobs_unfinished",
        "export_jobs",
        ["requested_by", "fingerprint"],
        postgresql_where=_UNFINISHED,
    )
    op.drop_index("ix_export_jobs_dead_letters", "export_jobs")
    op.create_index(
        "ix_export_jobs_dead_letters",
        "export_jobs",
        ["finished_at"],
        postgresql_where=_FAILED,
    )
    op.drop_index("ix_export_jobs_delivered", "export_jobs")
    op.create_index(
        "ix_export_jobs_ended",
        "export_jobs",
        ["finished_at"],
        postgresql_include=["status", "tenant", "started_at", "rows_done", "error_code"],
        postgresql_where=sa.text("finished_at IS NOT NULL"),
    )
