"""What the migrations made, where they were all applied: is it still there, and does it do what it
was made for?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import psycopg

from waybill.audit import audit_tables
from waybill.doctor.connections import Connection, ask
from waybill.doctor.findings import Finding, Report
from waybill.jobs import checkpoint_tables, service_tables, tables, turn_tables
from waybill.metadata import metadata
from waybill.migrations.run import known_revisions
from waybill.notify import tables as notify_tables
from waybill.own_database import VERSION_TABLE
from waybill.requests import admission_tables, dry_run_tables
from waybill.results import stored_tables
from waybill.sessions import tables as sessions_tables

# Whose import tells ``metadata`` of them.
_DECLARED = (
    admission_tables,
    audit_tables,
    checkpoint_tables,
    dry_run_tables,
    notify_tables,
    service_tables,
    sessions_tables,
    stored_tables,
    tables,
    turn_tables,
)


def examine(
    report: Report, connection: Connection, own: str, names: Sequence[str]
) -> Iterator[Finding]:
    """Look at the tables in the schema ``own``."""
    known = known_revisions()
    try:
        at = ask(connection, f"SELECT version_num FROM {own}.{VERSION_TABLE}")  # noqa: S608
    except psycopg.Error:
        return  # said already
    if at and at[0] == known[-1]:
        yield from _made(report, connection, own, names)
    yield from _hidden(report, connection, own, names)
    yield from _triggers(report, connection, own)
    yield from _indexes(report, connection, own)


def _made(
    report: Report, connection: Connection, own: str, names: Sequence[str]
) -> Iterator[Finding]:
    missing = ask(
        connection,
        "SELECT string_agg(name, ', ' ORDER BY name) FROM unnest(%s::text[]) AS w (name)"
        " WHERE NOT EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n"
        " ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = w.name)",
        list(names),
        own,
    )[0]
    if missing:
        yield report.error(
            "tables", f"Tables that its migrations made are gone: {missing}.",
            "Restore them from a backup: `waybill migrate` takes them for made.",
        )  # fmt: skip
    columns = [(each.name, column.name) for each in metadata.sorted_tables for column in each.c]
    missing = ask(
        connection,
        """
        SELECT string_agg(w.name || '.' || w.of, ', ' ORDER BY w.name, w.of)
        FROM unnest(%s::text[], %s::text[]) AS w (name, of)
        JOIN pg_class AS c ON c.relname = w.name
        JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = %s
        WHERE NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid
                          AND a.attname = w.of AND NOT a.attisdropped)
        """,
        [name for name, _ in columns],
        [of for _, of in columns],
        own,
    )[0]
    if missing:
        yield report.error(
            "columns", f"Columns that its migrations made are gone: {missing}.",
            "Restore the tables from a backup: `waybill migrate` takes them for made.",
        )  # fmt: skip


def _hidden(
    report: Report, connection: Connection, own: str, names: Sequence[str]
) -> Iterator[Finding]:
    hidden = ask(
        connection,
        "SELECT string_agg(c.relname, ', ' ORDER BY c.relname) FROM pg_class AS c"
        " JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = ANY (%s) AND row_security_active(c.oid)",
        own,
        list(names),
    )[0]
    if hidden:
        yield report.error(
            "row_security",
            f"Row level security is active on {hidden}: jobs are hidden from the service, or "
            "refused.",
            "ALTER TABLE … DISABLE ROW LEVEL SECURITY, or give the role BYPASSRLS.",
        )  # fmt: skip


def _triggers(report: Report, connection: Connection, own: str) -> Iterator[Finding]:
    is_replica, off = ask(
        connection,
        "SELECT current_setting('session_replication_role') = 'replica',"
        " (SELECT string_agg(DISTINCT c.relname, ', ') FROM pg_trigger AS t"
        " JOIN pg_class AS c ON c.oid = t.tgrelid"
        " JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND t.tgenabled IN ('D', 'R'))",
        own,
    )
    if is_replica or off:
        what = "for this role (session_replication_role)" if is_replica else f"on {off}"
        yield report.error(
            "triggers",
            f"Triggers are off {what}: nobody is told of changes, turns are not counted, and the "
            "audit trail can be altered.",
            "ALTER TABLE … ENABLE TRIGGER ALL, or ALTER ROLE … RESET session_replication_role.",
        )  # fmt: skip


def _indexes(report: Report, connection: Connection, own: str) -> Iterator[Finding]:
    broken = ask(
        connection,
        "SELECT string_agg(i.indexrelid::regclass::text, ', ') FROM pg_index AS i"
        " JOIN pg_class AS c ON c.oid = i.indrelid"
        " JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND NOT (i.indisvalid AND i.indisready)",
        own,
    )[0]
    if broken:
        yield report.warning(
            "indexes", f"An index is not valid, so that nothing is found by it: {broken}.",
            "REINDEX INDEX CONCURRENTLY …: its making was broken off.",
        )  # fmt: skip
