"""A job remembers the trace of its request. Unused unless tracing is on; the version before neither
reads nor writes it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("export_jobs", sa.Column("traceparent", sa.Text))


def downgrade() -> None:
    op.drop_column("export_jobs", "traceparent")
