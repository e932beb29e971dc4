"""waybill's own database: reachable, writable, migrated, ours to use, and heard."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

import psycopg

from waybill.doctor import own_tables
from waybill.doctor.connections import (
    MOST_CONNECTIONS,
    Connection,
    ask,
    connected,
    not_reached,
    refused,
)
from waybill.doctor.findings import Finding, Patient, Report
from waybill.errors import ConfigurationError
from waybill.migrations.run import known_revisions
from waybill.own_database import VERSION_TABLE, sets

AREA: Final = "database"
_VARIABLE: Final = "WAYBILL_DATABASE_URL"
_SKEW_SECONDS: Final = 5.0
_OLDEST_VERSION: Final = 14
_SHORTEST_SECONDS: Final = 5.0
_FEWEST_CONNECTIONS: Final = 20
_SHORTEST_BOUNDS: Final = {"statement_timeout": 1_000, "lock_timeout": 500}
_ALL: Final = "SELECT INSERT UPDATE DELETE"
RIGHTS: Final = {
    "audit_events": "SELECT INSERT",
    "disabled_webhooks": _ALL,
    "dry_runs": _ALL,
    "export_attempts": _ALL,
    "export_checkpoint_parts": _ALL,
    "export_checkpoints": _ALL,
    "export_downloads": _ALL,
    "export_jobs": _ALL,
    "idempotency_keys": _ALL,
    "notification_contacts": _ALL,
    "notifications": _ALL,
    "page_sessions": _ALL,
    "person_turns": _ALL,
    "portal_links": _ALL,
    "service_identity": "SELECT",
    "stored_chunks": _ALL,
    "stored_objects": _ALL,
    "tenant_turns": _ALL,
}
"""What the service's role must be allowed, by table; a test holds the tables complete."""

_report = Report(AREA)


def examine(patient: Patient) -> Iterator[Finding]:
    """Look at waybill's own database."""
    try:
        dsn = patient.settings.database_dsn
    except ConfigurationError as exc:
        yield _report.error("address", str(exc), f"Correct {_VARIABLE}.")
        return
    try:
        with connected(dsn) as connection:
            yield _report.ok("reachable", "waybill's database answers.")
            yield from _server(connection)
            yield from _limits(connection, dsn, patient.settings.worker_concurrency)
            yield from schema(connection, patient.settings.own_schema)
            yield from own_tables.examine(
                _report, connection, patient.settings.own_schema, sorted(RIGHTS)
            )
            yield from _rights(connection, patient.settings.own_schema)
            yield from _pooler(patient, connection, dsn)
    except psycopg.OperationalError as exc:
        yield not_reached(_report, exc, dsn, _VARIABLE)
    except psycopg.Error as exc:
        yield refused(_report, exc)


def _server(connection: Connection) -> Iterator[Finding]:
    version, is_standby, is_read_only, seconds = ask(
        connection,
        "SELECT current_setting('server_version_num')::int / 10000, pg_is_in_recovery(),"
        " current_setting('default_transaction_read_only') = 'on',"
        # As a number: how a time is written is for role and database to say.
        " extract(epoch FROM clock_timestamp())::float8",
    )
    if version < _OLDEST_VERSION:
        yield _report.error(
            "version", f"It is PostgreSQL {version}; waybill keeps its jobs in 14 and later.",
            "Upgrade it, or give waybill another database.",
        )  # fmt: skip
    else:
        yield _report.ok("version", f"It is PostgreSQL {version}.")
    if is_standby or is_read_only:
        yield _report.error(
            "writable",
            f"It {'is a standby' if is_standby else 'begins transactions read-only'}: no job can "
            "be written down.",
            f"Point {_VARIABLE} at the primary (several hosts: ?target_session_attrs=read-write).",
        )  # fmt: skip
    else:
        yield _report.ok("writable", "It takes writes.")
    skew = abs(time.time() - seconds)
    if skew > _SKEW_SECONDS:
        yield _report.warning(
            "clock", f"Its clock and this machine's are {skew:.0f} s apart.",
            "Keep both by NTP: links and leases count seconds.",
        )  # fmt: skip
    else:
        yield _report.ok("clock", "Its clock and this machine's agree.")


def _limits(connection: Connection, dsn: str, places: int) -> Iterator[Finding]:
    """Look at what the server or the role sets and nothing of ours gets around."""
    (seconds,) = ask(
        connection,
        """
        SELECT (SELECT setting::numeric / 1000 FROM pg_settings
                WHERE name IN ('transaction_timeout', 'idle_in_transaction_session_timeout')
                  AND setting::numeric > 0 ORDER BY setting::numeric LIMIT 1)
        """,
    )
    if seconds is not None and seconds < _SHORTEST_SECONDS:
        yield _report.error(
            "time_limits",
            f"It ends transactions, or idle ones, after {float(seconds):g} s; ours may take "
            f"{_SHORTEST_SECONDS:g} s.",
            "ALTER ROLE … SET transaction_timeout = 0 and idle_in_transaction_session_timeout = 0 "
            "for the service's role.",
        )  # fmt: skip
    yield from _bounds(connection, dsn)
    (connections,) = ask(connection, MOST_CONNECTIONS)
    # One for each process, and one by which the API hears of changes.
    least = places + 3
    if connections < least:
        yield _report.error(
            "connections",
            f"Role, database or server takes {connections} connections at a time; API, scheduler "
            f"and a worker of {places} places keep {least} at least.",
            "ALTER ROLE … CONNECTION LIMIT, or put a pooler in front.",
        )  # fmt: skip
    elif connections < _FEWEST_CONNECTIONS:
        yield _report.warning(
            "connections",
            f"Role, database or server takes {connections} connections at a time; one API process "
            f"opens up to {_FEWEST_CONNECTIONS}.",
            "ALTER ROLE … CONNECTION LIMIT, or put a pooler in front.",
        )  # fmt: skip


def _bounds(connection: Connection, dsn: str) -> Iterator[Finding]:
    """Look at bounds in the address, which go before ours. Those of the role do not."""
    for name, shortest in _SHORTEST_BOUNDS.items():
        if sets(dsn, name):
            (milliseconds,) = ask(
                connection, "SELECT reset_val::int FROM pg_settings WHERE name = %s", name
            )
            if 0 < milliseconds < shortest:
                yield _report.error(
                    "bounds",
                    f"The options of {_VARIABLE} set {name} to {milliseconds} ms, within which few "
                    "statements end.",
                    f"Leave {name} out: waybill sets its own.",
                )  # fmt: skip


def schema(connection: Connection, own: str) -> Iterator[Finding]:
    """Look at the level of the migrations; cheap enough for ``/readyz``."""
    known = known_revisions()
    try:
        # Our own name of the table, quoted by nobody else.
        found = ask(connection, f"SELECT version_num FROM {own}.{VERSION_TABLE}")  # noqa: S608
    except psycopg.errors.UndefinedTable:
        found = ()
    except psycopg.errors.InsufficientPrivilege:
        yield _report.error(
            "migrations", "The role may not read which migrations were applied.",
            f"Run what `waybill grants` prints for it (GRANT SELECT ON {own}.{VERSION_TABLE} …).",
        )  # fmt: skip
        return
    if not found:
        yield _report.error("migrations", "It has no tables of waybill.", "Run `waybill migrate`.")
    elif found[0] not in known:
        yield _report.note(
            "migrations", f"It is at {found[0]}, which a later version made; that serves this one.",
        )  # fmt: skip
    elif found[0] != known[-1]:
        yield _report.error(
            "migrations", f"It is at migration {found[0]}, and this version needs {known[-1]}.",
            "Run `waybill migrate`.",
        )  # fmt: skip
    else:
        yield _report.ok("migrations", f"It is at migration {found[0]}, this version's own.")


def _rights(connection: Connection, own: str) -> Iterator[Finding]:
    """Ask for the right to each table and function that is there, and for each kind of
    statement."""
    may_use = ask(
        connection,
        "SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = %s", own,
    )  # fmt: skip
    if may_use == (False,):
        yield _report.error(
            "rights", f"The role may not use the schema {own}, where waybill's tables are.",
            f"GRANT USAGE ON SCHEMA {own} (`waybill grants` prints all rights).",
        )  # fmt: skip
        return
    wanted = [(table, right) for table, rights in RIGHTS.items() for right in rights.split()]
    # A table that is not there is the migrations' to say.
    missing = ask(
        connection,
        """
        SELECT string_agg(w.wanted || ' on ' || w.name, ', ' ORDER BY w.name, w.wanted)
        FROM unnest(%s::text[], %s::text[]) AS w (name, wanted)
        JOIN pg_class AS c ON c.relname = w.name
        JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = %s
        WHERE NOT has_table_privilege(c.oid, w.wanted) OR NOT has_schema_privilege(n.oid, 'USAGE')
        """,
        [table for table, _ in wanted],
        [right for _, right in wanted],
        own,
    )[0]
    functions = ask(
        connection,
        "SELECT string_agg(DISTINCT p.proname::text, ', ') FROM pg_proc AS p"
        " JOIN pg_namespace AS n ON n.oid = p.pronamespace AND n.nspname = %s"
        " WHERE NOT has_function_privilege(p.oid, 'EXECUTE')"
        " AND p.prorettype <> 'trigger'::regtype",
        own,
    )[0]
    if functions:
        missing = ", ".join(filter(None, (missing, f"EXECUTE on {functions}")))
    if missing:
        yield _report.error(
            "rights", f"The role lacks rights: {missing}.",
            "GRANT them (`waybill grants` prints all), or sign in as the role that migrated.",
        )  # fmt: skip
    else:
        yield _report.ok("rights", "The role may read and write waybill's tables.")


def _pooler(patient: Patient, connection: Connection, dsn: str) -> Iterator[Finding]:
    if not lends_per_transaction(connection, dsn):
        yield _report.ok("pooler", "Connections last: changes of exports are heard at once.")
        return
    direct = patient.settings.database_direct_url
    if direct is None:
        yield _report.warning(
            "pooler",
            "A pooler in front of it lends connections per transaction, which swallows "
            "notifications: watched exports are read every second.",
            "Set WAYBILL_DATABASE_DIRECT_URL to the same database without the pooler.",
        )  # fmt: skip
        return
    yield from _direct(patient, connection)


def _direct(patient: Patient, connection: Connection) -> Iterator[Finding]:
    dsn = patient.settings.notification_dsn
    variable = "WAYBILL_DATABASE_DIRECT_URL"
    own = patient.settings.own_schema
    question = f"SELECT id::text, current_database() FROM {own}.service_identity"  # noqa: S608
    try:
        with connected(dsn) as other:
            if ask(other, question) != ask(connection, question):
                yield _report.error(
                    "direct", f"{variable} leads to another database than {_VARIABLE}.",
                    "Have both name the same one.",
                )  # fmt: skip
            elif lends_per_transaction(other, dsn):
                yield _report.warning(
                    "direct", f"Behind {variable} is a pooler that lends per transaction, too.",
                    "Name the server itself, or a pool by session.",
                )  # fmt: skip
            else:
                yield _report.ok("direct", "Notifications come around the pooler.")
    except psycopg.Error:
        yield _report.error(
            "direct", f"{variable} lets nobody in, or is no database of waybill's.",
            "Correct it: watched exports are read every second meanwhile.",
        )  # fmt: skip


def lends_per_transaction(connection: Connection, dsn: str) -> bool:
    """Find out whether a pooler lends a server's connection for a transaction alone.

    While another client is in a transaction, on the connection that this one has just given back,
    this one's next transaction meets another server process. Without a pooler it never does.
    """
    question = "SELECT pg_backend_pid()"
    before = ask(connection, question)
    with connected(dsn) as other, other.transaction():
        taken = other.execute(question.encode()).fetchone()
        return taken == before or ask(connection, question) != before
