"""Results that are kept in the database while object storage is away."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from waybill.migrations.indexes import build_index

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TIMESTAMP = sa.DateTime(timezone=True)


def upgrade() -> None:
    build_index(
        "ix_export_jobs_fallback",
        "export_jobs",
        ["finished_at"],
        postgresql_where=sa.text("status = 'completed' AND storage = 'database'"),
    )
    op.create_table(
        "stored_objects",
        sa.Column("upload_id", postgresql.UUID(as_uuid=True), primary_key=True),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("content_type", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("etag", sa.Text),
        sa.Column("created_at", _TIMESTAMP, nullable=False, server_default=sa.text("now()")),
        sa.Column("completed_at", _TIMESTAMP),
        sa.Column("moved_at", _TIMESTAMP),
        sa.CheckConstraint("completed_at IS NULL OR etag IS NOT NULL", name="etag_when_completed"),
        sa.CheckConstraint(
            "moved_at IS NULL OR completed_at IS NOT NULL", name="moved_when_completed"
        ),
    )
    op.create_index(
        "uq_stored_objects_key",
        "stored_objects",
        ["key"],
        unique=True,
        postgresql_where=sa.text("completed_at IS NOT NULL"),
    )
    op.create_table(
        "stored_chunks",
        sa.Column(
            "upload_id",
            postgresql.UUID(as_uuid=True),
            sa.ForeignKey("stored_objects.upload_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("part", sa.Integer, primary_key=True),
        sa.Column("part_offset", sa.BigInteger, primary_key=True),
        sa.Column("data", postgresql.BYTEA, nullable=False),
    )
    # Not compressed on the way in: a piece of a value is then read without the rest of it.
    op.execute("ALTER TABLE stored_chunks ALTER COLUMN data SET STORAGE EXTERNAL")


def downgrade() -> None:
    op.drop_index("ix_export_jobs_fallback", "export_jobs")
    op.drop_table("stored_chunks")
    op.drop_table("stored_objects")
