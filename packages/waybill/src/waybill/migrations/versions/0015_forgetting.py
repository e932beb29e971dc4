"""Forgetting: an index of what is left to forget, and idempotency keys that tell nothing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from waybill.migrations.indexes import build_index

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    build_index(
        "ix_export_jobs_values",
        "export_jobs",
        ["finished_at"],
        postgresql_where=sa.text(
            "status IN ('failed', 'cancelled', 'expired', 'deleted') AND object_key IS NULL"
            " AND NOT options ? 'forgotten'::text"
            " AND (coalesce(options -> 'filters'::text, '{}'::jsonb) <> '{}'::jsonb"
            " OR options ->> 'since'::text IS NOT NULL)"
        ),
    )
    # What they are answered with stays until they are a day old; their fingerprints too, which are
    # told from new ones.
    op.execute("UPDATE idempotency_keys SET key = encode(sha256(convert_to(key, 'UTF8')), 'hex')")


def downgrade() -> None:
    # A digest cannot be turned back into its key.
    op.execute("DELETE FROM idempotency_keys")
    op.drop_index("ix_export_jobs_values", "export_jobs")
