"""Checkpoints of resumable exports."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "export_checkpoints",
        sa.Column(
            "export_id",
            postgresql.UUID(as_uuid=True),
            sa.ForeignKey("export_jobs.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("object_key", sa.Text, nullable=False),
        sa.Column("upload_id", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("now()"),
        ),
    )
    op.create_table(
        "export_checkpoint_parts",
        sa.Column(
            "export_id",
            postgresql.UUID(as_uuid=True),
            sa.ForeignKey("export_checkpoints.export_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("etag", sa.Text, nullable=False),
        sa.Column("snapshot", postgresql.JSONB, nullable=False),
        sa.Column("rows", sa.BigInteger),
        sa.Column("last_key", postgresql.JSONB),
        sa.CheckConstraint("number >= 1 AND bytes > 0", name="part"),
        sa.CheckConstraint("(rows IS NULL) = (last_key IS NULL)", name="place_is_whole"),
    )


def downgrade() -> None:
    op.drop_table("export_checkpoint_parts")
    op.drop_table("export_checkpoints")
