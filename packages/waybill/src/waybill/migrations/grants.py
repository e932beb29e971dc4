"""The least rights that a role needs, as SQL: printed, never run by us."""

from __future__ import annotations

from typing import Final

from psycopg import sql

from waybill.catalog import Catalog
from waybill.catalog.model import TableSource
from waybill.own_database import TABLES, VERSION_TABLE

# Read, and changed by migrations alone.
_READ_ONLY: Final = frozenset({VERSION_TABLE, "service_identity"})
# The trail is never changed; what is past its time is deleted, which a trigger watches over.
_APPENDED: Final = frozenset({"audit_events"})


def own_grants(schema: str, role: str) -> list[str]:
    """Return what lets ``role`` run the service on the tables in ``schema``: no right to make,
    change or empty any of them."""
    grantee = sql.Identifier(role)
    statements = [
        sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA {} FROM {};").format(
            sql.Identifier(schema), grantee
        )
        if schema != "public"
        else None,
        sql.SQL("GRANT USAGE ON SCHEMA {} TO {};").format(sql.Identifier(schema), grantee),
        # Everybody's, unless somebody took that away.
        sql.SQL("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {} TO {};").format(
            sql.Identifier(schema), grantee
        ),
    ]
    for table in sorted(TABLES):
        rights = "SELECT, INSERT, UPDATE, DELETE"
        if table in _READ_ONLY:
            rights = "SELECT"
        elif table in _APPENDED:
            rights = "SELECT, INSERT, DELETE"
        statements.append(
            sql.SQL("GRANT {} ON {} TO {};").format(
                sql.SQL(rights), sql.Identifier(schema, table), grantee
            )
        )
    return [each.as_string() for each in statements if each is not None]


def source_grants(catalog: Catalog, role: str) -> list[str]:
    """Return what lets ``role`` read the tables of the catalog. What queries read is not known
    here: a comment names their types."""
    grantee = sql.Identifier(role)
    sources = {
        (each.source.schema, each.source.table)
        for each in catalog.values()
        if isinstance(each.source, TableSource)
    }
    statements = [
        sql.SQL("GRANT USAGE ON SCHEMA {} TO {};").format(sql.Identifier(schema), grantee)
        for schema in sorted({schema for schema, _ in sources})
    ]
    statements += [
        sql.SQL("GRANT SELECT ON {} TO {};").format(sql.Identifier(schema, table), grantee)
        for schema, table in sorted(sources)
    ]
    others = sorted(
        each.name for each in catalog.values() if not isinstance(each.source, TableSource)
    )
    printed = [each.as_string() for each in statements]
    return [*printed, *(f"-- {name}: grant SELECT on what its query reads." for name in others)]
