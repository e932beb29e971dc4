"""The source database: one connection, one REPEATABLE READ READ ONLY snapshot per attempt."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from waybill.catalog.key_order import KeyOrder, key_order_query, read_key_order
from waybill.catalog.model import Column, ExportType, TableSource
from waybill.catalog.plan import ResolvedColumn
from waybill.catalog.relation_sql import from_source, source_column
from waybill.config import MAX_ROW_BYTES
from waybill.errors import (
    ConfigurationError,
    KeyNotUnique,
    SourceRejected,
    SourceUnavailable,
)
from waybill.source.copy_chunk import CopyChunk
from waybill.source.libpq import Session, error_from_sqlstate

EXACT_COUNT_ROWS = 200_000
EXACT_COUNT_COST = 50_000.0
"""Count before exporting only what counts in some tens of milliseconds: at most this many rows and
this planner's cost by EXPLAIN. Beyond it the planner's estimate serves and says that it is one."""

_SESSION_SETTINGS = {
    # What makes a value's text depend on the data alone and not on the server's configuration.
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "iso_8601",
    "extra_float_digits": "1",  # the shortest text that reads back as the same float
    "bytea_output": "hex",
    # A sequential scan would else begin where another one is, and the order would vary.
    "synchronize_seqscans": "off",
    # Compiling pays off for arithmetic, not for printing; with 1,600 columns it costs seconds.
    "jit": "off",
}


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
    was taken, the WAL position (``None`` where the role may not ask)."""

    id: str
    taken_at: datetime
    wal_lsn: str | None
    server_version: str


@dataclass(frozen=True, slots=True)
class RowCount:
    """How many rows to expect; ``is_exact`` only when counted inside the snapshot."""

    rows: int
    is_exact: bool


class PostgresSource:
    """Where exports read from. Holds no connection; safe to share and to fork with."""

    def __init__(self, dsn: str, settings: SourceSettings | None = None) -> None:
        self._dsn = dsn
        self._settings = settings or SourceSettings()

    @contextmanager
    def open_snapshot(
        self,
        check: Callable[[], None],
        *,
        application_name: str = "waybill export",
        statement_timeout_seconds: float | None = None,
        exported: str | None = None,
    ) -> Iterator[PostgresSnapshot]:
        """Connect and hold one snapshot for the block; the connection closes with it.

        ``check`` is called while waiting for PostgreSQL and stops the wait by raising. ``exported``
        is another connection's snapshot to share (``PostgresSnapshot.export``).

        Raises:
            SourceUnavailable: no connection, or it broke.
            SourceRejected: the server refuses the role or the database.
            ConfigurationError: the DSN is malformed.
        """
        session = Session(
            self._connect(application_name), check, max_row_bytes=self._settings.max_row_bytes
        )
        try:
            timeout = (
                self._settings.statement_timeout_seconds
                if statement_timeout_seconds is None
                else statement_timeout_seconds
            )
            yield PostgresSnapshot(session, _begin(session, self._settings, timeout, exported))
        finally:
            session.close()

    def _connect(self, application_name: str) -> psycopg.Connection[tuple[object, ...]]:
        try:
            return psycopg.connect(
                self._dsn,
                autocommit=True,
                application_name=application_name[:63],
                connect_timeout=self._settings.connect_timeout_seconds,
                client_encoding="UTF8",
                # A vanished server is noticed within 30 s even while it is silent.
                keepalives=1,
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=4,
                tcp_user_timeout=30_000,
            )
        except psycopg.ProgrammingError as exc:
            raise ConfigurationError(
                "The source DSN is malformed. Write it as postgresql://user:password@host:5432/name"
            ) from exc
        except psycopg.OperationalError as exc:
            if exc.sqlstate is not None:
                raise error_from_sqlstate(exc.sqlstate) from exc
            raise SourceUnavailable(
                f"No connection to the source database at {_address(self._dsn)}. Check that it "
                "runs, that it accepts this role, and WAYBILL_SOURCE_DSN."
            ) from exc


class PostgresSnapshot:
    """The source as it was at one instant. Not thread-safe."""

    def __init__(self, session: Session, facts: SnapshotFacts) -> None:
        self._session = session
        self.facts = facts

    @property
    def copied_rows(self) -> int | None:
        """The rows PostgreSQL says the finished ``copy`` sent; ``None`` until it has finished."""
        return self._session.copied_rows

    @property
    def is_on_this_machine(self) -> bool:
        """Whether PostgreSQL runs where this process does."""
        return self._session.is_on_this_machine

    def resolve(
        self, export_type: ExportType, columns: Sequence[Column] = ()
    ) -> tuple[ResolvedColumn, ...]:
        """Return ``columns`` (else the type's declared ones, else all) with their types.

        Raises:
            SourceRejected: the relation, a column or a key column does not exist.
        """
        found = (
            self._table_columns(export_type.source)
            if isinstance(export_type.source, TableSource)
            else self._query_columns(export_type)
        )
        wanted = tuple(columns) or export_type.columns or tuple(Column(c.name) for c in found)
        by_name = {column.name: column for column in found}
        names = [column.name for column in found]
        for name in (*(column.name for column in wanted), *export_type.key):
            if name not in by_name:
                raise SourceRejected(
                    f"The source of {export_type.name!r} has no column {name!r}. It has: "
                    f"{', '.join(names)}."
                )
            if names.count(name) > 1:
                raise SourceRejected(
                    f"The query of {export_type.name!r} has more than one column {name!r}. "
                    "Give each its own name with AS."
                )
        if not wanted:
            raise SourceRejected(f"The source of {export_type.name!r} has no columns.")
        return tuple(
            ResolvedColumn(
                name=column.name,
                header=column.header,
                type_name=by_name[column.name].type_name,
                type_oid=by_name[column.name].type_oid,
                base_type_oid=by_name[column.name].base_type_oid,
                nullable=by_name[column.name].nullable,
                base_type_name=by_name[column.name].base_type_name,
            )
            for column in wanted
        )

    def count_rows(self, export_type: ExportType, where: sql.Composable | None = None) -> RowCount:
        """Return how many rows to expect: counted when that is cheap, else the estimate."""
        source = from_source(export_type.source, where)
        estimate, cost = self._explain(source)
        if estimate > EXACT_COUNT_ROWS or cost > EXACT_COUNT_COST:
            return RowCount(estimate, is_exact=False)
        counted = self._session.fetch(
            sql.SQL("SELECT pg_catalog.count(*) FROM (SELECT 1 {}) AS rows").format(source)
        )
        return RowCount(int(counted[0][0] or 0), is_exact=True)

    def has_more_rows_than(
        self, limit: int, export_type: ExportType, where: sql.Composable | None = None
    ) -> bool:
        """Return whether there are more than ``limit`` rows, as far as that is known in advance:
        counted, and no further than needed, only when the planner expects so many."""
        source = from_source(export_type.source, where)
        if self._explain(source)[0] <= limit:
            return False
        counted = self._session.fetch(
            sql.SQL("SELECT pg_catalog.count(*) FROM (SELECT 1 {} LIMIT {}) AS rows").format(
                source, sql.Literal(limit + 1)
            )
        )
        return int(counted[0][0] or 0) > limit

    def _explain(self, source: sql.Composable) -> tuple[int, float]:
        """Return how many rows the planner expects of a source, and its cost."""
        plan_text = self._session.fetch(
            sql.SQL("EXPLAIN (FORMAT JSON) SELECT 1 {}").format(source)
        )[0][0]
        plan = json.loads(plan_text or "[{}]")[0]["Plan"]
        return int(plan["Plan Rows"]), float(plan["Total Cost"])

    def check_key(self, export_type: ExportType, where: sql.Composable | None = None) -> None:
        """Make sure that the key identifies each row: by a unique index, else by the data.

        Only rows that ``where`` chooses are looked at: the file holds no others.

        Raises:
            KeyNotUnique: two rows share a key, or a part of one is NULL.
        """
        key = export_type.key
        if not key or self._has_unique_index(export_type):
            return
        parts = [source_column(name) for name in key]
        duplicate = self._session.fetch(
            sql.SQL(
                "SELECT 1 {source} GROUP BY {parts} "
                "HAVING pg_catalog.count(*) > 1 OR {nulls} LIMIT 1"
            ).format(
                source=from_source(export_type.source, where),
                parts=sql.SQL(", ").join(parts),
                nulls=sql.SQL(" OR ").join(sql.SQL("{} IS NULL").format(part) for part in parts),
            )
        )
        if duplicate:
            raise KeyNotUnique(export_type.name, key)

    def require_unique_key(self, export_type: ExportType) -> None:
        """Make sure that the key identifies each row whatever the data: an export that is resumed
        reads behind a key, in a later snapshot than the one in which data could be looked at.

        Raises:
            SourceRejected: a key column may be NULL, or no unique index lies over the key.
        """
        columns = self.resolve(export_type, tuple(Column(name) for name in export_type.key))
        may_be_null = any(column.nullable for column in columns)
        if may_be_null or not self._has_unique_index(export_type):
            raise SourceRejected(
                f"Export type {export_type.name!r} is declared resumable, which needs NOT NULL key "
                "columns and a unique index on them or some of them. `waybill check` says how to "
                'make one; or set consistency = "snapshot".'
            )

    def has_key_index(self, export_type: ExportType) -> bool:
        """Whether rows can be read in ranges of the key: a table (no view, no row security, whose
        policies may ask for the time) with a btree index that has the key's columns in front."""
        source = export_type.source
        if not isinstance(source, TableSource) or not export_type.key:
            return False
        key = json.dumps(export_type.key)
        return self._session.fetch(_KEY_INDEX, (source.schema, source.table, key)) == [("t",)]

    def key_order(self, export_type: ExportType) -> KeyOrder:
        """Return how far the order of a table's key can be relied on."""
        source = export_type.source
        if not isinstance(source, TableSource) or not export_type.key:
            raise SourceRejected(f"Export type {export_type.name!r} reads no table by a key.")
        version = self._session.fetch(
            sql.SQL("SELECT pg_catalog.current_setting('server_version_num')")
        )
        query = key_order_query(source, export_type.key, int(version[0][0] or 0))
        return read_key_order(self._session.fetch(query)[0][0])

    def count_exactly(
        self,
        export_type: ExportType,
        where: sql.Composable | None = None,
        *,
        of_which: sql.Composable | None = None,
    ) -> tuple[int, int]:
        """Return how many rows there are, and how many of them ``of_which`` chooses.

        All rows are gone through, by whatever is quickest: no index has to find any.
        """
        ((rows, chosen),) = self._session.fetch(
            sql.SQL("SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE {}) {}").format(
                of_which or sql.SQL("true"), from_source(export_type.source, where)
            )
        )
        return int(rows or 0), int(chosen or 0)

    def export(self) -> str:
        """Return a name by which other connections can share this snapshot while it is open."""
        return self._session.fetch(sql.SQL("SELECT pg_catalog.pg_export_snapshot()"))[0][0] or ""

    def fetch(self, query: sql.Composable) -> list[tuple[str | None, ...]]:
        """Run a query of this snapshot and return its rows as PostgreSQL's text."""
        return self._session.fetch(query)

    def copy(self, statement: sql.Composable, *, is_large: bool = False) -> Iterator[CopyChunk]:
        """Run a COPY of this snapshot; see ``Session.copy``."""
        return self._session.copy(statement, is_large=is_large)

    def _table_columns(self, table: TableSource) -> list[ResolvedColumn]:
        rows = self._session.fetch(_TABLE_COLUMNS, (table.schema, table.table))
        if not rows:
            raise SourceRejected(
                f"There is no table or view {table.table!r} in schema {table.schema!r}. Correct "
                "the catalog (names are exact, case included)."
            )
        return [
            ResolvedColumn(
                name=name,
                header=name,
                type_name=type_name or "",
                type_oid=int(type_oid or 0),
                base_type_oid=int(base_oid or 0),
                nullable=not_null != "t",
                base_type_name=base_name or "",
            )
            for name, type_oid, type_name, base_oid, base_name, not_null in rows
            # A relation without columns is one row of NULLs.
            if name is not None
        ]

    def _query_columns(self, export_type: ExportType) -> list[ResolvedColumn]:
        fields = self._session.describe(
            sql.SQL("SELECT * {} LIMIT 0").format(from_source(export_type.source))
        )
        type_names = self._session.fetch(
            sql.SQL(
                "SELECT pg_catalog.format_type(t.oid, t.modifier) "
                "FROM unnest($1::oid[], $2::int4[]) WITH ORDINALITY AS t (oid, modifier, n) "
                "ORDER BY t.n"
            ),
            (
                "{" + ",".join(str(field.type_oid) for field in fields) + "}",
                "{" + ",".join(str(field.type_modifier) for field in fields) + "}",
            ),
        )
        return [
            ResolvedColumn(
                name=field.name,
                header=field.name,
                type_name=type_name or "",
                type_oid=field.type_oid,
                base_type_oid=field.type_oid,  # a result's description has domains taken off
            )
            for field, (type_name,) in zip(fields, type_names, strict=True)
        ]

    def _has_unique_index(self, export_type: ExportType) -> bool:
        source = export_type.source
        if not isinstance(source, TableSource):
            return False
        key = json.dumps(export_type.key)
        return self._session.fetch(_UNIQUE_INDEX, (source.schema, source.table, key)) == [("t",)]


def _begin(
    session: Session,
    settings: SourceSettings,
    timeout_seconds: float,
    exported: str | None = None,
) -> SnapshotFacts:
    values = {
        **_SESSION_SETTINGS,
        "lock_timeout": str(round(settings.lock_timeout_seconds * 1000)),
        "statement_timeout": str(round(timeout_seconds * 1000)),
    }
    # Settings unknown to an old server are left out (``jit`` came with PostgreSQL 11). What the
    # role may ask is asked here, since a refusal inside the transaction would end it.
    answers = session.fetch(
        sql.SQL("""
        SELECT has_function_privilege('pg_catalog.pg_current_wal_lsn()', 'EXECUTE')
           AND has_function_privilege('pg_catalog.pg_last_wal_replay_lsn()', 'EXECUTE'),
               pg_catalog.set_config(w.name, w.value, false)
        FROM json_each_text($1::json) AS w (name, value)
        WHERE pg_catalog.current_setting(w.name, true) IS NOT NULL"""),
        (json.dumps(values),),
    )
    may_read_lsn = answers[0][0] == "t"
    session.fetch(sql.SQL("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))
    if exported is not None:
        session.fetch(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(exported)))
    # The first query takes the snapshot.
    lsn = (
        sql.SQL(
            "(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() "
            "ELSE pg_current_wal_lsn() END)::text"
        )
        if may_read_lsn
        else sql.SQL("NULL::text")
    )
    identity, taken_at, wal_lsn, version = session.fetch(
        sql.SQL(
            "SELECT pg_current_snapshot()::text, to_json(statement_timestamp()) #>> '{{}}', {lsn}, "
            "current_setting('server_version')"
        ).format(lsn=lsn)
    )[0]
    return SnapshotFacts(
        id=identity or "",
        taken_at=datetime.fromisoformat(taken_at or ""),
        wal_lsn=wal_lsn,
        server_version=version or "",
    )


def _address(dsn: str) -> str:
    """Return ``host:port/name`` of a DSN, without its user and password."""
    parts = conninfo_to_dict(dsn)
    host = parts.get("host") or parts.get("hostaddr") or "the local socket"
    return f"{host}:{parts.get('port') or 5432}/{parts.get('dbname') or ''}"


_TABLE_COLUMNS = sql.SQL("""
    SELECT a.attname, a.atttypid, pg_catalog.format_type(a.atttypid, a.atttypmod),
           base.oid, pg_catalog.format_type(base.oid, base.modifier), a.attnotnull
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_attribute AS a
           ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN LATERAL (
        WITH RECURSIVE stripped (oid, typtype, typbasetype, modifier, basemodifier) AS (
            SELECT t.oid, t.typtype, t.typbasetype, a.atttypmod, t.typtypmod
            FROM pg_catalog.pg_type AS t WHERE t.oid = a.atttypid
            UNION ALL
            SELECT t.oid, t.typtype, t.typbasetype, s.basemodifier, t.typtypmod
            FROM pg_catalog.pg_type AS t JOIN stripped AS s ON s.typbasetype = t.oid
            WHERE s.typtype = 'd'
        ) SELECT s.oid, s.modifier FROM stripped AS s WHERE s.typtype <> 'd'
    ) AS base ON true
    WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    ORDER BY a.attnum""")

# A unique index proves the key when all its columns are NOT NULL and in the key. It must be valid,
# whole (no predicate), over plain columns, enforced at once, a real unique index and not an
# exclusion (WITHOUT OVERLAPS), and its table must have no inheritance children, which an index of
# the parent does not cover. A partitioned table's index does cover its partitions.
_UNIQUE_INDEX = sql.SQL("""
    SELECT EXISTS (
        SELECT 1
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_index AS i ON i.indrelid = c.oid
        WHERE n.nspname = $1 AND c.relname = $2
          AND i.indisunique AND i.indisvalid AND i.indimmediate AND NOT i.indisexclusion
          AND i.indpred IS NULL AND i.indexprs IS NULL
          AND (c.relkind = 'p' OR NOT c.relhassubclass)
          AND NOT EXISTS (
              SELECT 1
              FROM generate_series(0, i.indnkeyatts - 1) AS position
              JOIN pg_catalog.pg_attribute AS a
                ON a.attrelid = c.oid AND a.attnum = i.indkey[position]
              WHERE NOT a.attnotnull
                 OR NOT a.attname = ANY (ARRAY(SELECT json_array_elements_text($3::json)))))""")

# An index that gives the rows in the order of ORDER BY key, so that a range of it is a range of the
# index: the key's columns in front, ascending, NULLs last, in the column's own collation and the
# type's default order.
_KEY_INDEX = sql.SQL("""
    SELECT EXISTS (
        SELECT 1
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_index AS i ON i.indrelid = c.oid
        JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
        JOIN pg_catalog.pg_am AS m ON m.oid = x.relam
        WHERE n.nspname = $1 AND c.relname = $2
          AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity
          AND (c.relkind = 'p' OR NOT c.relhassubclass)
          AND m.amname = 'btree' AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
          AND i.indnkeyatts >= json_array_length($3::json)
          AND NOT EXISTS (
              SELECT 1
              FROM json_array_elements_text($3::json) WITH ORDINALITY AS k (name, n)
              WHERE NOT EXISTS (
                  SELECT 1
                  FROM pg_catalog.pg_attribute AS a
                  JOIN pg_catalog.pg_opclass AS o ON o.oid = i.indclass[k.n::int - 1]
                  WHERE a.attrelid = c.oid AND a.attname = k.name AND a.attnotnull
                    AND a.attnum = i.indkey[k.n::int - 1]
                    AND i.indoption[k.n::int - 1] = 0
                    AND i.indcollation[k.n::int - 1] = a.attcollation
                    AND o.opcdefault)))""")
