"""Who looks, after rows were read, whether they came from relations that the snapshot knows.

Locks are taken before the snapshot where that can be. What a function hides, a schema that was
renamed or a partition that was attached in between is locked by the COPY itself, and thus after the
snapshot: then it may have been replaced in between, and its rows be none of the snapshot's. So
whatever is locked now and was not then is compared: as the snapshot has it, and as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from psycopg import sql

from waybill.catalog import foreign
from waybill.catalog.model import TableSource
from waybill.errors import IncompleteExport, SourceRejected, SourceUnavailable
from waybill.source.libpq import Session
from waybill.source.opening import STARTED
from waybill.source.reads import (
    LOCKED_WITH_ROWS,
    RelationState,
    family_query,
    read_states,
    states_query,
    unmoved_query,
)

_BEGIN: Final = sql.SQL("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY")
_TIMEOUT_SECONDS: Final = 5.0
_TRIES: Final = 10
"""Connections to look by, where each may reach another server."""


class Witness:
    """Compares the relations of one session. For one thread.

    Args:
        session: the snapshot's.
        locked: what was locked before the snapshot was taken.
        connect: makes another connection, which sees what is.
        is_strict: whether what cannot be looked at is to fail; else, where nothing was locked
            beforehand, this session's own caches will do.
        started: when the session's server was (``opening.STARTED``): another one has not seen what
            happened there.
        table: what alone is read, if it is a table: where the role may not see locks, it and all
            below it are compared instead.
    """

    def __init__(
        self,
        session: Session,
        locked: frozenset[str],
        connect: Callable[[str], AbstractContextManager[Session]],
        *,
        is_strict: bool,
        started: str,
        table: TableSource | None = None,
    ) -> None:
        self._session = session
        self._connect = connect
        self._is_strict = is_strict
        self._started = started
        self._table = table
        self.locked = locked

    def check(self) -> None:
        """Look at what was locked since.

        Raises:
            IncompleteExport: a relation is not what the snapshot has under its name.
            SourceUnavailable: no connection to look by.
            SourceRejected: the role may not see which relations are locked, and more is read than
                one table.
        """
        rows = self._session.attempt(LOCKED_WITH_ROWS)
        if rows is None:
            self._check_family()
            return
        late = frozenset({oid or "" for (oid,) in rows} - self.locked)
        if not late:
            return
        query = states_query(late)
        then = read_states(self._session.fetch(query))
        try:
            is_now = self._look(query)
        except SourceUnavailable:
            # No connection to spare.
            moved = self._session.fetch(unmoved_query(late)) != [(str(len(late)),)]
            if self._is_strict or moved:
                raise
            self.locked |= late
            return
        for oid, state in is_now.items():
            if state.holds_rows and then.get(oid) != state and self._has_rows(then.get(oid), state):
                raise IncompleteExport(
                    f"The relation {state.schema}.{state.name} was replaced or changed while the "
                    "export began (TRUNCATE, ALTER, RENAME, REFRESH, ATTACH or the like). It is "
                    "tried again."
                )
        self.locked |= late

    def _look(self, query: sql.Composable) -> dict[str, RelationState]:
        """Return states as they are now."""
        for _ in range(_TRIES):
            with self._connect("waybill witness") as other:
                begin = foreign.opening(
                    _BEGIN,
                    server_version=other.server_version,
                    lock_timeout_seconds=_TIMEOUT_SECONDS,
                    statement_timeout_seconds=_TIMEOUT_SECONDS,
                )
                if other.script(sql.SQL("; ").join([begin, STARTED])) == [(self._started,)]:
                    return read_states(other.fetch(query))
        raise SourceUnavailable(
            "Whether all rows came from what was locked could not be looked at: the source's "
            "address leads to several servers, and connections to others than the export's own. "
            "Give it the address of one."
        )

    def _check_family(self) -> None:
        query = None if self._table is None else family_query(self._table)
        then = {} if query is None else read_states(self._session.fetch(query))
        if query is None or not then:
            raise SourceRejected(
                "The role may not read pg_locks, by which it is proven that all rows came from "
                "what was locked before the snapshot: GRANT EXECUTE ON FUNCTION "
                "pg_catalog.pg_lock_status() TO it. (Tables without row security do without.)"
            )
        if self._look(query) != then:
            raise IncompleteExport(
                "The table, or one below it, was replaced or changed while the export began "
                "(TRUNCATE, ALTER, RENAME, ATTACH or the like). It is tried again."
            )

    def _has_rows(self, then: RelationState | None, now: RelationState) -> bool:
        """Whether a changed relation gave rows: one that is newer than the snapshot, a partition
        that was added, gave none unless they came frozen."""
        if then is not None or now.kind == "v":
            return True
        found = self._session.attempt(
            sql.SQL("SELECT EXISTS (SELECT FROM ONLY {})").format(
                sql.Identifier(now.schema, now.name)
            )
        )
        return found != [("f",)]
