"""Alembic's entry point; ``waybill.migrations.run`` passes the connection in."""

from __future__ import annotations

from alembic import context

from waybill.metadata import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table="waybill_migrations",
)
with context.begin_transaction():
    context.run_migrations()
