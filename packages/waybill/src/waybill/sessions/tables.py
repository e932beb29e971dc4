"""The tables of signing in. Of a secret only its SHA-256 is kept: who reads the database opens
nothing with it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, DateTime, Index, Table, Text, func
from sqlalchemy.dialects.postgresql import JSONB, UUID

from waybill.metadata import metadata

_TIMESTAMP: Final = DateTime(timezone=True)

portal_links = Table(
    "portal_links",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("person", JSONB, nullable=False),
    # Where the person goes first: a path of our own.
    Column("target", Text, nullable=False),
    Column("created_at", _TIMESTAMP, nullable=False, server_default=func.now()),
    Column("expires_at", _TIMESTAMP, nullable=False),
)

Index("ix_portal_links_expires_at", portal_links.c.expires_at)

page_sessions = Table(
    "page_sessions",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("token_hash", Text, nullable=False, unique=True),
    # The secret before the last change of it, for requests that were under way.
    Column("previous_hash", Text, unique=True),
    Column("person", JSONB, nullable=False),
    Column("created_at", _TIMESTAMP, nullable=False, server_default=func.now()),
    Column("rotated_at", _TIMESTAMP, nullable=False, server_default=func.now()),
    Column("seen_at", _TIMESTAMP, nullable=False, server_default=func.now()),
    Column("expires_at", _TIMESTAMP, nullable=False),
)

Index("ix_page_sessions_expires_at", page_sessions.c.expires_at)
