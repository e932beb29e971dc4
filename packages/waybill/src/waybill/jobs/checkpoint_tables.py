"""The checkpoints of resumable exports: an upload under way, and its parts that storage holds."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Integer,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from waybill.jobs.tables import export_jobs
from waybill.metadata import metadata

# One per job at most. It is gone when the job is over, however it ended.
export_checkpoints = Table(
    "export_checkpoints",
    metadata,
    Column(
        "export_id",
        UUID(as_uuid=True),
        ForeignKey(export_jobs.c.id, ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("object_key", Text, nullable=False),
    Column("upload_id", Text, nullable=False),
    # Equal as long as everything is that decides the file's bytes, but for the data.
    Column("fingerprint", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

export_checkpoint_parts = Table(
    "export_checkpoint_parts",
    metadata,
    Column(
        "export_id",
        UUID(as_uuid=True),
        ForeignKey(export_checkpoints.c.export_id, ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("number", Integer, primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("etag", Text, nullable=False),
    Column("snapshot", JSONB, nullable=False),
    # Of the file up to the end of this part. NULL where it is no resume point: it ends
    # inside of a row, or the next checkpoint was near.
    Column("rows", BigInteger),
    Column("last_key", JSONB),
    CheckConstraint("number >= 1 AND bytes > 0", name="part"),
    CheckConstraint("(rows IS NULL) = (last_key IS NULL)", name="place_is_whole"),
)
