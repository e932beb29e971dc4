"""Whether a key's order can be relied on, as far as recorded versions tell."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from waybill.catalog.findings import Finding
from waybill.catalog.key_order import (
    FIRST_WITH_DATABASE_VERSIONS,
    Collation,
    OrderTrust,
    key_order_query,
    read_key_order,
)
from waybill.catalog.model import ExportType, TableSource
from waybill.catalog.names import quote_identifier
from waybill.catalog.relations import Connection


def check_order(connection: Connection, export_type: ExportType) -> Iterator[Finding]:
    """Yield what keeps a table's key from being read in ranges, and resumed behind."""
    source = export_type.source
    if not isinstance(source, TableSource) or not export_type.key:
        return
    version = connection.info.server_version
    question = key_order_query(source, export_type.key, version)
    row = connection.execute(question).fetchone()
    order = read_key_order(row[0] if row else None)
    ((database,),) = connection.execute(sql.SQL("SELECT pg_catalog.current_database()"))
    shown = f"({', '.join(export_type.key)})"
    so = "It is read by one connection, and begun anew instead of resumed."
    for cast in order.casts:
        yield Finding(
            "warning", export_type.name, "cast_compares",
            f"Key {shown} would not be compared as it is sorted, but by the implicit cast {cast} "
            f"that somebody made. {so}",
            "DROP CAST, then CREATE CAST … AS ASSIGNMENT.",
        )  # fmt: skip
    for each in order.collations:
        if each.trust is OrderTrust.CHANGED:
            yield Finding(
                "warning", export_type.name, "collation_changed",
                f"Key {shown} is sorted by collation {each.name} in version {each.actual}, while "
                f"its indexes were made in version {each.recorded}. {so}",
                _remedy(each, database, version),
            )  # fmt: skip
        elif each.trust is OrderTrust.UNKNOWN:
            yield Finding(
                "warning" if export_type.consistency == "resumable" else "note",
                export_type.name, "collation_unknown",
                f"Key {shown} is sorted by collation {each.name}, of which no version is "
                f"recorded. {so}",
                _remedy(each, database, version),
            )  # fmt: skip


def _remedy(collation: Collation, database: str, version: int) -> str:
    name = quote_identifier(database)
    if not collation.is_database:
        return f"REINDEX DATABASE {name}; ALTER COLLATION {collation.name} REFRESH VERSION;"
    if version < FIRST_WITH_DATABASE_VERSIONS:
        return (
            f"After an upgrade of the system: REINDEX DATABASE {name}; to have it in ranges, give "
            'the key columns COLLATE "C", or use PostgreSQL 15 or later.'
        )
    return f"REINDEX DATABASE {name}; ALTER DATABASE {name} REFRESH COLLATION VERSION;"
