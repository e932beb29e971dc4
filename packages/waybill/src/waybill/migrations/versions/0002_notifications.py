"""The outbox of notifications."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TIMESTAMP = sa.DateTime(timezone=True)
_NOW = sa.text("now()")


def upgrade() -> None:
    op.create_table(
        "notifications",
        sa.Column("id", postgresql.UUID(as_uuid=True), primary_key=True),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column(
            "export_id",
            postgresql.UUID(as_uuid=True),
            sa.ForeignKey("export_jobs.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("payload", postgresql.JSONB, nullable=False),
        sa.Column("status", sa.Text, nullable=False, server_default="pending"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("next_attempt_at", _TIMESTAMP),
        sa.Column("lease_token", postgresql.UUID(as_uuid=True)),
        sa.Column("lease_expires_at", _TIMESTAMP),
        sa.Column("last_error_code", sa.Text),
        sa.Column("created_at", _TIMESTAMP, nullable=False, server_default=_NOW),
        sa.Column("settled_at", _TIMESTAMP),
        sa.UniqueConstraint("event_id", "channel", "target", name="uq_notifications_event_id"),
        sa.CheckConstraint(
            "event IN ('export.completed', 'export.failed', 'export.expiring', 'export.cancelled')",
            name="event",
        ),
        sa.CheckConstraint("channel IN ('email', 'webhook')", name="channel"),
        sa.CheckConstraint("status IN ('pending', 'delivered', 'dead')", name="status"),
        sa.CheckConstraint(
            "(status = 'pending') = (next_attempt_at IS NOT NULL)"
            " AND (status = 'pending') = (settled_at IS NULL)",
            name="due_while_pending",
        ),
    )
    op.create_index(
        "ix_notifications_due",
        "notifications",
        ["next_attempt_at"],
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "ix_notifications_settled",
        "notifications",
        ["settled_at"],
        postgresql_where=sa.text("status <> 'pending'"),
    )
    op.create_index("ix_notifications_export_id", "notifications", ["export_id", "event"])
    op.create_table(
        "notification_contacts",
        sa.Column(
            "export_id",
            postgresql.UUID(as_uuid=True),
            sa.ForeignKey("export_jobs.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("email", sa.Text, nullable=False),
    )
    op.create_table(
        "disabled_webhooks",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("disabled_at", _TIMESTAMP, nullable=False, server_default=_NOW),
    )


def downgrade() -> None:
    op.drop_table("disabled_webhooks")
    op.drop_table("notification_contacts")
    op.drop_table("notifications")
