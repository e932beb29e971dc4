"""Indexes on tables that are in use, for migrations.

A plain ``CREATE INDEX`` holds up whoever writes to the table for as long as it takes, which on a
large one is minutes. ``CONCURRENTLY`` holds up nobody, and cannot be part of a transaction: what
was done before it is committed, and what a cut leaves is an index that PostgreSQL keeps up and
never uses.

So a migration that builds an index does that first, or repeats what comes before it without harm:
one that is cut begins anew, and finds what it had built.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from alembic import context, op
from sqlalchemy import Connection, TextClause, text

from waybill.log import get_logger
from waybill.migrations.schema import pin_functions
from waybill.migrations.turn import Turn

log = get_logger(__name__)

LOCK_SECONDS = 5.0
"""How long a migration waits for a table that is in use: so long, and no longer, it may hold up who
uses it."""
SMALL_BYTES = 8 * 1024 * 1024
"""Up to here a table's index is built in a moment, in the transaction."""

_STATE: Final = text(
    "SELECT indisvalid FROM pg_catalog.pg_index"
    " WHERE indexrelid = to_regclass(format('%I.%I', CAST(:schema AS text), CAST(:name AS text)))"
    " AND indrelid = to_regclass(format('%I.%I', CAST(:schema AS text), CAST(:table AS text)))"
)
_BYTES: Final = text(
    "SELECT pg_catalog.pg_relation_size(CAST(format('%I.%I', CAST(:schema AS text),"
    " CAST(:table AS text)) AS regclass))"
)


def begin(connection: Connection, turn: Turn) -> None:
    """Begin a transaction of a migration: nobody else's is under way, and it waits for a table no
    longer than it may."""
    turn.wait(connection)
    # Whoever waits for a table keeps everybody waiting who comes after, readers included.
    connection.execute(text(f"SET LOCAL lock_timeout = {round(LOCK_SECONDS * 1000)}"))


def build_index(
    name: str,
    table: str,
    columns: Sequence[str | TextClause],
    *,
    replaces: bool = False,
    **options: Any,
) -> None:
    """Build an index on a table that may be large and in use, unless it is there.

    Args:
        name: the index's.
        table: the one it is of.
        columns: as of ``op.create_index``, and ``options`` too. Names are looked up in the role's
            own search path: write literals with their types.
        replaces: an index of this name is there, and is otherwise; it serves until this one does.
    """
    connection, schema = op.get_bind(), context.config.attributes["schema"]
    building = f"{name}_new" if replaces else name
    place = {"schema": schema, "table": table}
    is_valid = connection.scalar(_STATE, {**place, "name": building})
    if not is_valid and connection.scalar(_BYTES, place) <= SMALL_BYTES:
        if is_valid is not None:
            op.drop_index(building, table)
        op.create_index(building, table, columns, **options)
    elif not is_valid:
        log.info("migrate.index_building", index=name, table=table)
        with _outside_of_transactions(name):
            if is_valid is not None:
                op.execute(f"DROP INDEX CONCURRENTLY {schema}.{building}")
            op.create_index(
                building, table, columns, schema=schema, postgresql_concurrently=True, **options
            )
    if replaces:
        op.drop_index(name, table, if_exists=True)
        op.execute(f"ALTER INDEX {building} RENAME TO {name}")


@contextmanager
def _outside_of_transactions(index: str) -> Iterator[None]:
    """Commit what was done, and begin anew behind the block."""
    attributes = context.config.attributes
    connection, schema = op.get_bind(), attributes["schema"]
    attributes["turn"].keep()
    pin_functions(connection, schema)
    attributes["kept"] = op.get_context().get_current_revision()
    attributes["building"] = index
    with op.get_context().autocommit_block():
        yield
    attributes["building"] = None
    begin(connection, attributes["turn"])
    connection.exec_driver_sql(f"SET LOCAL search_path = {schema}, pg_temp")
