"""Alembic's entry point; ``waybill.migrations.run`` passes the connection in, and what is to be
done in the same transactions. Alembic begins and ends those: an index may be built between two of
them (``waybill.migrations.indexes``)."""

from __future__ import annotations

from alembic import context

from waybill.metadata import metadata
from waybill.own_database import VERSION_TABLE

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    version_table_schema=context.config.attributes["schema"],
)
with context.begin_transaction():
    context.config.attributes["prepare"]()
    context.run_migrations()
    context.config.attributes["finish"]()
