"""The tables of ``DatabaseStorage``: objects, and their bytes in chunks."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
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
from sqlalchemy.dialects.postgresql import BYTEA, UUID

from waybill.metadata import metadata

_TIMESTAMP = DateTime(timezone=True)

# An upload under way is a row without completed_at; ``bytes`` grows with its parts.
stored_objects = Table(
    "stored_objects",
    metadata,
    Column("upload_id", UUID(as_uuid=True), primary_key=True),
    Column("key", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False, server_default="0"),
    Column("etag", Text),
    Column("created_at", _TIMESTAMP, nullable=False, server_default=func.now()),
    Column("completed_at", _TIMESTAMP),
    # Set in the transaction in which the job begins to refer to the copy in object storage; the
    # bytes stay a while for downloads under way.
    Column("moved_at", _TIMESTAMP),
    CheckConstraint("completed_at IS NULL OR etag IS NOT NULL", name="etag_when_completed"),
    CheckConstraint("moved_at IS NULL OR completed_at IS NOT NULL", name="moved_when_completed"),
)

# A key is committed once, whoever is faster.
Index(
    "uq_stored_objects_key",
    stored_objects.c.key,
    unique=True,
    postgresql_where=text("completed_at IS NOT NULL"),
)

stored_chunks = Table(
    "stored_chunks",
    metadata,
    Column(
        "upload_id",
        UUID(as_uuid=True),
        ForeignKey("stored_objects.upload_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("part", Integer, primary_key=True),
    Column("part_offset", BigInteger, primary_key=True),
    Column("data", BYTEA, nullable=False),
)
