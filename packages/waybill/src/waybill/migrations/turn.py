"""Two deploys that migrate at once take turns, on as few connections as that takes.

A transaction of a migration holds a lock that ends with it. Where an index is built, which no
transaction may do, a second connection keeps the turn meanwhile: there alone, as a pooler may lend
a single one.
"""

from __future__ import annotations

import select
import time
from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg import pq
from sqlalchemy import Connection, text

from waybill.errors import ConfigurationError

ADVISORY_LOCK: Final = 0x77617962
"""Any number that nothing else of ours uses. Held by each transaction of a migration."""
TURN_LOCK: Final = 0x7761796D
"""As that, and held while no transaction is: while an index is built."""
SECOND_CONNECTION_SECONDS = 15.0
_PAUSE_SECONDS: Final = 0.25

_TAKE: Final = text("SELECT pg_advisory_xact_lock(:lock)")
_IS_KEPT: Final = text(
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted"
    " AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"
    " AND classid = 0 AND objid = CAST(:lock AS oid) AND objsubid = 1)"
)
_KEEP: Final = f"SELECT pg_try_advisory_xact_lock({TURN_LOCK:d})"
_BEGIN: Final = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0"


class Turn:
    """One migration's turn. To be closed.

    Args:
        arguments: how to connect.
        where: what to call the database.
    """

    def __init__(self, arguments: Mapping[str, Any], where: str) -> None:
        self._arguments = arguments
        self._where = where
        self._kept: psycopg.Connection[Any] | None = None

    def wait(self, connection: Connection) -> None:
        """Begin a transaction once nobody else's migration is under way, and let nobody until its
        end.

        While somebody builds an index it is asked again and again, and in between nothing is held:
        the build waits for all snapshots that are older. A SELECT's stays with its portal until
        the next statement, which the way back is.
        """
        while True:
            asking = connection.begin_nested()
            connection.execute(_TAKE, {"lock": ADVISORY_LOCK})
            if self._kept is not None or not connection.scalar(_IS_KEPT, {"lock": TURN_LOCK}):
                asking.commit()
                return
            asking.rollback()
            time.sleep(_PAUSE_SECONDS)

    def keep(self) -> None:
        """Keep the turn beyond the transaction that has it.

        Raises:
            ConfigurationError: a second connection is not to be had, or somebody else of the
                version before has the turn.
        """
        if self._kept is not None:
            return
        # Asked without waiting for the answer: a pooler takes the question, and keeps it until it
        # has a connection to lend.
        self._kept = psycopg.connect(**self._arguments, autocommit=True)
        _ask(self._kept, _BEGIN, self._where)
        if _ask(self._kept, _KEEP, self._where) != b"t":
            raise ConfigurationError(
                f"Somebody else migrates the database at {self._where}. Nothing was changed. Run "
                "`waybill migrate` again when that is over."
            )
        _ask(self._kept, "SET LOCAL idle_in_transaction_session_timeout = 0", self._where)

    def close(self) -> None:
        """Let others have it."""
        if self._kept is not None:
            self._kept.close()


def _ask(connection: psycopg.Connection[Any], statement: str, where: str) -> bytes | None:
    """Return the last value that a statement gives, within a bounded time."""
    asked = connection.pgconn
    asked.send_query(statement.encode())
    until = time.monotonic() + SECOND_CONNECTION_SECONDS
    answer: bytes | None = None
    while True:
        while asked.is_busy():
            if not select.select([asked.socket], [], [], max(0.0, until - time.monotonic()))[0]:
                raise ConfigurationError(
                    "An index of a large table is built beside a second connection, and "
                    f"none came within {SECOND_CONNECTION_SECONDS:g} s (at {where}). Nothing was "
                    "changed. Have the pooler lend two, or run `waybill migrate` with a "
                    "WAYBILL_DATABASE_URL that leads past it."
                )
            asked.consume_input()
        result = asked.get_result()
        if result is None:
            return answer
        if result.status == pq.ExecStatus.FATAL_ERROR:
            raise psycopg.OperationalError(result.get_error_message("utf-8"))
        if result.ntuples:
            answer = result.get_value(0, 0)
