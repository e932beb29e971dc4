"""A PostgreSQL session driven at libpq's level: COPY at half the client's cost, waits that end.

``cursor.copy()`` costs several times what this loop does, and that costs less still where it waits
for more to take at once (``Session.copy``; figures: docs/benchmarks.md). And libpq's blocking calls
hold Python's lock while the server is silent (measured: another thread got no turn in 1 s), so
every wait here is on the socket, with a look at ``check`` four times a second.

PostgreSQL's messages may quote data. No text of theirs leaves this module: errors carry the
SQLSTATE and its name.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import selectors
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final

import psycopg
from psycopg import pq, sql

from waybill.config import MAX_ROW_BYTES, PROGRESS_ROWS
from waybill.errors import (
    RowTooLarge,
    RunError,
    SourceRejected,
    SourceUnavailable,
    StandbyConflict,
)
from waybill.run_control import POLL_SECONDS
from waybill.source.arrivals import Arrivals
from waybill.source.copy_chunk import CopyChunk
from waybill.source.copy_messages import LONG_MESSAGE, Pauses, unframed

CHUNK_ROWS = PROGRESS_ROWS
CHUNK_BYTES = 32 * 1024
"""Small on purpose: messages that stay in the processor's cache and in Python's own arenas cost
half of what 256 KiB of them do."""
_CANCEL_SECONDS = 1.0
_ALLOCATION_REFUSED: Final = b"invalid memory alloc request size"
"""PostgreSQL's word, in any language, for a value above 1 GiB: an internal error by its code, which
would be tried again."""
LOCK_NOT_AVAILABLE: Final = "55P03"
_SERIALIZATION: Final = "40001"
"""What a read-only snapshot hears of on a standby alone: a conflict with recovery."""
_SAVEPOINT: Final = sql.Identifier("waybill_attempt")
_ROLLBACK: Final = sql.SQL("ROLLBACK")
_DISCARD: Final = sql.SQL("DISCARD ALL")
_SMALL_BYTES: Final = 4 * 1024 * 1024
"""After a larger COPY a new connection costs nothing beside it."""
_NOTHING_YET: Final = (0, b"")
"""What ``get_copy_data`` answers until more has arrived."""

# SQLSTATE classes (PostgreSQL documentation, appendix A) and codes whose cause may pass. All others
# say that this query, on these data or with these rights, will fail again.
_RETRYABLE_CLASSES = ("08", "40", "53", "57", "58", "72", "XX")
_RETRYABLE_CODES = frozenset({"55P03", "25P03", "25P04", "HV00N"})

_REMEDIES = {
    "42501": "Grant SELECT on the source (and USAGE on its schema) to the export role.",
    "42P01": "A table is missing: correct the catalog or restore the table. A query, a scope and "
    "the functions they call name their schemas, or have them in the type's search_path.",
    "3F000": "A schema is missing: correct the catalog or restore the schema.",
    "42703": "A column is missing: correct the catalog or restore the column.",
    "42883": "A column's type has no ordering (choose another key) or was changed, or a function "
    "or operator is missing: those of other schemas than pg_catalog need the type's search_path.",
    "42704": "A type or a collation is missing: those of other schemas than pg_catalog need the "
    "type's search_path.",
    **dict.fromkeys(
        ("22P02", "22007"),
        "A value cannot be read as the type of what it is compared with. Where a column's type was "
        "changed, correct the catalog and ask anew.",
    ),
    # PostgreSQL checks this itself on the way out, for a SQL_ASCII database too.
    "22021": "A text is not valid UTF-8, or not valid in the database's encoding: repair the data.",
    "22P05": "A text has no UTF-8 form: repair the data, or leave the column out.",
    "54000": "A row or value is larger than PostgreSQL can print: leave the column out.",
    "54011": "PostgreSQL selects at most 1,664 columns: choose fewer.",
    "54001": "The statement is too deeply nested for the server's max_stack_depth.",
    "55P03": "Another session locks the source.",
    _SERIALIZATION: "What is read was changed or cleaned up on the primary, and this standby had "
    "to follow. On the standby set hot_standby_feedback = on, or raise max_standby_streaming_delay "
    "above the time an export takes; or export from the primary.",
    "53300": "The server has no connection to spare.",
    **dict.fromkeys(
        ("08001", "HV00N"), "A server that a foreign table leads to does not answer: look at it."
    ),
    "57014": "The server cancelled the statement (statement_timeout, or an administrator).",
}


def error_from_sqlstate(sqlstate: str) -> RunError:
    """Return the error a failure of PostgreSQL means for the run."""
    try:
        name = psycopg.errors.lookup(sqlstate).__name__
    except KeyError:
        name = "unknown"
    remedy = _REMEDIES.get(sqlstate, "PostgreSQL's own log has the details.")
    is_retryable = sqlstate.startswith(_RETRYABLE_CLASSES) or sqlstate in _RETRYABLE_CODES
    kind: type[SourceUnavailable | SourceRejected] = (
        SourceUnavailable if is_retryable else SourceRejected
    )
    if sqlstate == _SERIALIZATION:
        kind = StandbyConflict
    verb = "could not finish" if is_retryable else "refused"
    error = kind(f"PostgreSQL {verb} the export's statement: {sqlstate} {name}. {remedy}")
    error.sqlstate = sqlstate
    return error


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a result: its name, type and type modifier."""

    name: str
    type_oid: int
    type_modifier: int


class Session:
    """Owns one connection and runs one statement at a time on it. For one thread.

    ``check`` is called while waiting and may raise to stop; the caller then closes the session,
    which also cancels the statement on the server.
    """

    def __init__(
        self,
        connection: psycopg.Connection[tuple[object, ...]],
        check: Callable[[], None],
        *,
        max_row_bytes: int = MAX_ROW_BYTES,
    ) -> None:
        self._max_row_bytes = max_row_bytes
        self._connection = connection
        self._pgconn = connection.pgconn
        self._check = check
        self._arrivals = Arrivals(self._pgconn.socket)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pgconn.socket, selectors.EVENT_READ)
        self._copied_rows: int | None = None
        self._is_buffer_long = False
        self._most_taken = 0
        self._last_words: str | None = None
        # What a server says to an idle session before it ends it comes as a notice.
        connection.add_notice_handler(self._hear)

    def _hear(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "FATAL":
            self._last_words = notice.sqlstate

    @property
    def copied_rows(self) -> int | None:
        """The row count of the last COPY's command tag; ``None`` until it ended well."""
        return self._copied_rows

    @property
    def backend_pid(self) -> int:
        """The server's process, as whoever accepted the connection named it."""
        return self._pgconn.backend_pid

    @property
    def server_version(self) -> int:
        """As libpq has it: 170004 for 17.4."""
        return self._connection.info.server_version

    @property
    def is_on_this_machine(self) -> bool:
        """Whether both ends of the connection are: a local socket, or one address twice."""
        with socket.socket(fileno=os.dup(self._pgconn.socket)) as connection:
            if connection.family not in {socket.AF_INET, socket.AF_INET6}:
                return True
            return is_same_machine(connection.getsockname()[0], connection.getpeername()[0])

    def fetch(
        self, query: sql.Composable, parameters: Sequence[str | None] = ()
    ) -> list[tuple[str | None, ...]]:
        """Run a statement with ``$1``… and return its rows as PostgreSQL's text."""
        return _rows(self._run(query, parameters))

    def script(self, statements: sql.Composable) -> list[tuple[str | None, ...]]:
        """Run statements of our own, joined by ``;``, in one message; return the rows of the last
        that has any. What fails leaves the transaction to be rolled back."""
        self._send(lambda: self._pgconn.send_query(statements.as_bytes(self._connection)))
        rows: list[tuple[str | None, ...]] = []
        failed: pq.abc.PGresult | None = None
        while (result := self._next_result()) is not None:
            if result.status == pq.ExecStatus.FATAL_ERROR:
                failed = failed or result  # a second one says that the connection is gone
            elif result.status == pq.ExecStatus.TUPLES_OK:
                rows = _rows(result)
        if failed is not None:
            raise _failure(failed)
        return rows

    def attempt(
        self, query: sql.Composable, *, is_ours: bool = True
    ) -> list[tuple[str | None, ...]] | None:
        """Run a query whose refusal the transaction is to survive; ``None`` if it was refused.

        Args:
            query: one statement.
            is_ours: whether nothing of an operator's text is in it: then it goes in one message.

        Raises:
            SourceUnavailable: the connection broke, or another session's lock was in the way.
        """
        save = sql.SQL("SAVEPOINT {}").format(_SAVEPOINT)
        release = sql.SQL("RELEASE SAVEPOINT {}").format(_SAVEPOINT)
        try:
            if is_ours:
                return self.script(sql.SQL("; ").join([save, query, release]))
            self.script(save)
            rows = self.fetch(query)
            self.script(release)
        except (SourceRejected, SourceUnavailable) as exc:
            is_broken = self._pgconn.transaction_status != pq.TransactionStatus.INERROR
            if is_broken or exc.sqlstate == LOCK_NOT_AVAILABLE:
                raise
            self.script(sql.SQL("ROLLBACK TO SAVEPOINT {}").format(_SAVEPOINT))
            return None
        return rows

    def describe(self, query: sql.Composable) -> list[Field]:
        """Run a statement and return its columns."""
        result = self._run(query, ())
        return [
            Field((result.fname(i) or b"").decode(), result.ftype(i), result.fmod(i))
            for i in range(result.nfields)
        ]

    def copy(self, statement: sql.Composable, *, is_large: bool = False) -> Iterator[CopyChunk]:
        """Run ``COPY … TO STDOUT`` and yield whole rows: at most 1,000, about 32 KiB.

        A COPY in ``FORMAT binary`` is to be of one column; its rows are the bare values.

        ``is_large``: many rows are expected, for which the server's messages are left to pile up a
        little before they are taken.
        """
        if is_large and not self._is_buffer_long:
            self.fetch(LONG_MESSAGE)
            self._is_buffer_long = True
        self._copied_rows = None
        self._send_one(statement, ())
        started = self._next_result()
        if started is None or started.status != pq.ExecStatus.COPY_OUT:
            raise _failure(started)
        batches = self._receive(Pauses() if is_large else None)
        if started.binary_tuples:
            batches = unframed(batches)
        for messages in batches:
            yield CopyChunk(messages)

    def _receive(self, pauses: Pauses | None) -> Iterator[list[bytes | memoryview]]:
        # This loop is most of what a row costs here, so it holds nothing that can wait.
        take = partial(self._pgconn.get_copy_data, 1)
        messages, filled, size, taken = list[bytes | memoryview](), 0, 0, 0
        waited_at = before = -1
        while size >= 0:
            room = CHUNK_ROWS - len(messages)
            for size, message in islice(iter(take, _NOTHING_YET), room):
                if size < 0:
                    break
                messages.append(message)
                filled += size
                if filled >= CHUNK_BYTES:
                    if size > self._max_row_bytes:
                        raise RowTooLarge(self._max_row_bytes)
                    break
            else:
                if len(messages) < CHUNK_ROWS:  # all that libpq has read is taken
                    if pauses is not None:
                        pauses.before_waiting(taken + filled)
                    # libpq gives a row when it has all of it. What has arrived since the last one
                    # is of a row that may never fit.
                    received = self._arrivals.count()
                    if taken + filled != waited_at:
                        waited_at, before = taken + filled, received
                    elif received - before > self._max_row_bytes:
                        raise RowTooLarge(self._max_row_bytes)
                    self._wait_for_input()
                    continue
            if size >= 0:
                yield messages
                taken += filled
                messages, filled = [], 0
        ended = self._next_result()
        if ended is None or ended.status != pq.ExecStatus.COMMAND_OK:
            raise _failure(ended)
        self._drain()
        self._most_taken = max(self._most_taken, taken + filled)
        if messages:
            yield messages
        self._copied_rows = ended.command_tuples

    def rest(self) -> psycopg.Connection[tuple[object, ...]] | None:
        """End the session, and return its connection as it was when it was made: without
        transaction, locks, settings or anything prepared. ``None`` where that cannot be, or where
        a large answer has made libpq's buffer grow: then it is closed."""
        is_idle = self._pgconn.transaction_status == pq.TransactionStatus.INTRANS
        try:
            if is_idle and not self._is_buffer_long and self._most_taken <= _SMALL_BYTES:
                self.script(_ROLLBACK)
                # Alone, as it refuses to be one of several statements.
                self.script(_DISCARD)
                self._connection.remove_notice_handler(self._hear)
                self._selector.close()
                self._arrivals.close()
                return self._connection
        except RunError:
            pass  # also an order to stop, which came when all was done
        self.close()
        return None

    def close(self) -> None:
        """Cancel what still runs and close the connection; never raises for the server's sake."""
        if self._pgconn.transaction_status == pq.TransactionStatus.ACTIVE:
            # Without it a backend that computes silently would go on until it next writes.
            with contextlib.suppress(psycopg.Error):
                self._connection.cancel_safe(timeout=_CANCEL_SECONDS)
        self._selector.close()
        self._arrivals.close()
        self._connection.close()

    def _run(self, query: sql.Composable, parameters: Sequence[str | None]) -> pq.abc.PGresult:
        self._send_one(query, parameters)
        result = self._next_result()
        if result is None or result.status not in {
            pq.ExecStatus.TUPLES_OK,
            pq.ExecStatus.COMMAND_OK,
        }:
            failure = _failure(result)
            # The connection may be well, and the next statement mend the transaction; or this is
            # why it ends, which says more than that it does.
            with contextlib.suppress(SourceUnavailable):
                while self._next_result() is not None:
                    pass
            raise failure
        self._drain()
        return result

    def _send_one(self, query: sql.Composable, parameters: Sequence[str | None]) -> None:
        values = [None if value is None else value.encode() for value in parameters]
        text = query.as_bytes(self._connection)
        # The extended protocol, which takes one statement and no second after a ``;``.
        self._send(lambda: self._pgconn.send_query_params(text, values))

    def _send(self, send: Callable[[], None]) -> None:
        try:
            send()
            while self._pgconn.flush():
                self._selector.modify(
                    self._pgconn.socket, selectors.EVENT_READ | selectors.EVENT_WRITE
                )
                if not self._selector.select(POLL_SECONDS):
                    self._check()
                self._pgconn.consume_input()
            self._selector.modify(self._pgconn.socket, selectors.EVENT_READ)
        except psycopg.OperationalError as exc:
            raise self._lost() from exc

    def _wait_for_input(self) -> None:
        while not self._selector.select(POLL_SECONDS):
            self._check()
        try:
            self._pgconn.consume_input()
        except psycopg.OperationalError as exc:
            self._check()
            raise self._lost() from exc

    def _lost(self) -> RunError:
        """Return why the connection was lost: what the server said last, if it came through."""
        if self._last_words is None:
            with contextlib.suppress(psycopg.Error):
                result = self._pgconn.get_result()
                state = result and result.error_field(pq.DiagnosticField.SQLSTATE)
                self._last_words = state.decode() if state else None
        return error_from_sqlstate(self._last_words) if self._last_words else _connection_lost()

    def _next_result(self) -> pq.abc.PGresult | None:
        while self._pgconn.is_busy():
            self._wait_for_input()
        return self._pgconn.get_result()

    def _drain(self) -> None:
        while (result := self._next_result()) is not None:
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise _failure(result)


def is_same_machine(own_host: str, server_host: str) -> bool:
    """Whether the addresses of a connection's two ends are of one machine."""
    return own_host == server_host or ipaddress.ip_address(server_host).is_loopback


def _rows(result: pq.abc.PGresult) -> list[tuple[str | None, ...]]:
    return [
        tuple(_text(result.get_value(row, column)) for column in range(result.nfields))
        for row in range(result.ntuples)
    ]


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _connection_lost() -> SourceUnavailable:
    return SourceUnavailable(
        "The connection to the source database was lost. It is tried again; if it persists, see "
        "PostgreSQL's log and the network between."
    )


def _failure(result: pq.abc.PGresult | None) -> RunError:
    state = None if result is None else result.error_field(pq.DiagnosticField.SQLSTATE)
    if result is not None and state == b"XX000":
        message = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b""
        if message.startswith(_ALLOCATION_REFUSED):
            state = b"54000"
    # libpq makes a result without SQLSTATE when the connection breaks under it.
    return _connection_lost() if state is None else error_from_sqlstate(state.decode())
