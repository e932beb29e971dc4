"""A job remembers the folder that its file is to lie in. Unused unless an application names them;
the version before neither reads nor writes it, and stores files without one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("export_jobs", sa.Column("object_folder", sa.Text))


def downgrade() -> None:
    op.drop_column("export_jobs", "object_folder")
