"""Events of the trail say whose the export is; downloads, of which tenant the downloader is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from waybill.migrations.indexes import build_index

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# The owners of what happened before can read it too. The trail stays append-only for everybody
# else: the trigger is off within this transaction, which holds the table.
_BACKFILL = (
    "ALTER TABLE audit_events DISABLE TRIGGER audit_events_no_change",
    "UPDATE audit_events SET export_tenant = job.tenant, export_owner = job.requested_by"
    " FROM export_jobs AS job WHERE job.id = audit_events.export_id",
    "ALTER TABLE audit_events ENABLE TRIGGER audit_events_no_change",
)


def upgrade() -> None:
    op.add_column("audit_events", sa.Column("export_tenant", sa.Text), if_not_exists=True)
    op.add_column("audit_events", sa.Column("export_owner", sa.Text), if_not_exists=True)
    for statement in _BACKFILL:
        op.execute(statement)
    build_index("ix_audit_events_tenant", "audit_events", ["tenant", "id"])
    build_index(
        "ix_audit_events_export_tenant",
        "audit_events",
        ["export_tenant", "id"],
        postgresql_where=sa.text("export_owner IS NOT NULL"),
    )
    op.add_column("export_downloads", sa.Column("tenant", sa.Text))


def downgrade() -> None:
    op.drop_column("export_downloads", "tenant")
    op.drop_index("ix_audit_events_export_tenant", "audit_events")
    op.drop_index("ix_audit_events_tenant", "audit_events")
    op.drop_column("audit_events", "export_owner")
    op.drop_column("audit_events", "export_tenant")
