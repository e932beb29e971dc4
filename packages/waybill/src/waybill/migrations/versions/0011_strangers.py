"""Refusals of strangers are summed up, and the trail forgets what is past its time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from waybill.migrations.indexes import build_index

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# 30 days at the least, whatever the settings and whoever asks: an attacker with the service's own
# rights on the table cannot wipe out what they have just done.
_FORGET = """
CREATE OR REPLACE FUNCTION audit_events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('waybill.forgets_audit_events', true) = 'on' THEN
        IF OLD.at < now() - interval '30 days' THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'audit_events is append-only: % is not allowed', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$$
"""
_KEEP = """
CREATE OR REPLACE FUNCTION audit_events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_events is append-only: % is not allowed', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$$
"""


def upgrade() -> None:
    # A person's keys are counted with each new one.
    build_index(
        "ix_idempotency_keys_person", "idempotency_keys", ["tenant", "requested_by", "created_at"]
    )
    op.add_column(
        "audit_events", sa.Column("count", sa.Integer, nullable=False, server_default="1")
    )
    op.execute(_FORGET)


def downgrade() -> None:
    op.drop_index("ix_idempotency_keys_person", "idempotency_keys")
    op.execute(_KEEP)
    op.drop_column("audit_events", "count")
