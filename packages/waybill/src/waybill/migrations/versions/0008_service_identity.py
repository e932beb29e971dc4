"""The id of the service that this database is of: storage that is shared by nobody is marked with
it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "service_identity",
        sa.Column("is_single", sa.Boolean, primary_key=True, server_default=sa.true()),
        sa.Column(
            "id",
            postgresql.UUID(as_uuid=True),
            nullable=False,
            server_default=sa.text("gen_random_uuid()"),
        ),
        sa.CheckConstraint("is_single", name="single"),
    )
    op.execute("INSERT INTO service_identity DEFAULT VALUES")


def downgrade() -> None:
    op.drop_table("service_identity")
