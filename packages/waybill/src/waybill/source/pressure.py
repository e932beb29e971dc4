"""Whether the source has room for an export, by what the catalog says to look at."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from psycopg import sql

from waybill.catalog import foreign
from waybill.catalog.politeness import Politeness
from waybill.errors import SourceRejected, SourceUnavailable
from waybill.source.libpq import Session

SECONDS: Final = 5.0
"""How long the source may take to answer; one that takes longer is busy."""

_BEGIN: Final = sql.SQL("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY")

# Of a standby that has replayed all that it received nothing is late, however long ago that was.
_LAG: Final = sql.SQL("""
    SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN (
        SELECT pg_catalog.max(EXTRACT(EPOCH FROM r.replay_lag))
        FROM pg_catalog.pg_stat_replication AS r
    ) WHEN pg_catalog.pg_last_wal_receive_lsn() OPERATOR(pg_catalog.=)
        pg_catalog.pg_last_wal_replay_lsn() THEN 0
    ELSE EXTRACT(EPOCH FROM pg_catalog.clock_timestamp()
        OPERATOR(pg_catalog.-) pg_catalog.pg_last_xact_replay_timestamp())
    END""")
_SESSIONS: Final = sql.SQL("""
    SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity AS a
    WHERE a.state OPERATOR(pg_catalog.=) 'active'
      AND a.application_name OPERATOR(pg_catalog.!~~) 'waybill%'""")
_MAY_SEE: Final = sql.SQL(
    "SELECT pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')"
)


def find_pressure(
    politeness: Politeness, connect: Callable[[str], AbstractContextManager[Session]]
) -> str | None:
    """Return why nothing should be read now, in a few words; ``None`` when it may.

    Args:
        politeness: what to look at.
        connect: makes a connection: the one that reads has no ear for questions.

    Raises:
        SourceRejected: the role may not see what is asked, or the health query is wrong.
        SourceUnavailable: no connection, or it broke.
    """
    with connect("waybill health") as session:
        session.script(
            foreign.opening(
                _BEGIN,
                server_version=session.server_version,
                lock_timeout_seconds=SECONDS,
                statement_timeout_seconds=SECONDS,
                application_name=None,
            )
        )
        try:
            return _found(politeness, session)
        except (SourceRejected, SourceUnavailable) as exc:
            if exc.sqlstate in _TOO_SLOW:
                return f"it does not answer within {SECONDS:g} s"
            raise


_TOO_SLOW: Final = frozenset({"57014", "55P03"})


def _found(politeness: Politeness, session: Session) -> str | None:
    def ask(question: sql.Composable) -> str | None:
        rows = session.script(question)
        return rows[0][0] if rows else None

    looks_at_others = (politeness.max_lag_seconds, politeness.max_active_sessions) != (None, None)
    if looks_at_others and ask(_MAY_SEE) != "t":
        raise SourceRejected(
            "The role may not see what other sessions do, which max_lag_seconds and "
            "max_active_sessions ask for: GRANT pg_read_all_stats TO it."
        )
    if politeness.max_lag_seconds is not None:
        lag = float(ask(_LAG) or 0)
        if lag > politeness.max_lag_seconds:
            return f"replication is {lag:.1f} s behind"
    if politeness.max_active_sessions is not None:
        sessions = int(ask(_SESSIONS) or 0)
        if sessions > politeness.max_active_sessions:
            return f"{sessions} sessions are active"
    if politeness.health_query is not None:
        # The operator's own text, from the catalog, and one value of it.
        query = sql.SQL(politeness.health_query)
        rows = session.fetch(sql.SQL("SELECT ({}\n)::pg_catalog.bool").format(query))
        if rows[0][0] != "t":
            return "its health query says so"
    return None
