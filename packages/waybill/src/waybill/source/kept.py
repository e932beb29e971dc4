"""Connections to the source that rest between exports, instead of a new one for each.

A new one costs a small export a third of PostgreSQL's work: a process, SCRAM on both ends, and a
catalog to be read again from nothing. So a worker's process keeps those it had, as many as it has
exports side by side, if nothing speaks against one. Each belongs to one export at a time. What a
new connection would have found out, a kept one must find out too:

* whose it is: the role's rights to connect and its settings are asked for in each snapshot
  (``STANDING``), and must be those of the first;
* that the server is the same, and in the same part: its identifier, its start, primary or standby;
* what no question answers (another password, another line of ``pg_hba.conf``, another address
  behind a name): no connection is older than ``MOST_SECONDS`` when it is taken.

Nothing is left behind for the next export: the transaction is rolled back with all its settings,
then ``DISCARD ALL``. Only what read plain tables is kept, as code of others (views, queries,
policies) may leave behind what that does not clear; and none that comes through a pooler, which
lends any server's connection to anybody.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import pq, sql

MOST_SECONDS: Final = 30.0
"""How old a kept connection gets, whether it rests or not."""
_ANSWER_MILLISECONDS: Final = 5_000
"""How long a kept connection's peer may leave unacknowledged what is sent first: as long as a new
connection may take."""

STANDING: Final = sql.SQL("""(
    SELECT pg_catalog.concat_ws(' ', pg_catalog.pg_backend_pid(),
        (SELECT s.system_identifier FROM pg_catalog.pg_control_system() AS s),
        pg_catalog.pg_postmaster_start_time(), pg_catalog.pg_is_in_recovery(),
        session_user, current_user, r.oid, r.rolcanlogin, r.rolsuper, r.rolbypassrls,
        coalesce(r.rolvaliduntil OPERATOR(pg_catalog.>) pg_catalog.now(), true), d.datallowconn,
        pg_catalog.has_database_privilege(r.oid, d.oid, 'CONNECT'),
        ARRAY(SELECT (c.setdatabase, c.setrole, c.setconfig)::pg_catalog.text
              FROM pg_catalog.pg_db_role_setting AS c
              WHERE c.setdatabase OPERATOR(pg_catalog.=) ANY (ARRAY[0::pg_catalog.oid, d.oid])
                AND c.setrole OPERATOR(pg_catalog.=) ANY (ARRAY[0::pg_catalog.oid, r.oid])
              ORDER BY c.setdatabase, c.setrole))
    FROM pg_catalog.pg_roles AS r, pg_catalog.pg_database AS d
    WHERE r.rolname OPERATOR(pg_catalog.=) session_user
      AND d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())""")
"""Who and where a session is, its backend's number first; NULL if its role is no more."""


@dataclass(slots=True)
class KeptConnection:
    """A connection, what it stood for when it was made, and when that was, by the keeper's clock.
    ``is_timed``: somebody will close it once it is old."""

    connection: psycopg.Connection[tuple[object, ...]]
    standing: str
    made_at: float
    is_timed: bool = False

    @property
    def is_quiet(self) -> bool:
        """Whether it is open and the server has said nothing since: its last words, or its end,
        would wait to be read. Asks nobody."""
        pgconn = self.connection.pgconn
        if pgconn.status != pq.ConnStatus.OK:
            return False
        if pgconn.transaction_status != pq.TransactionStatus.IDLE:
            return False
        poll = select.poll()
        poll.register(pgconn.socket, select.POLLIN)
        return not poll.poll(0)


class ConnectionKeeper:
    """Keeps ``places`` connections at most. Safe for threads, and with a fork: a child has none."""

    def __init__(
        self,
        *,
        places: int = 1,
        most_seconds: float = MOST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self._places = places
        self._most_seconds = most_seconds
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._kept: list[KeptConnection] = []
        self._parents: list[KeptConnection] = []

    def take(self) -> KeptConnection | None:
        """Give a connection away, if there is one that may still be used: that which rested
        shortest, so that those which are not needed grow old."""
        while True:
            with self._own_lock():
                if not self._kept:
                    return None
                kept = self._kept.pop()
            if not self._is_old(kept) and kept.is_quiet:
                limit_silence(kept.connection, _ANSWER_MILLISECONDS)
                return kept
            kept.connection.close()

    def keep(self, kept: KeptConnection) -> None:
        """Let a connection rest until it is taken or too old; close it if all places are taken."""
        with self._own_lock():
            if len(self._kept) < self._places and not self._is_old(kept):
                self._kept.append(kept)
                if not kept.is_timed:
                    kept.is_timed = True
                    self._close_in_time(kept)
                return
        kept.connection.close()

    def close(self) -> None:
        """Close what rests here."""
        with self._own_lock():
            resting, self._kept = self._kept, []
        for kept in resting:
            kept.connection.close()

    # -- age --------------------------------------------------------------------------------------

    def _is_old(self, kept: KeptConnection) -> bool:
        return self.clock() - kept.made_at >= self._most_seconds

    def _close_in_time(self, kept: KeptConnection) -> None:
        left = kept.made_at + self._most_seconds - self.clock()
        timer = threading.Timer(left, self._close_if_resting, [kept])
        timer.daemon = True
        timer.start()

    def _close_if_resting(self, kept: KeptConnection) -> None:
        # One that is in use is closed when it comes back.
        with self._own_lock():
            resting = [each for each in self._kept if each is not kept]
            if len(resting) == len(self._kept):
                return
            self._kept = resting
        kept.connection.close()

    # -- forks ------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _own_lock(self) -> Iterator[None]:
        if self._pid != os.getpid():
            # The parent's connections are the parent's: closing one here would end it there. And
            # its lock may have been held by a thread that the child does not have.
            self._lock = threading.Lock()
            self._parents, self._kept = self._kept, []
            self._pid = os.getpid()
        with self._lock:
            yield


def limit_silence(connection: psycopg.Connection[tuple[object, ...]], milliseconds: int) -> None:
    """Have a connection break if what is sent is not acknowledged by the peer's kernel in time:
    behind an address that moved on there may be nobody who would refuse it."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    with socket.socket(fileno=os.dup(connection.pgconn.socket)) as own:
        if option is not None and own.family in {socket.AF_INET, socket.AF_INET6}:
            own.setsockopt(socket.IPPROTO_TCP, option, milliseconds)
