"""Which server a snapshot was taken on, and how far it had come.

A resumed export reads on where another snapshot ended. That is sound only where the second is a
later one of the same history: the same running server, whose log has not gone back. A standby that
was promoted, another replica behind one address, and a server restored from a backup (with the same
identifier, and soon with a log as long) are others.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from waybill.errors import SourceRejected
from waybill.source.source import PostgresSnapshot


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """``None`` throughout where the role may not ask."""

    system_identifier: str | None = None
    timeline: int | None = None
    started_at: datetime | None = None
    """When it was started: a data directory cannot be exchanged under a running server."""


def identify_server(snapshot: PostgresSnapshot) -> ServerIdentity:
    """Return the server's identity. A server that does not tell fails nothing."""
    snapshot.fetch(sql.SQL("SAVEPOINT waybill_server"))
    try:
        facts = snapshot.fetch(_IDENTITY)[0]
    except SourceRejected:  # no right to ask, or a service that does not have it
        snapshot.fetch(sql.SQL("ROLLBACK TO SAVEPOINT waybill_server"))
        facts = (None, None, None)
    # A snapshot can be exported from the transaction itself alone.
    snapshot.fetch(sql.SQL("RELEASE SAVEPOINT waybill_server"))
    identifier, timeline, started_at = facts
    return ServerIdentity(
        identifier,
        int(timeline) if timeline else None,
        datetime.fromisoformat(started_at) if started_at else None,
    )


# On a standby the control file is the only place that tells, and may be a checkpoint late.
_IDENTITY = sql.SQL("""
    SELECT s.system_identifier::pg_catalog.text,
           CASE WHEN pg_catalog.pg_is_in_recovery()
                THEN greatest(c.timeline_id, r.min_recovery_end_timeline)::pg_catalog.text
                ELSE pg_catalog.concat('x', pg_catalog.left(pg_catalog.pg_walfile_name(
                     pg_catalog.pg_current_wal_lsn()), 8))::pg_catalog.bit(32)::pg_catalog.int8
                     ::pg_catalog.text
           END,
           pg_catalog.to_json(pg_catalog.pg_postmaster_start_time()) OPERATOR(pg_catalog.#>>)
               '{}'::pg_catalog.text[]
    FROM pg_catalog.pg_control_system() AS s, pg_catalog.pg_control_checkpoint() AS c,
         pg_catalog.pg_control_recovery() AS r""")
