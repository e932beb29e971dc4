"""Whether a type's ``polite`` can be kept: in time, and with what the role may see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import psycopg
from psycopg import sql

from waybill.catalog.connect import only_one
from waybill.catalog.findings import Finding
from waybill.catalog.model import ExportType
from waybill.catalog.relation_sql import from_source
from waybill.catalog.relations import Connection
from waybill.config import DEADLINE_SECONDS

_MAY_SEE: Final = "SELECT pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')"


def check_politeness(connection: Connection, export_type: ExportType) -> Iterator[Finding]:
    """Yield what keeps exports of the type from ending, or from beginning."""
    polite = export_type.polite
    if export_type.limits_rate:
        yield from _check_rate(connection, export_type)
    most, of_all = export_type.max_running, export_type.together.max_running
    if most is not None and of_all is not None and most > of_all:
        yield Finding(
            "warning", export_type.name, "max_running_unreachable",
            f"max_running allows {most} at a time, and its source {of_all} of all types together.",
            f"Lower it to {of_all} at most, or raise max_running of the source's together.",
        )  # fmt: skip
    looks_at_others = (polite.max_lag_seconds, polite.max_active_sessions) != (None, None)
    if looks_at_others and connection.execute(_MAY_SEE).fetchone() != (True,):
        yield Finding(
            "error", export_type.name, "pressure_invisible",
            "The role may not see what max_lag_seconds and max_active_sessions look at.",
            "GRANT pg_read_all_stats TO the export role, or leave them out.",
        )  # fmt: skip
    if polite.health_query is not None:
        query = sql.SQL("SELECT ({}\n)::pg_catalog.bool").format(sql.SQL(polite.health_query))
        try:
            with connection.transaction():
                only_one(connection, query)
        except psycopg.Error as exc:
            if connection.broken:
                raise
            yield Finding(
                "error", export_type.name, "health_query_refused",
                f"PostgreSQL refuses the health query ({exc.sqlstate}).",
                "Give one SELECT of one value, true or false, that names its schemas.",
            )  # fmt: skip


def _check_rate(connection: Connection, export_type: ExportType) -> Iterator[Finding]:
    statement = sql.SQL("EXPLAIN (FORMAT JSON) SELECT * {}")
    row: Any = only_one(connection, statement.format(from_source(export_type.source))).fetchone()
    expected = row[0][0]["Plan"]
    rows, width = int(expected["Plan Rows"]), int(expected["Plan Width"])
    needed = export_type.seconds_for(rows=rows, bytes=rows * width)
    deadline = export_type.deadline_seconds or DEADLINE_SECONDS
    if needed > deadline:
        yield Finding(
            "warning", export_type.name, "rate_too_slow",
            f"About {rows:,} rows take {needed:,.0f} s at the rate that may be read at; an attempt "
            f"may take {deadline:g} s.",
            f"Raise deadline_seconds above {needed:,.0f}, or the rate.",
        )  # fmt: skip
        return
    sharers = export_type.together.max_running or 1
    shared = export_type.seconds_for(rows=rows, bytes=rows * width, sharers=sharers)
    if shared > deadline:
        yield Finding(
            "warning", export_type.name, "share_too_slow",
            f"About {rows:,} rows take {shared:,.0f} s where {sharers} exports share the rate of "
            f"their source; an attempt may take {deadline:g} s.",
            f"Raise deadline_seconds above {shared:,.0f} or the rate, or lower together's "
            "max_running.",
        )  # fmt: skip
