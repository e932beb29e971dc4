"""Notification channels are those of the registry and of an application: no list of them in the
database. The version before knows its two and no others, so switch another on once no process runs
that is older."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_constraint(op.f("ck_notifications_channel"), "notifications", type_="check")


def downgrade() -> None:
    # Not of the rows there are: what another channel told stays to be read.
    op.create_check_constraint(
        op.f("ck_notifications_channel"),
        "notifications",
        "channel IN ('email', 'webhook')",
        postgresql_not_valid=True,
    )
