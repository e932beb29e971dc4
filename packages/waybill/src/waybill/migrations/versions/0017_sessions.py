"""Signing in to the pages: portal links and sessions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, UUID

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_TIMESTAMP = sa.DateTime(timezone=True)
_NOW = sa.text("now()")


def upgrade() -> None:
    op.create_table(
        "portal_links",
        sa.Column("token_hash", sa.Text, primary_key=True),
        sa.Column("person", JSONB, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("created_at", _TIMESTAMP, nullable=False, server_default=_NOW),
        sa.Column("expires_at", _TIMESTAMP, nullable=False),
    )
    op.create_index("ix_portal_links_expires_at", "portal_links", ["expires_at"])
    op.create_table(
        "page_sessions",
        sa.Column("id", UUID(as_uuid=True), primary_key=True),
        sa.Column("token_hash", sa.Text, nullable=False, unique=True),
        sa.Column("previous_hash", sa.Text, unique=True),
        sa.Column("person", JSONB, nullable=False),
        sa.Column("created_at", _TIMESTAMP, nullable=False, server_default=_NOW),
        sa.Column("rotated_at", _TIMESTAMP, nullable=False, server_default=_NOW),
        sa.Column("seen_at", _TIMESTAMP, nullable=False, server_default=_NOW),
        sa.Column("expires_at", _TIMESTAMP, nullable=False),
    )
    op.create_index("ix_page_sessions_expires_at", "page_sessions", ["expires_at"])


def downgrade() -> None:
    op.drop_table("page_sessions")
    op.drop_table("portal_links")
