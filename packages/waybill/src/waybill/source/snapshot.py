"""A snapshot of the source: what an export may ask of it while it is open."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace

from psycopg import sql

from waybill.catalog import foreign
from waybill.catalog.comparisons import (
    BUILTIN,
    Comparisons,
    KeyComparisons,
    of_their_own,
    operators_query,
    read_operators,
)
from waybill.catalog.key_order import KeyOrder, key_order_query, read_key_order
from waybill.catalog.model import Column, ExportType, TableSource
from waybill.catalog.relation_sql import from_source, source_column
from waybill.catalog.resolved import ResolvedColumn, computed_column
from waybill.errors import (
    KeyNotUnique,
    SourceRejected,
)
from waybill.source.copy_chunk import CopyChunk
from waybill.source.estimates import estimates_query, read_estimates
from waybill.source.keys import KEY_INDEX, PLAIN_UNIQUE_INDEX, UNIQUE_INDEX
from waybill.source.libpq import Session
from waybill.source.opening import (
    Opened,
    SharedSnapshot,
)
from waybill.source.pace import Pace
from waybill.source.reads import Reads
from waybill.source.witness import Witness

EXACT_COUNT_ROWS = 200_000
EXACT_COUNT_COST = 50_000.0
"""Count before exporting only what counts in some tens of milliseconds: at most this many rows and
this planner's cost by EXPLAIN. Beyond it the planner's estimate serves and says that it is one."""


@dataclass(frozen=True, slots=True)
class RowCount:
    """How many rows to expect; ``is_exact`` only when counted inside the snapshot. ``is_least``:
    that many were found, and there may be more."""

    rows: int
    is_exact: bool
    is_least: bool = False


def shown_count(export_type: ExportType, count: RowCount) -> RowCount | None:
    """Return what the person who exports may be told of a count; ``None`` where that is nothing.

    The planner guesses by statistics of the whole table. Where a person has rows of their own
    alone, what it says is also about everybody else's.
    """
    return None if export_type.scope is not None and not count.is_exact else count


class PostgresSnapshot:
    """The source as it was at one instant. Not thread-safe."""

    def __init__(
        self,
        session: Session,
        opened: Opened,
        reads: Reads | None,
        connect: Callable[[str], closing[Session]],
        pace: Pace,
    ) -> None:
        self._session = session
        self._pace = pace
        self._reads = reads
        self._witness = Witness(
            session,
            opened.locked,
            connect,
            is_strict=reads is not None,
            started=opened.place.started,
            table=reads.table if reads else None,
        )
        self._types: dict[ExportType, dict[str, int]] = {}
        self.facts = opened.facts
        self.place = opened.place

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
        found = self._columns(export_type)
        self._types[export_type] = {column.name: column.base_type_oid for column in found}
        wanted = tuple(columns) or export_type.columns or tuple(Column(c.name) for c in found)
        by_name = {column.name: column for column in found}
        names = [column.name for column in found]
        for column in wanted:
            if column.computed is not None and column.name in by_name:
                raise SourceRejected(
                    f"The source of {export_type.name!r} has a column {column.name!r} of its own. "
                    "Call the computed one otherwise."
                )
        for name in (*(name for column in wanted for name in column.reads), *export_type.key):
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
            replace(by_name[column.name], header=column.header)
            if column.computed is None
            else computed_column(
                column.name,
                column.header,
                column.computed,
                tuple(by_name[name] for name in column.reads),
            )
            for column in wanted
        )

    def estimate_rows(self, tables: Sequence[TableSource]) -> dict[TableSource, int]:
        """Return about how many rows tables have, of those of which PostgreSQL knows it without
        looking; all tenants' rows (``shown_count``)."""
        return read_estimates(tables, self._session.fetch(estimates_query(tables)))

    def count_rows(self, export_type: ExportType, where: sql.Composable | None = None) -> RowCount:
        """Return how many rows to expect: counted when that is cheap, else the estimate, which is
        made by statistics of all rows (``shown_count``)."""
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
        return self._count_up_to(limit + 1, source) > limit

    def count_up_to(
        self, limit: int, export_type: ExportType, where: sql.Composable | None = None
    ) -> RowCount:
        """Count, and no further than ``limit``."""
        counted = self._count_up_to(limit, from_source(export_type.source, where))
        return RowCount(counted, is_exact=counted < limit, is_least=counted >= limit)

    def _count_up_to(self, limit: int, source: sql.Composable) -> int:
        counted = self._session.fetch(
            sql.SQL("SELECT pg_catalog.count(*) FROM (SELECT 1 {} LIMIT {}) AS rows").format(
                source, sql.Literal(limit)
            )
        )
        return int(counted[0][0] or 0)

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
                "HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1::pg_catalog.int8 OR {nulls} "
                "LIMIT 1"
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
        return self._has_index(KEY_INDEX, export_type, source)

    def key_order(self, export_type: ExportType) -> KeyOrder:
        """Return how far the order of a table's key can be relied on."""
        source = export_type.source
        if not isinstance(source, TableSource) or not export_type.key:
            raise SourceRejected(f"Export type {export_type.name!r} reads no table by a key.")
        version = self._session.fetch(
            sql.SQL("SELECT pg_catalog.current_setting('server_version_num')")
        )
        query = key_order_query(source, export_type.key, int(version[0][0] or 0))
        return read_key_order(self._ask(query)[0][0])

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

    def comparisons(self, export_type: ExportType) -> dict[str, Comparisons]:
        """Return how the source's columns compare whose types are not PostgreSQL's own."""
        types = self._type_oids(export_type)
        theirs = of_their_own(types.values())
        found = read_operators(self._ask(operators_query(theirs))) if theirs else {}
        return {name: found[oid] for name, oid in types.items() if oid in found}

    def key_comparisons(self, export_type: ExportType) -> KeyComparisons:
        """Return how the rows of a type follow each other."""
        known = self.comparisons(export_type)
        key = export_type.key
        return KeyComparisons(key, tuple(known.get(name, BUILTIN) for name in key))

    def export(self) -> SharedSnapshot:
        """Return what other connections need to share this snapshot while it is open."""
        name = self._session.fetch(sql.SQL("SELECT pg_catalog.pg_export_snapshot()"))[0][0] or ""
        return SharedSnapshot(name, self.facts, self._reads, self._witness.locked, self.place)

    def fetch(self, query: sql.Composable) -> list[tuple[str | None, ...]]:
        """Run a query of this snapshot and return its rows as PostgreSQL's text."""
        return self._session.fetch(query)

    def copy(self, statement: sql.Composable, *, is_large: bool = False) -> Iterator[CopyChunk]:
        """Run a COPY of this snapshot; see ``Session.copy``.

        Raises:
            IncompleteExport: a relation was replaced between the snapshot and the COPY.
        """
        yield from self._pace.keep(self._session.copy(statement, is_large=is_large))
        self._witness.check()

    def explaining_delays(self) -> AbstractContextManager[None]:
        """Return a context in which a deadline that passes says how long was waited on purpose
        (``HeldBack``)."""
        return self._pace.explaining()

    def prove_unmoved(self) -> None:
        """Make sure that what was read until now is what the snapshot shows, and not the new
        content of a relation that was replaced meanwhile.

        Raises:
            IncompleteExport: it was replaced.
        """
        self._witness.check()

    def _columns(self, export_type: ExportType) -> list[ResolvedColumn]:
        source = export_type.source
        if isinstance(source, TableSource):
            return self._table_columns(source)
        return self._query_columns(export_type)

    def _table_columns(self, table: TableSource) -> list[ResolvedColumn]:
        rows = self._ask(_TABLE_COLUMNS, (table.schema, table.table))
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
                "FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]), "
                "pg_catalog.unnest($2::pg_catalog.int4[])) WITH ORDINALITY AS t (oid, modifier, n) "
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
        return self._has_index(PLAIN_UNIQUE_INDEX, export_type, source) or self._has_index(
            UNIQUE_INDEX, export_type, source
        )

    def _has_index(
        self, query: sql.Composable, export_type: ExportType, table: TableSource
    ) -> bool:
        types = self._type_oids(export_type)
        key = json.dumps([{"name": name, "type": types.get(name, 0)} for name in export_type.key])
        return self._ask(query, (table.schema, table.table, key)) == [("t",)]

    def _ask(
        self, query: sql.Composable, parameters: Sequence[str | None] = ()
    ) -> list[tuple[str | None, ...]]:
        """Run a question of ours to the system's catalog; nothing of theirs is searched for it."""
        theirs = self._reads.export_type.search_path if self._reads else ()
        if not theirs:
            return self._session.fetch(query, parameters)
        self._session.script(foreign.set_path(()))
        rows = self._session.fetch(query, parameters)
        self._session.script(foreign.set_path(theirs))
        return rows

    def _type_oids(self, export_type: ExportType) -> dict[str, int]:
        """Return the source's columns' types, domains taken off."""
        types = self._types.get(export_type)
        if types is None:
            types = {column.name: column.base_type_oid for column in self._columns(export_type)}
            self._types[export_type] = types
        return types


_TABLE_COLUMNS = sql.SQL("""
    SELECT a.attname, a.atttypid, pg_catalog.format_type(a.atttypid, a.atttypmod),
           base.oid, pg_catalog.format_type(base.oid, base.modifier), a.attnotnull
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    LEFT JOIN pg_catalog.pg_attribute AS a
           ON a.attrelid OPERATOR(pg_catalog.=) c.oid AND NOT a.attisdropped
          AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2
    LEFT JOIN LATERAL (
        WITH RECURSIVE stripped (oid, typtype, typbasetype, modifier, basemodifier) AS (
            SELECT t.oid, t.typtype, t.typbasetype, a.atttypmod, t.typtypmod
            FROM pg_catalog.pg_type AS t WHERE t.oid OPERATOR(pg_catalog.=) a.atttypid
            UNION ALL
            SELECT t.oid, t.typtype, t.typbasetype, s.basemodifier, t.typtypmod
            FROM pg_catalog.pg_type AS t
            JOIN stripped AS s ON s.typbasetype OPERATOR(pg_catalog.=) t.oid
            WHERE s.typtype OPERATOR(pg_catalog.=) 'd'
        ) SELECT s.oid, s.modifier FROM stripped AS s
        WHERE s.typtype OPERATOR(pg_catalog.<>) 'd'
    ) AS base ON true
    WHERE n.nspname OPERATOR(pg_catalog.=) $1 AND c.relname OPERATOR(pg_catalog.=) $2
      AND c.relkind::pg_catalog.text OPERATOR(pg_catalog.=) ANY (
          '{r,p,v,m,f}'::pg_catalog.text[])
    ORDER BY a.attnum""")
