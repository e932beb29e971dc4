"""Relations of a random shape, and what happens to them: one transaction after the other.

The writer is alone, so the committed states have an order. Each row has a number ``n`` of its own,
a version ``v`` and a ``note`` that follows from both; a state is the version of each number. It is
read in the writer's own transaction, before COMMIT, by a statement without conditions.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import psycopg

from waybill.catalog import Column, ExportType, QuerySource, TableSource
from waybill.catalog.model import Consistency
from waybill.local.faults.whole.kinds import Kind

State = dict[int, int]

NOTE_REPEATS = 27
_NOTE = f"repeat(md5(n::text || ':' || v::text), {NOTE_REPEATS})"
_COLUMNS = (Column("n"), Column("v"), Column("note"))
_SESSION = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "iso_8601",
    "client_min_messages": "error",
}
# Made by somebody who may create in ``public``: they fit better than PostgreSQL's own.
TRAPS = (
    "CREATE OR REPLACE FUNCTION public.trap(varchar, varchar) RETURNS bool LANGUAGE sql AS"
    " 'SELECT false'",
    "CREATE OPERATOR public.> (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = public.trap)",
    "CREATE OPERATOR public.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = public.trap)",
    "CREATE OR REPLACE FUNCTION public.to_json(timestamptz) RETURNS json LANGUAGE sql AS"
    " $$SELECT '\"2001-01-01T00:00:00+00:00\"'::json$$",
    "CREATE OR REPLACE FUNCTION public.left(name, int) RETURNS text LANGUAGE sql AS"
    " $$SELECT 'forged'$$",
    "CREATE TYPE public.trapped AS (a int)",
    "CREATE CAST (public.trapped AS text) WITH INOUT AS IMPLICIT",
)


@dataclass
class Scenario:
    """One database with one relation to export.

    Args:
        dsn: an empty database of its own.
        kind: its key.
        shape: ``table``, ``partitioned``, ``view``, ``materialized``, ``join``, ``inherited``.
        rows: how many there are at first.
        only: the names of what may happen to it, if not everything.
    """

    dsn: str
    kind: Kind
    shape: str
    rows: int
    random: random.Random
    only: tuple[str, ...] = ()
    states: list[State] = field(default_factory=list)
    problem: BaseException | None = None

    @property
    def key(self) -> tuple[str, ...]:
        return self.kind.columns

    @property
    def most(self) -> int:
        """Return the largest number that a row can have."""
        return 4 * max(self.rows, 100)

    def export_type(self, consistency: Consistency) -> ExportType:
        """Return the relation as a catalog declares it."""
        source: TableSource | QuerySource = TableSource("public", self.exported)
        if self.shape == "join":
            source = QuerySource(
                f"SELECT {', '.join(f't.{k}' for k in self.key)}, t.n, t.v, t.note"
                " FROM public.t JOIN public.other AS o ON o.n = t.n"
            )
        # The key too: without it the manifest does not say where a segment ends.
        columns = (*_COLUMNS, *map(Column, self.key))
        return ExportType(
            "whole", source, key=self.key, columns=columns, consistency=consistency,
            deadline_seconds=120,
        )  # fmt: skip

    @property
    def exported(self) -> str:
        """Return the relation's name."""
        return {"view": "seen", "materialized": "kept"}.get(self.shape, "t")

    @property
    def may_resume(self) -> bool:
        """Whether the type may be declared resumable: a table with a unique index."""
        return self.shape in {"table", "partitioned"}

    def make(self) -> None:
        """Make the relation and its first state."""
        with self.connect() as connection:
            for statement in self.kind.before:
                connection.execute(statement.encode())
            connection.execute(self._create("t"))
            if self.shape == "partitioned":
                for number in range(3):
                    connection.execute(self._partition("t", number))
            if self.shape == "inherited":
                connection.execute("CREATE TABLE child () INHERITS (t)")
            self._fill(connection, "t", range(1, self.rows + 1), 0)
            if self.shape == "view":
                connection.execute("CREATE VIEW seen AS SELECT * FROM t")
            elif self.shape == "materialized":
                connection.execute("CREATE MATERIALIZED VIEW kept AS SELECT * FROM t")
                keys = ", ".join(self.key)
                connection.execute(f"CREATE UNIQUE INDEX ON kept ({keys})".encode())
            elif self.shape == "join":
                connection.execute("CREATE TABLE other AS SELECT n FROM t WHERE n % 3 > 0")
            connection.execute("ANALYZE")
            # What numbers' keys are, without an index: the judge's own order. Its columns are the
            # relation's, since a key's collation is its column's and not its value's.
            connection.execute(f"CREATE TABLE judge (n int, {self._key_columns()})".encode())
            connection.execute(
                f"INSERT INTO judge SELECT n, {self._values()}"
                f" FROM generate_series(1, {self.most}) AS n".encode()
            )
            self.states.append(self.read(connection))

    def read(self, connection: psycopg.Connection) -> State:
        """Return what the relation holds, as this connection sees it."""
        source = self.export_type("snapshot").source
        relation = f"({source.sql})" if isinstance(source, QuerySource) else self.exported
        rows = connection.execute(f"SELECT n, v FROM {relation} AS r".encode()).fetchall()
        return {int(n): int(v) for n, v in rows}

    # -- what happens --------------------------------------------------------------------------

    def run(self, stopped: threading.Event) -> None:
        """Change the relation until ``stopped``; whatever fails is rolled back and forgotten."""
        try:
            with self.connect() as connection:
                connection.execute("SET lock_timeout = '3s'")
                while not stopped.is_set():
                    self._step(connection)
                    stopped.wait(self.random.uniform(0, 0.4))
        except BaseException as exc:  # the main thread has to hear of it
            self.problem = exc

    def _step(self, connection: psycopg.Connection) -> None:
        change = self.random.choice(self._changes())
        try:
            if change in {self._vacuum, self._trap}:
                change(connection)  # changes no state
                return
            with connection.transaction():
                change(connection)
                # Long enough for an export to begin between the change and its commit.
                time.sleep(self.random.choice((0, 0, 0.3, 1.0)))
                state = self.read(connection)
                if self.random.random() < 0.1:
                    raise psycopg.Rollback
                # Before COMMIT: an export may see it at once.
                self.states.append(state)
        except psycopg.Error:
            if connection.closed:
                raise

    def _changes(self) -> list[Callable[[psycopg.Connection], None]]:
        changes: list[Callable[[psycopg.Connection], None]] = [
            self._insert, self._insert, self._update, self._update, self._delete, self._renumber,
            self._trap, self._vacuum,
        ]  # fmt: skip
        if self.shape == "materialized":
            changes += [self._refresh] * 4
        if self.shape == "partitioned":
            changes += [self._detach] * 3
        if self.shape != "inherited":
            changes += [self._refill] * 2
        if self.shape == "table":
            changes += [self._swap, self._swap, self._drop, self._retype, self._cluster]
        if self.only:
            return [change for change in changes if change.__name__[1:] in self.only]
        return changes

    def _insert(self, connection: psycopg.Connection) -> None:
        first = self.random.randrange(1, self.most - 50)
        table = "child" if self.shape == "inherited" and self.random.random() < 0.5 else "t"
        connection.execute(
            f"INSERT INTO {table} (n, v, note, {', '.join(self.key)}) SELECT n, v, {_NOTE},"
            f" {self._values()} FROM (SELECT n, {self._version()} AS v"
            f" FROM generate_series({first}, {first + 50}) AS n"
            " WHERE n NOT IN (SELECT n FROM t)) AS fresh".encode()
        )

    def _update(self, connection: psycopg.Connection) -> None:
        part = self.random.randrange(2, 30)
        version = self._version()
        connection.execute(
            f"UPDATE t SET v = {version},"
            f" note = repeat(md5(n::text || ':{version}'), {NOTE_REPEATS})"
            f" WHERE n % {part} = 0".encode()
        )

    def _delete(self, connection: psycopg.Connection) -> None:
        connection.execute(f"DELETE FROM t WHERE n % 17 = {self.random.randrange(17)}".encode())

    def _renumber(self, connection: psycopg.Connection) -> None:
        """Move rows from one end of the key to others."""
        self._delete(connection)
        self._insert(connection)

    def _refill(self, connection: psycopg.Connection) -> None:
        """TRUNCATE is not MVCC: a snapshot from before it sees an empty table."""
        connection.execute("CREATE TEMP TABLE held ON COMMIT DROP AS SELECT n FROM t")
        connection.execute("TRUNCATE t")
        numbers = [n for (n,) in connection.execute("SELECT n FROM held").fetchall()]
        self._fill(connection, "t", numbers, self._version())

    def _swap(self, connection: psycopg.Connection) -> None:
        self._build_beside(connection)
        connection.execute("ALTER TABLE t RENAME TO t_old")
        connection.execute("ALTER TABLE t_new RENAME TO t")
        connection.execute("DROP TABLE t_old")

    def _drop(self, connection: psycopg.Connection) -> None:
        self._build_beside(connection)
        connection.execute("DROP TABLE t")
        connection.execute("ALTER TABLE t_new RENAME TO t")

    def _build_beside(self, connection: psycopg.Connection) -> None:
        connection.execute(self._create("t_new"))
        numbers = [n for (n,) in connection.execute("SELECT n FROM t").fetchall()]
        self._fill(connection, "t_new", numbers, self._version())

    def _retype(self, connection: psycopg.Connection) -> None:
        wanted = self.random.choice(("int", "bigint", "numeric"))
        connection.execute(f"ALTER TABLE t ALTER COLUMN v TYPE {wanted}".encode())

    def _cluster(self, connection: psycopg.Connection) -> None:
        ((index,),) = connection.execute(
            "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 't'::regclass LIMIT 1"
        ).fetchall()
        connection.execute(f"CLUSTER t USING {index}".encode())

    def _vacuum(self, connection: psycopg.Connection) -> None:
        connection.execute(self.random.choice((b"VACUUM FULL t", b"VACUUM t", b"REINDEX TABLE t")))

    def _trap(self, connection: psycopg.Connection) -> None:
        connection.execute(self.random.choice(TRAPS).encode())

    def _refresh(self, connection: psycopg.Connection) -> None:
        how = self.random.choice(("", "CONCURRENTLY "))
        connection.execute(f"REFRESH MATERIALIZED VIEW {how}kept".encode())

    def _detach(self, connection: psycopg.Connection) -> None:
        number = self.random.randrange(3)
        attached = connection.execute(
            "SELECT 1 FROM pg_inherits WHERE inhrelid = %s::regclass", (f"t_{number}",)
        ).fetchone()
        if attached:
            connection.execute(f"ALTER TABLE t DETACH PARTITION t_{number}".encode())
        else:
            connection.execute(
                f"ALTER TABLE t ATTACH PARTITION t_{number}"
                f" FOR VALUES WITH (MODULUS 3, REMAINDER {number})".encode()
            )

    # -- statements ----------------------------------------------------------------------------

    def connect(self) -> psycopg.Connection:
        """Return a connection whose session prints keys as an export's does."""
        connection = psycopg.connect(self.dsn, autocommit=True)
        for name, value in _SESSION.items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        return connection

    def _create(self, name: str) -> bytes:
        keys = ", ".join(self.key)
        by_hash = f" PARTITION BY HASH ({keys})" if self.shape == "partitioned" else ""
        return (
            f"CREATE TABLE {name} (n int NOT NULL, v int NOT NULL, note text,"
            f" {self._key_columns()}, PRIMARY KEY ({keys})){by_hash}"
        ).encode()

    def _key_columns(self) -> str:
        pairs = zip(self.key, self.kind.types, strict=True)
        return ", ".join(f"{name} {type_name} NOT NULL" for name, type_name in pairs)

    def _partition(self, name: str, number: int) -> bytes:
        return (
            f"CREATE TABLE {name}_{number} PARTITION OF {name}"
            f" FOR VALUES WITH (MODULUS 3, REMAINDER {number})"
        ).encode()

    def _fill(
        self, connection: psycopg.Connection, table: str, numbers: Iterable[int], version: int
    ) -> None:
        listed = ",".join(map(str, numbers))
        connection.execute(
            f"INSERT INTO {table} (n, v, note, {', '.join(self.key)}) SELECT n, v, {_NOTE},"
            f" {self._values()} FROM (SELECT n, {version} AS v"
            f" FROM unnest('{{{listed}}}'::int[]) AS n) AS wanted ORDER BY md5(n::text)".encode()
        )

    def _values(self) -> str:
        return ", ".join(
            f"({value})::{type_name.split(' COLLATE')[0]} AS {name}"
            for name, value, type_name in zip(
                self.key, self.kind.values, self.kind.types, strict=True
            )
        )

    def _version(self) -> int:
        return len(self.states)
