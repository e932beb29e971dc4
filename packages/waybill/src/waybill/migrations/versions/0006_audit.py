"""The audit trail, the count of downloads, and a notification of every visible change."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TIMESTAMP = sa.DateTime(timezone=True)

_FORBID = """
CREATE FUNCTION audit_events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_events is append-only: % is not allowed', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$$
"""
_FORBID_ROWS = """
CREATE TRIGGER audit_events_no_change BEFORE UPDATE OR DELETE ON audit_events
FOR EACH ROW EXECUTE FUNCTION audit_events_are_append_only()
"""
_FORBID_TRUNCATE = """
CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON audit_events
FOR EACH STATEMENT EXECUTE FUNCTION audit_events_are_append_only()
"""

# Every writer of export_jobs notifies, whoever it is, in the transaction of the change: a listener
# hears of it exactly when it can read it. The payload is the id alone; the row is the truth.
_RING = """
CREATE FUNCTION export_jobs_ring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('waybill_export_jobs', NEW.id::text);
    RETURN NULL;
END
$$
"""
# A renewed lease without progress changes nothing that a watcher sees.
_RING_ON_UPDATE = """
CREATE TRIGGER export_jobs_ring_on_update AFTER UPDATE ON export_jobs
FOR EACH ROW
WHEN (
    (OLD.status, OLD.attempt, OLD.max_attempts, OLD.next_attempt_at, OLD.rows_done, OLD.bytes_done,
     OLD.rows_expected, OLD.rows_expected_exact, OLD.expires_at, OLD.error_code)
    IS DISTINCT FROM
    (NEW.status, NEW.attempt, NEW.max_attempts, NEW.next_attempt_at, NEW.rows_done, NEW.bytes_done,
     NEW.rows_expected, NEW.rows_expected_exact, NEW.expires_at, NEW.error_code)
)
EXECUTE FUNCTION export_jobs_ring()
"""


def upgrade() -> None:
    op.create_table(
        "audit_events",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("at", _TIMESTAMP, nullable=False, server_default=sa.text("clock_timestamp()")),
        sa.Column("actor", sa.Text),
        sa.Column("tenant", sa.Text),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("code", sa.Text),
        sa.Column("export_id", postgresql.UUID(as_uuid=True)),
        sa.Column("export_type", sa.Text),
        sa.Column("client", sa.Text),
        sa.CheckConstraint("outcome IN ('allowed', 'refused')", name="outcome"),
    )
    op.create_index("ix_audit_events_at", "audit_events", ["at"])
    op.create_index("ix_audit_events_actor", "audit_events", ["actor", "id"])
    op.create_index(
        "ix_audit_events_export_id",
        "audit_events",
        ["export_id", "id"],
        postgresql_where=sa.text("export_id IS NOT NULL"),
    )
    for statement in (_FORBID, _FORBID_ROWS, _FORBID_TRUNCATE):
        op.execute(statement)
    op.create_table(
        "export_downloads",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column(
            "export_id",
            postgresql.UUID(as_uuid=True),
            sa.ForeignKey("export_jobs.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("opened_at", _TIMESTAMP, nullable=False, server_default=sa.text("now()")),
        sa.Column("requests", sa.Integer, nullable=False, server_default="1"),
    )
    op.create_index("ix_export_downloads_export_id", "export_downloads", ["export_id", "subject"])
    for statement in (_RING, _RING_ON_UPDATE):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER export_jobs_ring_on_update ON export_jobs")
    op.execute("DROP FUNCTION export_jobs_ring")
    op.drop_table("export_downloads")
    op.drop_table("audit_events")
    op.execute("DROP FUNCTION audit_events_are_append_only")
