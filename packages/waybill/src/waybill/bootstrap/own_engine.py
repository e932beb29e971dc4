"""The pool of connections to waybill's own database, and what each use of one costs beside its
statements.

A small job is some ten transactions of one or two small statements, so what frames them counts: of
34 statements a job, 14 were BEGIN, COMMIT and ROLLBACK, 9 set bounds and 7 asked whether the
connection was alive. On a connection of our own, with nobody between us and the server, bounds
and the search path are set once for the session and what is asked often stays prepared. Behind a
pooler, which gives both to other clients, each transaction brings them along, and nothing is
prepared.
"""

from __future__ import annotations

import select
import time
from functools import partial
from typing import Any, Final

import psycopg
from sqlalchemy import event
from sqlalchemy.engine import Connection, Dialect, ExceptionContext
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from waybill.config import Settings
from waybill.jobs.rows import COMMITS_ALONE
from waybill.own_database import connection_arguments, opening

_RESTED_SECONDS: Final = 5.0
"""A connection that rested so long is asked whether it is alive. One that was ended by the server,
or whose server was killed, says so itself, as its end waits to be read."""
_PREPARED_AFTER: Final = 5
_STALE: Final = frozenset({"0A000", "26000"})
"""A prepared statement whose result is another since a migration, or that is not there."""


def create_engine(settings: Settings) -> AsyncEngine:
    """Return the engine of waybill's own database."""
    engine = create_async_engine(
        # What SQLAlchemy reads of a URL is less than libpq does: several hosts, for one.
        "postgresql+psycopg://",
        pool_size=10,
        max_overflow=10,
        connect_args=connection_arguments(settings.database_dsn, application_name="waybill"),
    )
    # Our own statements are small; one that waits is a fault to see, not to sit out.
    begun = partial(
        opening,
        settings.database_dsn,
        settings.own_schema,
        statement_timeout_ms=15_000,
        lock_timeout_ms=5_000,
    )
    frames = _Frames(
        engine.dialect, for_session=begun(is_local=False), for_transaction=begun(is_local=True)
    )
    for name, listener in (
        ("connect", frames.learn),
        ("checkin", frames.rest),
        ("checkout", frames.wake),
        ("begin", frames.begin),
        ("handle_error", frames.drop_stale),
    ):
        event.listen(engine.sync_engine, name, listener)
    return engine


class _Frames:
    """What happens around statements. Listens to SQLAlchemy's events."""

    def __init__(self, dialect: Dialect, *, for_session: str, for_transaction: str) -> None:
        self._dialect = dialect
        self._for_session = for_session
        self._for_transaction = for_transaction

    def learn(self, connection: Any, record: Any) -> None:
        """Find out whether a new connection is the server's own: a pooler accepts connections
        itself, and names another process than the one that answers."""
        driver = connection.driver_connection
        cursor = connection.cursor()
        try:
            cursor.execute("SELECT pg_catalog.pg_backend_pid()")
            (answering,) = cursor.fetchone()
            record.info["is_direct"] = is_direct = answering == driver.info.backend_pid
            if is_direct:
                cursor.execute(self._for_session)
        finally:
            cursor.close()
        connection.commit()
        if is_direct:
            driver.prepare_threshold = _PREPARED_AFTER

    def rest(self, _connection: Any, record: Any) -> None:
        record.info["rested_at"] = time.monotonic()

    def wake(self, connection: Any, record: Any, _proxy: Any) -> None:
        """Look whether a connection that rested is alive; a restart of the database must not fail
        the first request after it."""
        rested_at = record.info.get("rested_at")
        if rested_at is None:
            return
        if _has_something_to_say(connection.driver_connection):
            raise InvalidatePoolError
        if time.monotonic() - rested_at >= _RESTED_SECONDS:
            try:
                self._dialect.do_ping(connection)
            except psycopg.Error as exc:
                raise InvalidatePoolError from exc

    def begin(self, connection: Connection) -> None:
        """Begin a transaction behind a pooler: its bounds and path first."""
        if connection.info["is_direct"]:
            return
        options = connection.get_execution_options()
        if options.get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql(self._for_transaction)
        elif not options.get(COMMITS_ALONE):
            # SQLAlchemy ends it as it would have: what commits is committed, what reads is not.
            connection.exec_driver_sql(f"BEGIN; {self._for_transaction}")

    def drop_stale(self, context: ExceptionContext) -> None:
        """Have a connection made anew whose prepared statements are not what they were."""
        if getattr(context.original_exception, "sqlstate", None) in _STALE:
            context.is_disconnect = True


def _has_something_to_say(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Whether the server sent something to a connection at rest: its end, or why."""
    pgconn = connection.pgconn
    if pgconn.status != psycopg.pq.ConnStatus.OK:
        return True
    poll = select.poll()
    poll.register(pgconn.socket, select.POLLIN)
    return bool(poll.poll(0))
