"""How a snapshot is opened: relations are locked first, then it is taken, then it says what it is.

A snapshot shows rows as they were. TRUNCATE, a rewriting ALTER, REFRESH, CLUSTER or a swap of names
replace what a name stands for, at once and for every snapshot: an older one finds none of its rows
in the new file. So whoever is at it is waited for *before* the snapshot is taken, and nobody new is
let in until its end: ``LOCK TABLE … IN ACCESS SHARE MODE``, which takes no snapshot itself. What
cannot be locked by name (a view's or query's relations, a materialized view, a table of which the
role may read some columns only) is locked by a second connection that plans the statement, which
holds its locks until this one has planned it too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg import sql

from waybill.catalog import foreign
from waybill.catalog.model import TableSource
from waybill.config import MAX_ROW_BYTES
from waybill.errors import SourceRejected, SourceUnavailable
from waybill.source.kept import STANDING
from waybill.source.libpq import LOCK_NOT_AVAILABLE, Session, error_from_sqlstate
from waybill.source.reads import LOCKED, LOCKED_HERE, Reads, lock

_BEGIN_HOLDER: Final = sql.SQL("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY")
_ROLLBACK: Final = sql.SQL("ROLLBACK")

_UNLOCKABLE: Final = frozenset({"42501", "42809", "42P01", "3F000"})
"""What LOCK refuses: without the right to the whole table, of that kind, or because it is missing,
which whoever reads it says better."""
_TRIES: Final = 3
_NO_SUCH_SNAPSHOT: Final = frozenset({"0A000", "22023", "42704"})
"""What SET TRANSACTION SNAPSHOT says of one that is not there, or of another database."""


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Bounds for the source connection. ``statement_timeout_seconds`` 0 means none."""

    connect_timeout_seconds: int = 5
    lock_timeout_seconds: float = 5.0
    statement_timeout_seconds: float = 0.0
    max_row_bytes: int = MAX_ROW_BYTES


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """What the manifest says of the snapshot: ``pg_current_snapshot()``, the server's time when it
    was taken, the WAL position (``None`` where the role may not ask).

    On a standby ``taken_at`` is the primary's time up to which it had replayed for certain, and
    ``lag_seconds`` how long ago that was; ``None`` on a primary.
    """

    id: str
    taken_at: datetime
    wal_lsn: str | None
    server_version: str
    lag_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a snapshot was taken: ``started`` is when the server was, which no two have in common;
    ``theirs`` what role and database decide there of values' text (``foreign.THEIRS``)."""

    started: str
    theirs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SharedSnapshot:
    """A snapshot that other connections can take part in while it is open."""

    name: str
    facts: SnapshotFacts
    reads: Reads | None
    locked: frozenset[str]
    place: Place


@dataclass(frozen=True, slots=True)
class Opened:
    """A snapshot that is open, and the relations that were locked before it was taken.

    ``standing``: what its connection stands for, if that was asked and it can be kept
    (``source.kept``).
    """

    facts: SnapshotFacts
    locked: frozenset[str]
    place: Place
    standing: str | None = None


@dataclass(frozen=True, slots=True)
class _Start:
    """What the first query of a snapshot says."""

    at: datetime
    version: str
    version_number: int
    is_standby: bool
    place: Place
    """A pooler could lend the connection of another one next time."""
    relation_kind: str | None
    has_row_security: bool


class Elsewhere(Exception):
    """A connection came to a server that does not have the snapshot it was to share."""


class _Crossed(Exception):
    """Two connections wait for each other, by way of a third session."""


class Opening:
    """Opens one snapshot on a session.

    Args:
        begin: how its transaction begins.
        session: a fresh connection.
        connect: makes another one, for locks.
        settings: bounds.
        statement_timeout_seconds: 0 means none.
        reads: what will be read; ``None``: nothing is locked beforehand.
        shared: another session's snapshot, to take part in.
        name: the application's name while the snapshot is open, where the connection has another:
            one that may be kept.
    """

    def __init__(
        self,
        begin: sql.SQL,
        session: Session,
        connect: Callable[[str], AbstractContextManager[Session]],
        settings: SourceSettings,
        statement_timeout_seconds: float,
        reads: Reads | None,
        shared: SharedSnapshot | None,
        name: str | None = None,
    ) -> None:
        self._name = name
        self._begin_with = begin
        self._session = session
        self._connect = connect
        self._settings = settings
        self._timeout = statement_timeout_seconds
        self._reads = reads
        self._shared = shared
        self._table = reads.table if reads else None

    def run(self) -> Opened:
        """Open it; the transaction stays open.

        Raises:
            SourceUnavailable: somebody else's lock outlasted ``lock_timeout_seconds``, or the
                connection broke.
            SourceRejected: the server does not keep to the settings.
            Elsewhere: the snapshot to share is not there.
        """
        if self._shared is not None:
            return self._take_part(self._shared)
        for _ in range(_TRIES):
            with contextlib.suppress(_Crossed):
                return self._open()
            self._session.script(_ROLLBACK)
        raise error_from_sqlstate(LOCK_NOT_AVAILABLE)

    def _open(self) -> Opened:
        with contextlib.ExitStack() as holding:
            start, held = self._begin(holding)
            floor = None
            if start.is_standby:
                floor = self._replayed_at()
                self._session.script(_ROLLBACK)
                again, held = self._begin(holding)
                # What was replayed before the snapshot was taken, by the same server.
                floor = floor if again.place.started == start.place.started else None
                start = again
            facts, standing, own = self._facts(start, floor)
            held = own if held is None else held
            self._look_where_they_say()
            if self._reads is not None and self._table is None:
                self._lock_too(self._reads)
        return Opened(facts, held, start.place, standing)

    def _lock_too(self, reads: Reads) -> None:
        """Take this session's own locks, while the holder has them."""
        try:
            # What is refused here is refused again, and better explained, when it is read.
            self._session.attempt(reads.planned(), is_ours=False)
        except SourceUnavailable as exc:
            if exc.sqlstate != LOCK_NOT_AVAILABLE:
                raise
            # Somebody came between: they wait for the holder, and this session behind them.
            raise _Crossed from exc

    def _begin(self, holding: contextlib.ExitStack) -> tuple[_Start, frozenset[str] | None]:
        """Lock and take the snapshot; return what is locked, ``None`` for what this session has
        locked. ``holding`` closes the other connection."""
        if self._table is not None:
            try:
                self._session.script(self._opening(self._begin_with, lock(self._table)))
            except SourceRejected as exc:
                if exc.sqlstate not in _UNLOCKABLE:
                    raise
            else:
                start = self._start()
                if start.relation_kind in {"r", "p"} and not start.has_row_security:
                    return start, None
                # A view's lock passes over its materialized views; a policy may read more.
            self._table = None
            self._session.script(_ROLLBACK)
        held, held_where = frozenset[str](), None
        if self._reads is not None:
            held, held_where = holding.enter_context(self._hold(self._reads))
        self._session.script(self._opening(self._begin_with))
        start = self._start()
        # Locks on another replica hold nobody up here: the witness then looks at all that is read.
        return start, held if held_where == start.place.started else frozenset()

    @contextlib.contextmanager
    def _hold(self, reads: Reads) -> Iterator[tuple[frozenset[str], str | None]]:
        with self._connect("waybill locks") as holder:
            ((started,),) = holder.script(self._opening(_BEGIN_HOLDER, STARTED))
            holder.script(foreign.set_path(reads.export_type.search_path))
            holder.attempt(reads.planned(), is_ours=False)
            yield self._locked(holder), started

    def _take_part(self, shared: SharedSnapshot) -> Opened:
        try:
            self._join(shared, [lock(self._table)] if self._table else [])
        except SourceRejected as exc:
            if exc.sqlstate not in _UNLOCKABLE or self._table is None:
                raise
            # The other session's locks cover what this one cannot lock.
            self._session.script(_ROLLBACK)
            self._join(shared, [])
        if self._start().place != shared.place:
            raise Elsewhere  # whose snapshot has the same name
        self._look_where_they_say()
        return Opened(shared.facts, shared.locked, shared.place)

    def _join(self, shared: SharedSnapshot, locks: list[sql.Composed]) -> None:
        take_part = sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(shared.name))
        theirs = foreign.set_theirs(shared.place.theirs)
        try:
            self._session.script(self._opening(self._begin_with, *theirs, *locks, take_part))
        except SourceRejected as exc:
            if exc.sqlstate not in _NO_SUCH_SNAPSHOT:
                raise
            raise Elsewhere from exc

    def _opening(self, begin: sql.SQL, *more: sql.Composable) -> sql.Composed:
        opening = foreign.opening(
            begin,
            server_version=self._session.server_version,
            lock_timeout_seconds=self._settings.lock_timeout_seconds,
            statement_timeout_seconds=self._timeout,
            application_name=self._name,
        )
        return sql.SQL("; ").join([opening, *more])

    def _look_where_they_say(self) -> None:
        if self._reads is not None and self._reads.export_type.search_path:
            self._session.script(foreign.set_path(self._reads.export_type.search_path))

    # -- what the snapshot is -------------------------------------------------------------------

    def _start(self) -> _Start:
        """Take the snapshot, with the first query, and read the settings back. In a message of its
        own, whose time is before the snapshot, and yet behind all that was waited for."""
        table = self._table or TableSource("", "")
        expected = foreign.expected_settings()
        names = sql.SQL(", ").join(
            sql.SQL("pg_catalog.current_setting({})").format(sql.Literal(name))
            for name in (*expected, *foreign.THEIRS)
        )
        row = self._session.script(
            _START.format(
                schema=sql.Literal(table.schema), table=sql.Literal(table.table), settings=names
            )
        )[0]
        at, version, number, is_standby, started, kind, has_row_security, *found = row
        if int(number or 0) < foreign.OLDEST_VERSION:
            raise SourceRejected(
                f"The source is PostgreSQL {version}; waybill exports from 12 and later."
            )
        ours, theirs = found[: len(expected)], found[len(expected) :]
        for (name, value), actual in zip(expected.items(), ours, strict=True):
            if actual != value:
                raise SourceRejected(
                    f"The source's session keeps {name} = {actual!r} where {value!r} was set: "
                    "files would hold other bytes. If a pooler is in between, have it pool by "
                    "transaction or session."
                )
        return _Start(
            at=datetime.fromisoformat(at or ""),
            version=version or "",
            version_number=int(number or 0),
            is_standby=is_standby == "t",
            place=Place(started or "", tuple(each or "" for each in theirs)),
            relation_kind=kind,
            has_row_security=has_row_security == "t",
        )

    def _facts(
        self, start: _Start, floor: datetime | None
    ) -> tuple[SnapshotFacts, str | None, frozenset[str]]:
        """Return what the manifest says, what the connection stands for, and what it has locked."""
        taken_at, lag = start.at, None
        if start.is_standby:
            taken_at = min(start.at, floor or _LONG_AGO)
            lag = (start.at - taken_at).total_seconds()
        current = (
            sql.SQL("pg_catalog.pg_current_snapshot()")
            if start.version_number >= _PG_CURRENT_SNAPSHOT
            else sql.SQL("pg_catalog.txid_current_snapshot()")
        )
        lsn = (
            sql.SQL("pg_catalog.pg_last_wal_replay_lsn()")
            if start.is_standby
            else sql.SQL("pg_catalog.pg_current_wal_lsn()")
        )
        wanted: list[sql.Composable] = [current, lsn]
        if self._table is not None:
            wanted.append(LOCKED_HERE)
            # Plain tables alone: what others' code leaves behind is not all taken back.
            if self._name is not None:
                wanted.append(STANDING)
        found = [*self._nice_to_have(*wanted), None, None]
        identity, wal_lsn, locked, standing = found[:4]
        if standing is not None and standing.split()[0] != str(self._session.backend_pid):
            standing = None  # somebody else accepted the connection: a pooler
        facts = SnapshotFacts(identity or "", taken_at, wal_lsn, start.version, lag)
        return facts, standing, frozenset((locked or "").split())

    def _replayed_at(self) -> datetime | None:
        """Return the primary's time of something that this standby has replayed.

        The last transaction's commit, which may be long ago where the primary is idle; or the
        last checkpoint that was replayed, all there is after a restart.
        """
        times = self._nice_to_have(
            sql.SQL("pg_catalog.pg_last_xact_replay_timestamp()"),
            sql.SQL("(SELECT c.checkpoint_time FROM pg_catalog.pg_control_checkpoint() AS c)"),
        )
        return max((datetime.fromisoformat(each) for each in times if each), default=None)

    def _nice_to_have(self, *facts: sql.Composable) -> tuple[str | None, ...]:
        """Return facts as text, each ``None`` if the server does not have it or does not tell."""
        listed = sql.SQL(", ").join(sql.SQL("{}::pg_catalog.text").format(each) for each in facts)
        rows = self._session.attempt(sql.SQL("SELECT {}").format(listed))
        if rows:
            return rows[0]
        if len(facts) == 1:
            return (None,)
        return tuple(self._nice_to_have(each)[0] for each in facts)

    def _locked(self, session: Session) -> frozenset[str]:
        return frozenset(oid or "" for (oid,) in session.attempt(LOCKED) or ())


_PG_CURRENT_SNAPSHOT: Final = 130_000
_LONG_AGO: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
"""When a standby was that says of nothing when it happened: who wants what changed since then wants
all."""

STARTED: Final = sql.SQL("SELECT pg_catalog.pg_postmaster_start_time()::pg_catalog.text")
"""Answers when the server was started, as ``Place`` has it."""

_START: Final = sql.SQL("""
    SELECT pg_catalog.statement_timestamp()::pg_catalog.text,
           pg_catalog.current_setting('server_version'),
           pg_catalog.current_setting('server_version_num'),
           pg_catalog.pg_is_in_recovery(),
           pg_catalog.pg_postmaster_start_time()::pg_catalog.text,
           c.relkind::pg_catalog.text, c.relrowsecurity, {settings}
    FROM (SELECT 1) AS one
    LEFT JOIN (pg_catalog.pg_class AS c
               JOIN pg_catalog.pg_namespace AS n
                 ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
                AND n.nspname OPERATOR(pg_catalog.=) {schema})
           ON c.relname OPERATOR(pg_catalog.=) {table}""")
