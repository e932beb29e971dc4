"""The database to export from: reachable, read-only, patient enough; and the catalog against it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import psycopg

from waybill.catalog.findings import Finding as CatalogFinding
from waybill.doctor.connections import Connection, ask, connected, not_reached
from waybill.doctor.findings import Finding, Patient, Report
from waybill.errors import ConfigurationError, RunError
from waybill.requests.check_formats import check_everything

AREA: Final = "source"
CATALOG_AREA: Final = "catalog"
_VARIABLE: Final = "WAYBILL_SOURCE_DSN"
_DATA_SECONDS: Final = 1.0

_report = Report(AREA)
_catalog_report = Report(CATALOG_AREA)


def examine(patient: Patient) -> Iterator[Finding]:
    """Look at the database to export from."""
    dsn = patient.settings.source_url
    try:
        with connected(dsn, read_only=True) as connection:
            yield _report.ok("reachable", "The database to export from answers.")
            yield from _role(patient, connection)
            yield from _time_limits(patient, connection)
            yield from _standby(patient, connection)
    except psycopg.OperationalError as exc:
        yield not_reached(_report, exc, dsn, _VARIABLE)
    except psycopg.Error as exc:
        yield _report.error(
            "answers", f"It refused a question (SQLSTATE {exc.sqlstate}).", "See its log."
        )


def _role(patient: Patient, connection: Connection) -> Iterator[Finding]:
    if patient.settings.source_dsn is None:
        yield _report.warning(
            "role", "Exports read waybill's own database, as the role that owns its jobs.",
            f"Set {_VARIABLE} to the database to export from, with a role that may only read.",
        )  # fmt: skip
        return
    is_superuser, may_write = ask(
        connection,
        """
        SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
               (SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_'
                  AND n.nspname <> 'information_schema'
                  AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'))
        """,
    )
    if is_superuser or may_write:
        what = "is a superuser" if is_superuser else f"may write to {may_write} tables"
        yield _report.warning(
            "role", f"Its role {what}; exports only read.",
            "CREATE ROLE waybill_reader LOGIN and GRANT SELECT on what the catalog names.",
        )  # fmt: skip
    else:
        yield _report.ok("role", "Its role may only read.")


def _longest_deadline(patient: Patient) -> float:
    declared = [t.deadline_seconds for t in (patient.catalog or {}).values() if t.deadline_seconds]
    return max(declared, default=0.0) or patient.settings.deadline_seconds


def _time_limits(patient: Patient, connection: Connection) -> Iterator[Finding]:
    """Look at what the server or the role sets, outside of our own transactions."""
    row = connection.execute(
        "SELECT name, setting::numeric / CASE unit WHEN 'ms' THEN 1000 ELSE 1 END FROM pg_settings"
        " WHERE name IN ('statement_timeout', 'transaction_timeout',"
        " 'idle_in_transaction_session_timeout')"
    ).fetchall()
    limits = {str(name): float(seconds) for name, seconds in row}
    deadline = _longest_deadline(patient)
    # An export sets its own statement_timeout, so that only this one cannot be got around.
    hard = limits.get("transaction_timeout", 0.0)
    soft = limits.get("idle_in_transaction_session_timeout", 0.0)
    statement = limits.get("statement_timeout", 0.0)
    if hard and hard < deadline:
        yield _report.error(
            "time_limits",
            f"transaction_timeout ends every transaction after {hard:g} s, and an export may take "
            f"{deadline:g} s.",
            "ALTER ROLE … SET transaction_timeout = 0 for the role of exports.",
        )  # fmt: skip
    elif soft and soft < deadline:
        yield _report.warning(
            "time_limits",
            f"idle_in_transaction_session_timeout ({soft:g} s) ends the connection that keeps the "
            f"snapshot of a large export (up to {deadline:g} s).",
            "ALTER ROLE … SET idle_in_transaction_session_timeout = 0 for the role of exports.",
        )  # fmt: skip
    elif statement and statement < deadline:
        yield _report.note(
            "time_limits",
            f"The role's statement_timeout is {statement:g} s; exports set their own instead "
            f"(the deadline, up to {deadline:g} s).",
        )  # fmt: skip
    else:
        yield _report.ok("time_limits", "No time limit of the server ends an export early.")


def _standby(patient: Patient, connection: Connection) -> Iterator[Finding]:
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
    if not is_standby:
        yield _report.ok("standby", "It is a primary: no replay cancels an export.")
        return
    deadline = _longest_deadline(patient)
    delay = float(delay_ms) / 1000
    if delay >= 0 and delay < deadline and not feedback:
        yield _report.warning(
            "standby",
            f"It is a standby that cancels what is in replay's way after {delay:g} s "
            f"(max_standby_streaming_delay); an export may take {deadline:g} s, and is then tried "
            "again.",
            "On the standby set hot_standby_feedback = on, or raise max_standby_streaming_delay.",
        )  # fmt: skip
    else:
        yield _report.ok("standby", "It is a standby, and lets exports end.")
    if lag and lag > deadline:
        yield _report.warning(
            "lag", f"The standby is {float(lag):.0f} s behind; manifests say so.",
            "Find out what keeps its replay.",
        )  # fmt: skip


def examine_catalog(patient: Patient) -> Iterator[Finding]:
    """Hold the catalog against the database, as `waybill check` does."""
    if patient.catalog is None:
        return
    try:
        found = check_everything(
            patient.catalog, patient.settings.source_url, data_check_seconds=_DATA_SECONDS
        )
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
