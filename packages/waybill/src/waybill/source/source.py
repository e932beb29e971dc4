"""The source database: one connection, one REPEATABLE READ READ ONLY snapshot per attempt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from waybill.catalog.connect import read_dsn
from waybill.catalog.politeness import NOT_LIMITED, UNSHARED
from waybill.errors import (
    SourceBusy,
    SourceRejected,
    SourceUnavailable,
)
from waybill.keep_alive import SILENCE_SECONDS, keep_alive
from waybill.log import get_logger
from waybill.source.kept import ConnectionKeeper, KeptConnection, limit_silence
from waybill.source.libpq import LOCK_NOT_AVAILABLE, Session, error_from_sqlstate
from waybill.source.opening import (
    Elsewhere,
    Opened,
    Opening,
    SharedSnapshot,
    SnapshotFacts,
    SourceSettings,
)
from waybill.source.pace import Pace
from waybill.source.pressure import find_pressure
from waybill.source.reads import Reads
from waybill.source.snapshot import PostgresSnapshot, RowCount, shown_count

__all__ = [
    "PostgresSnapshot",
    "PostgresSource",
    "Reads",
    "RowCount",
    "SharedSnapshot",
    "SnapshotFacts",
    "SourceSettings",
    "shown_count",
]

log = get_logger(__name__)

_PLACES = 8
"""Connections that look for the server which has a snapshot, where each may reach another."""
_BEGIN = sql.SQL("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")


class PostgresSource:
    """Where exports read from. Safe to share and to fork with: holds no connection, unless a
    ``keeper`` has one rest between exports (``source.kept``). ``variable`` is what to correct.

    Raises:
        ConfigurationError: the DSN is none of PostgreSQL's, or cannot be read.
    """

    def __init__(
        self,
        dsn: str,
        settings: SourceSettings | None = None,
        *,
        keeper: ConnectionKeeper | None = None,
        variable: str = "WAYBILL_SOURCE_DSN",
    ) -> None:
        read_dsn(dsn)  # at start, and not when the first export wants it
        self._variable = variable
        self._dsn = dsn
        self._settings = settings or SourceSettings()
        self._keeper = keeper

    def of(self, _name: str) -> PostgresSource:
        """Return the source called so, where a snapshot is of no one type: this one, as of several
        (``source.named``) one is."""
        return self

    @contextmanager
    def open_snapshot(
        self,
        check: Callable[[], None],
        *,
        application_name: str = "waybill export",
        statement_timeout_seconds: float | None = None,
        reads: Reads | None = None,
        exported: SharedSnapshot | None = None,
        sharers: Callable[[], int] = lambda: 1,
    ) -> Iterator[PostgresSnapshot]:
        """Connect and hold one snapshot for the block; the connection closes with it, or rests.

        Args:
            check: called while waiting for PostgreSQL; stops the wait by raising.
            application_name: by which the server's administrators know the session.
            statement_timeout_seconds: 0 means none; ``None`` takes the source's own.
            reads: what will be read, whose relations are locked before the snapshot is taken.
                Without it a change of theirs is noticed when they have been read.
            exported: another connection's snapshot to take part in (``PostgresSnapshot.export``).
            sharers: how many exports read the source at the moment, this one among them; asked
                again and again.

        Raises:
            SourceUnavailable: no connection, or it broke, or another session's lock was in the way
                for too long.
            SourceBusy: it is under pressure, by what the type's ``polite`` says.
            SourceRejected: the server refuses the role or the database.
        """
        timeout = (
            self._settings.statement_timeout_seconds
            if statement_timeout_seconds is None
            else statement_timeout_seconds
        )
        reads = exported.reads if exported else reads
        keeper = None if exported or reads is None else self._keeper
        polite = NOT_LIMITED if reads is None else reads.export_type.polite
        together = UNSHARED if reads is None else reads.export_type.together

        def begin(connection: psycopg.Connection[tuple[object, ...]]) -> Session:
            return Session(connection, check, max_row_bytes=self._settings.max_row_bytes)

        def connect(name: str) -> closing[Session]:
            return closing(begin(self._connect(name)))

        def open_on(session: Session) -> Opened:
            name = None if keeper is None else application_name[:63]
            return Opening(
                _BEGIN, session, connect, self._settings, timeout, reads, exported, name
            ).run()

        def gauge() -> str | None:
            return find_pressure(polite, connect)

        if polite.heeds_pressure and exported is None and (reason := gauge()) is not None:
            raise SourceBusy(f"The source is under pressure: {reason}.")
        with ExitStack() as sessions:
            made_at = 0.0 if keeper is None else keeper.clock()
            opened = None
            kept = None if keeper is None else keeper.take()
            if kept is not None:
                session = sessions.enter_context(closing(begin(kept.connection)))
                opened = _reopened(session, kept, open_on, check)
            if opened is None:
                kept = None
                name = application_name if keeper is None else "waybill export"
                session, opened = _open_where_it_is(lambda: connect(name), open_on, sessions)
            pace = Pace(polite, check, gauge, together=together.rate, sharers=sharers)
            yield PostgresSnapshot(session, opened, reads, connect, pace)
            if keeper is not None and opened.standing is not None:
                sessions.pop_all()
                if (connection := session.rest()) is not None:
                    keeper.keep(kept or KeptConnection(connection, opened.standing, made_at))

    def close(self) -> None:
        """Close a connection that rests."""
        if self._keeper is not None:
            self._keeper.close()

    def _connect(self, application_name: str) -> psycopg.Connection[tuple[object, ...]]:
        try:
            return psycopg.connect(
                self._dsn,
                autocommit=True,
                application_name=application_name[:63],
                connect_timeout=self._settings.connect_timeout_seconds,
                client_encoding="UTF8",
                **keep_alive(),
            )
        except psycopg.OperationalError as exc:
            if exc.sqlstate is not None:
                raise error_from_sqlstate(exc.sqlstate) from exc
            raise SourceUnavailable(
                f"No connection to the source database at {_address(self._dsn)}. Check that it "
                f"runs, that it accepts this role, and {self._variable}."
            ) from exc


def _reopened(
    session: Session,
    kept: KeptConnection,
    open_on: Callable[[Session], Opened],
    check: Callable[[], None],
) -> Opened | None:
    """Open a snapshot on a connection that rested; ``None`` where only a new one can tell: it
    broke, is refused what a new one may have, or no longer stands for what it did."""
    try:
        opened = open_on(session)
    except (SourceUnavailable, SourceRejected) as exc:
        check()  # an order to stop would stop the next one too
        if exc.sqlstate == LOCK_NOT_AVAILABLE:
            raise
        log.info("source.connection_renewed", sqlstate=exc.sqlstate or None)
        session.close()
        return None
    if opened.standing != kept.standing:
        log.info("source.connection_renewed", sqlstate=None)
        session.close()
        return None
    limit_silence(kept.connection, SILENCE_SECONDS * 1000)
    return opened


def _open_where_it_is(
    connect: Callable[[], closing[Session]],
    open_on: Callable[[Session], Opened],
    sessions: ExitStack,
) -> tuple[Session, Opened]:
    """Open a snapshot on a new connection, which ``sessions`` closes. One that is to be shared is
    looked for: behind an address of several replicas each connection may reach another.

    Raises:
        SourceUnavailable: what is to be shared is not found; else as ``open_on`` and ``connect``.
    """
    for _ in range(_PLACES):
        session = sessions.enter_context(connect())
        try:
            return session, open_on(session)
        except Elsewhere:
            session.close()
    raise SourceUnavailable(
        "A connection that was to share the export's snapshot came to a server that does not have "
        "it: the first one has ended, or the source's address leads to several servers. Give it "
        "the address of one: behind one that is shared by replicas each connection may reach "
        "another."
    )


def _address(dsn: str) -> str:
    """Return ``host:port/name`` of a DSN, without its user and password."""
    parts = conninfo_to_dict(dsn)
    host = parts.get("host") or parts.get("hostaddr") or "the local socket"
    return f"{host}:{parts.get('port') or 5432}/{parts.get('dbname') or ''}"
