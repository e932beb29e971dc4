"""Dry runs have a budget of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dry_runs",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("now()"),
        ),
        sa.Column("rows", sa.Integer, nullable=False),
    )
    op.create_index("ix_dry_runs_person", "dry_runs", ["tenant", "requested_by", "started_at"])
    op.create_index("ix_dry_runs_started_at", "dry_runs", ["started_at"])


def downgrade() -> None:
    op.drop_table("dry_runs")
