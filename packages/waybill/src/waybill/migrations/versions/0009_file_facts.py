"""What lists and downloads need of a manifest stands beside it: it can be a megabyte."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("export_jobs", sa.Column("file_name", sa.Text))
    op.add_column("export_jobs", sa.Column("media_type", sa.Text))
    op.execute(
        "UPDATE export_jobs SET file_name = manifest ->> 'file_name',"
        " media_type = manifest ->> 'media_type' WHERE manifest IS NOT NULL"
    )


def downgrade() -> None:
    op.drop_column("export_jobs", "media_type")
    op.drop_column("export_jobs", "file_name")
