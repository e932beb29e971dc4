"""The schema that is ours: made, or filled with what an earlier version made elsewhere.

Up to revision 0015 waybill's tables lay wherever the connection's search path began, mostly in
``public``. From 0016 on they lie in ``WAYBILL_DATABASE_SCHEMA``. What is found at an earlier
revision on the search path is ours to move; what is at a later one was put where it is on purpose.
"""

from __future__ import annotations

from typing import Final

from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from waybill.log import get_logger
from waybill.own_database import VERSION_TABLE

log = get_logger(__name__)

FUNCTIONS: Final = frozenset(
    {
        "audit_events_are_append_only",
        "claim_fairest_export",
        "export_jobs_keep_turns",
        "export_jobs_ring",
        "export_turns_list",
        "export_turns_unlist",
        "export_types_of_full_sources",
        "fairest_export",
        "fairest_export_of",
        "oldest_export_of",
        "tidy_export_turns",
    }
)
"""All functions of ours. A test holds them equal to what the migrations make."""

# A table of such a name that our revision had not made yet is somebody else's.
_MADE_BY: Final = {
    VERSION_TABLE: "0001",
    "export_jobs": "0001",
    "notifications": "0002",
    "notification_contacts": "0002",
    "disabled_webhooks": "0002",
    "export_attempts": "0003",
    "stored_objects": "0004",
    "stored_chunks": "0004",
    "idempotency_keys": "0005",
    "audit_events": "0006",
    "export_downloads": "0006",
    "export_checkpoints": "0007",
    "export_checkpoint_parts": "0007",
    "service_identity": "0008",
    "tenant_turns": "0012",
    "person_turns": "0012",
    "dry_runs": "0013",
}
_LAST_WITHOUT_SCHEMA: Final = "0015"


def prepare_schema(connection: Connection, schema: str) -> None:
    """See to it that ``schema`` is there, with what an earlier version made in it; and that names
    are found there for the rest of the transaction.

    Args:
        connection: in a transaction, with the search path of its role.
        schema: a checked name (``own_database.check_schema``).
    """
    is_there = connection.scalar(
        text("SELECT true FROM pg_catalog.pg_namespace WHERE nspname = :schema"),
        {"schema": schema},
    )
    # Asking for the right to make schemas only where one is to be made.
    if not is_there:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    if not _holds(connection, schema, VERSION_TABLE):
        _adopt(connection, schema)
    connection.exec_driver_sql(f"SET LOCAL search_path = {schema}, pg_temp")


def pin_functions(connection: Connection, schema: str) -> None:
    """Have our functions find their tables whoever calls them: a trigger runs with the search path
    of whoever changes a row."""
    path = f"{schema}, pg_temp"
    found = connection.execute(
        text(
            "SELECT format('%I(%s)', proname, pg_get_function_identity_arguments(oid))"
            " FROM pg_catalog.pg_proc WHERE pronamespace = CAST(:schema AS regnamespace)"
            " AND proname = ANY(:names)"
            " AND NOT coalesce(proconfig, '{}') @> ARRAY['search_path=' || :path]"
        ),
        {"schema": schema, "names": sorted(FUNCTIONS), "path": path},
    )
    for signature in found.scalars().all():
        connection.exec_driver_sql(f"ALTER FUNCTION {schema}.{signature} SET search_path = {path}")


def _holds(connection: Connection, schema: str, table: str) -> bool:
    found = connection.scalar(
        text("SELECT to_regclass(format('%I.%I', CAST(:schema AS text), CAST(:table AS text)))"),
        {"schema": schema, "table": table},
    )
    return found is not None


def _adopt(connection: Connection, schema: str) -> None:
    """Move what an earlier version made on the search path, if it did. Metadata alone changes:
    no row is touched, and what holds rights on a table keeps them."""
    former = connection.scalar(
        text(
            "SELECT relnamespace::regnamespace::text FROM pg_catalog.pg_class"
            " WHERE oid = to_regclass(:table)"
        ),
        {"table": VERSION_TABLE},
    )
    if former is None:
        return
    options = {"version_table": VERSION_TABLE, "version_table_schema": former}
    revision = MigrationContext.configure(connection, opts=options).get_current_revision()
    if revision is None or revision > _LAST_WITHOUT_SCHEMA:
        return
    readers = connection.execute(
        text(
            "SELECT DISTINCT quote_ident(rolname) FROM pg_catalog.pg_class"
            " CROSS JOIN LATERAL aclexplode(relacl) AS granted"
            " JOIN pg_catalog.pg_roles ON pg_roles.oid = granted.grantee"
            " WHERE pg_class.oid = to_regclass(:table) AND granted.grantee <> relowner"
        ),
        {"table": f"{former}.export_jobs"},
    )
    for role in readers.scalars().all():
        connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
    for table, made_by in _MADE_BY.items():
        if made_by <= revision:
            connection.exec_driver_sql(f"ALTER TABLE {former}.{table} SET SCHEMA {schema}")
    functions = connection.execute(
        text(
            "SELECT format('%s.%I(%s)', CAST(:former AS text), proname,"
            " pg_get_function_identity_arguments(oid))"
            " FROM pg_catalog.pg_proc"
            " WHERE pronamespace = CAST(:former AS regnamespace) AND proname = ANY(:names)"
        ),
        {"former": former, "names": sorted(FUNCTIONS)},
    )
    for signature in functions.scalars().all():
        connection.exec_driver_sql(f"ALTER FUNCTION {signature} SET SCHEMA {schema}")
    log.warning("migrate.tables_moved", former=former, schema=schema)
