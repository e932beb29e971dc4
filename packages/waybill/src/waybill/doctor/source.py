"""The databases to export from: reachable, read-only, patient; and the catalog against them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import psycopg

from waybill.catalog.findings import Finding as CatalogFinding
from waybill.catalog.sources import DEFAULT_SOURCE, variable_of
from waybill.doctor.connections import (
    MOST_CONNECTIONS,
    Connection,
    ask,
    connected,
    not_reached,
    refused,
)
from waybill.doctor.findings import Finding, Patient, Report
from waybill.doctor.settings import most_connections
from waybill.errors import ConfigurationError, RunError
from waybill.requests.check_formats import check_sources
from waybill.source.named import source_dsns

AREA: Final = "source"
CATALOG_AREA: Final = "catalog"
_DATA_SECONDS: Final = 1.0
_SPILT_BYTES: Final = 1024**3
_ROOM: Final = """,
           (SELECT setting::bigint * 1024 FROM pg_settings
            WHERE name = 'temp_file_limit' AND setting <> '-1')"""

_catalog_report = Report(CATALOG_AREA)


@dataclass(frozen=True, slots=True)
class _Source:
    """One of the databases to export from. ``longest_seconds``: how long its exports may take;
    ``most_connections``: how many one worker may open."""

    name: str
    is_own: bool
    longest_seconds: float
    prefers_standby: bool
    most_connections: int

    @property
    def report(self) -> Report:
        return Report(AREA if self.name == DEFAULT_SOURCE else f"{AREA}.{self.name}")


def examine(patient: Patient) -> Iterator[Finding]:
    """Look at the databases to export from."""
    try:
        dsns = _dsns(patient)
    except ConfigurationError as exc:
        yield Report(AREA).error("named", str(exc), "Correct it.")
        return
    for name, dsn in dsns.items():
        yield from _examine(_source(patient, name), dsn)


def _dsns(patient: Patient) -> dict[str, str]:
    """Return the addresses of the sources that are read, or would be."""
    catalog = patient.catalog
    if catalog is None:
        return {DEFAULT_SOURCE: patient.settings.source_url}
    dsns = source_dsns(catalog, patient.settings)
    return {name: dsns[name] for name in catalog.sources_read() or (DEFAULT_SOURCE,)}


def _source(patient: Patient, name: str) -> _Source:
    catalog, settings = patient.catalog, patient.settings
    types = () if catalog is None else catalog.of_source(name).values()
    declared = [each.deadline_seconds for each in types if each.deadline_seconds]
    return _Source(
        name,
        is_own=name == DEFAULT_SOURCE and settings.source_dsn is None,
        longest_seconds=max(declared, default=settings.deadline_seconds),
        prefers_standby=catalog is not None and catalog.sources[name].standby == "prefer",
        most_connections=most_connections(settings),
    )


def _examine(source: _Source, dsn: str) -> Iterator[Finding]:
    report = source.report
    try:
        with connected(dsn, read_only=True) as connection:
            yield report.ok("reachable", "The database to export from answers.")
            yield from _role(source, connection)
            yield from _time_limits(source, connection)
            yield from _room(source, connection)
            yield from _standby(source, connection)
    except psycopg.OperationalError as exc:
        yield not_reached(report, exc, dsn, variable_of(source.name))
    except psycopg.Error as exc:
        yield _refused(source, exc)


def _refused(source: _Source, exc: psycopg.Error) -> Finding:
    if exc.sqlstate is not None:
        return refused(source.report, exc)
    # libpq's own refusal, which may quote a password.
    variable = variable_of(source.name)
    return source.report.error(
        "address",
        f"{variable} is no address of a PostgreSQL database.",
        f"Write {variable} as postgresql://user:…@host:5432/name.",
    )


def _role(source: _Source, connection: Connection) -> Iterator[Finding]:
    report = source.report
    if source.is_own:
        yield report.warning(
            "role", "Exports read waybill's own database, as the role that owns its jobs.",
            f"Set {variable_of(DEFAULT_SOURCE)} to the database to export from, with a role that "
            "may only read.",
        )  # fmt: skip
        return
    is_superuser, may_write, may_create = ask(
        connection,
        """
        SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
               (SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_'
                  AND n.nspname <> 'information_schema'
                  AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')),
               (SELECT string_agg(quote_ident(nspname), ', ' ORDER BY nspname) FROM pg_namespace
                WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
                  AND has_schema_privilege(oid, 'CREATE'))
        """,
    )
    if is_superuser or may_write:
        what = "is a superuser" if is_superuser else f"may write to {may_write} tables"
        yield source.report.warning(
            "role", f"Its role {what}; exports only read.",
            "CREATE ROLE waybill_reader LOGIN and GRANT SELECT on what the catalog names.",
        )  # fmt: skip
    elif may_create:
        yield source.report.warning(
            "role", f"Its role may make tables in {may_create}; exports only read.",
            "REVOKE CREATE ON SCHEMA … FROM PUBLIC, and from the role.",
        )  # fmt: skip
    else:
        yield source.report.ok("role", "Its role may only read.")


def _time_limits(source: _Source, connection: Connection) -> Iterator[Finding]:
    """Look at what the server or the role sets, outside of our own transactions."""
    row = connection.execute(
        "SELECT name, setting::numeric / CASE unit WHEN 'ms' THEN 1000 ELSE 1 END FROM pg_settings"
        " WHERE name IN ('statement_timeout', 'transaction_timeout',"
        " 'idle_in_transaction_session_timeout')"
    ).fetchall()
    limits = {str(name): float(seconds) for name, seconds in row}
    deadline = source.longest_seconds
    # An export sets its own statement_timeout, so that only this one cannot be got around.
    hard = limits.get("transaction_timeout", 0.0)
    soft = limits.get("idle_in_transaction_session_timeout", 0.0)
    statement = limits.get("statement_timeout", 0.0)
    if hard and hard < deadline:
        yield source.report.error(
            "time_limits",
            f"transaction_timeout ends every transaction after {hard:g} s, and an export may take "
            f"{deadline:g} s.",
            "ALTER ROLE … SET transaction_timeout = 0 for the role of exports.",
        )  # fmt: skip
    elif soft and soft < deadline:
        yield source.report.warning(
            "time_limits",
            f"idle_in_transaction_session_timeout ({soft:g} s) ends the connection that keeps the "
            f"snapshot of a large export (up to {deadline:g} s).",
            "ALTER ROLE … SET idle_in_transaction_session_timeout = 0 for the role of exports.",
        )  # fmt: skip
    elif statement and statement < deadline:
        yield source.report.note(
            "time_limits",
            f"The role's statement_timeout is {statement:g} s; exports set their own instead "
            f"(the deadline, up to {deadline:g} s).",
        )  # fmt: skip
    else:
        yield source.report.ok("time_limits", "No time limit of the server ends an export early.")


def _room(source: _Source, connection: Connection) -> Iterator[Finding]:
    """Look at how many connections the role may have, and how much it may sort on disk."""
    connections, spilt = ask(
        connection,
        MOST_CONNECTIONS + _ROOM,
    )
    if connections < source.most_connections:
        yield source.report.warning(
            "connections",
            f"Role, database or server takes {connections} connections at a time; one worker "
            f"opens up to {source.most_connections}.",
            "Raise it (ALTER ROLE … CONNECTION LIMIT), or lower WAYBILL_WORKER_CONCURRENCY, "
            "WAYBILL_SOURCE_READERS or WAYBILL_SMALL_JOBS_TOGETHER.",
        )  # fmt: skip
    if spilt is not None and spilt < _SPILT_BYTES:
        yield source.report.warning(
            "temp_files",
            f"The role may write {spilt / 1024**2:g} MiB of temporary files (temp_file_limit): an "
            "export that has to sort more fails.",
            "ALTER ROLE … SET temp_file_limit = -1 for the role of exports, or index its keys.",
        )  # fmt: skip


def _standby(source: _Source, connection: Connection) -> Iterator[Finding]:
    is_standby, delay_ms, feedback, lag = ask(
        connection,
        """
        SELECT pg_is_in_recovery(),
               (SELECT setting::bigint FROM pg_settings
                WHERE name = 'max_standby_streaming_delay'),
               current_setting('hot_standby_feedback') = 'on',
               CASE WHEN pg_is_in_recovery()
                     AND pg_last_wal_receive_lsn() IS DISTINCT FROM pg_last_wal_replay_lsn()
                    THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())
                    ELSE 0 END
        """,
    )
    if not is_standby and source.prefers_standby:
        yield source.report.warning(
            "standby", "The catalog prefers a standby, and none answers: exports read the primary.",
            f"Name the standby among the hosts of {variable_of(source.name)}, or look after it.",
        )  # fmt: skip
        return
    if not is_standby:
        yield source.report.ok("standby", "It is a primary: no replay cancels an export.")
        return
    deadline = source.longest_seconds
    delay = float(delay_ms) / 1000
    if delay >= 0 and delay < deadline and not feedback:
        yield source.report.warning(
            "standby",
            f"It is a standby that cancels what is in replay's way after {delay:g} s "
            f"(max_standby_streaming_delay); an export may take {deadline:g} s, and is then tried "
            "again.",
            "On the standby set hot_standby_feedback = on, or raise max_standby_streaming_delay.",
        )  # fmt: skip
    else:
        yield source.report.ok("standby", "It is a standby, and lets exports end.")
    if lag and lag > deadline:
        yield source.report.warning(
            "lag", f"The standby is {float(lag):.0f} s behind; manifests say so.",
            "Find out what keeps its replay.",
        )  # fmt: skip


def examine_catalog(patient: Patient) -> Iterator[Finding]:
    """Hold the catalog against the database, as `waybill check` does."""
    if patient.catalog is None:
        return
    try:
        found = check_sources(patient.catalog, _dsns(patient), data_check_seconds=_DATA_SECONDS)
    except (ConfigurationError, RunError) as exc:
        yield _catalog_report.note("source", f"It could not be held against its database: {exc}")
        return
    if not any(finding.severity == "error" for finding in found):
        yield _catalog_report.ok(
            "source", f"Its {len(patient.catalog)} export types fit the database."
        )
    yield from (_as_ours(each) for each in found if each.severity != "note")


def _as_ours(found: CatalogFinding) -> Finding:
    where = f"[exports.{found.export_type}] " if found.export_type else ""
    tell = _catalog_report.error if found.severity == "error" else _catalog_report.warning
    return tell(found.code, f"{where}{found.message}", found.remedy)
