"""What lists and downloads need of a manifest stands beside it: it can be a megabyte."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("export_jobs", sa.Column("file_name", sa.Text))
    op.add_column("export_jobs", sa.Column("media_type", sa.Text))
    op.add_column("export_jobs", sa.Column("file_columns", postgresql.JSONB))
    op.execute(
        "UPDATE export_jobs SET file_name = manifest ->> 'file_name',"
        " media_type = manifest ->> 'media_type',"
        " file_columns = nullif(jsonb_path_query_array(manifest, '$.columns[*].name'), '[]')"
        " WHERE manifest IS NOT NULL"
    )


def downgrade() -> None:
    op.drop_column("export_jobs", "file_columns")
    op.drop_column("export_jobs", "media_type")
    op.drop_column("export_jobs", "file_name")
