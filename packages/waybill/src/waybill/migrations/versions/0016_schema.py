"""Changes of jobs are notified on a channel of the schema's own: services can share a database."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_RING = """
CREATE OR REPLACE FUNCTION export_jobs_ring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify({channel}, NEW.id::text);
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    # In the schema ``waybill`` the channel is called as it was before.
    op.execute(_RING.format(channel="TG_TABLE_SCHEMA || '_export_jobs'"))


def downgrade() -> None:
    op.execute(_RING.format(channel="'waybill_export_jobs'"))
