"""What a snapshot is going to read, said before it is taken: its relations can be locked first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from waybill.catalog.model import Column, ExportType, TableSource
from waybill.catalog.query import scan
from waybill.catalog.relation_sql import from_source, source_column
from waybill.catalog.selection import Selection
from waybill.catalog.where import selected_keys, where_clause

_NAMES_RELATIONS: Final = re.compile(r"SELECT|TABLE", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reads:
    """An export type, as what PostgreSQL has to lock for it. ``columns`` are those that will be
    read, if not the type's; ``selection`` is what else is asked which rows to read."""

    export_type: ExportType
    columns: tuple[Column, ...] = ()
    selection: Selection | None = None

    @property
    def table(self) -> TableSource | None:
        """The table whose lock covers all that is read, if it is a table; ``None`` for a query, or
        where a row scope or a selection brings relations of its own."""
        source, scope = self.export_type.source, self.export_type.scope
        if not isinstance(source, TableSource) or self.selection is not None:
            return None
        if scope is not None and any(
            _NAMES_RELATIONS.fullmatch(token.text) for token in scan(scope.sql, "scope")
        ):
            return None
        return source

    def planned(self) -> sql.Composed:
        """Return an EXPLAIN that plans all that any export of the type reads.

        The scope stands beside the columns and not behind WHERE, where its values would let the
        planner leave partitions out that other values need.
        """
        kind = self.export_type
        columns = self.columns or kind.columns
        names = dict.fromkeys([*(name for column in columns for name in column.reads), *kind.key])
        wanted: list[sql.Composable] = [source_column(name) for name in names]
        if not columns:
            wanted = [sql.SQL("*")]
        scope = where_clause(scope=kind.scope, principal={})
        if scope is not None:
            wanted.append(scope)
        if self.selection is not None:
            # Without its keys' comparisons: how they compare is known when there is a snapshot.
            wanted.append(
                sql.SQL("EXISTS (SELECT FROM ({}) AS chosen)").format(selected_keys(self.selection))
            )
        return sql.SQL("EXPLAIN (COSTS OFF) SELECT {} {}").format(
            sql.SQL(", ").join(wanted), from_source(kind.source)
        )


def lock(table: TableSource) -> sql.Composed:
    """Return the statement that waits for whoever changes a table, its children included, and
    lets nobody begin to, but for adding and removing rows."""
    return sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(
        sql.Identifier(table.schema, table.table)
    )


# -- what is locked ------------------------------------------------------------------------------

LOCKED: Final = sql.SQL("""
    SELECT l.relation::pg_catalog.text FROM pg_catalog.pg_locks AS l
    WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
      AND l.locktype OPERATOR(pg_catalog.=) 'relation' AND l.granted
      AND l.relation OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid""")
"""The user's relations that this session has locked, indexes included, by OID."""

LOCKED_HERE: Final = sql.SQL(
    "(SELECT pg_catalog.string_agg(l.relation, ' ') FROM ({}) AS l)"
).format(LOCKED)
"""The same in one value."""

LOCKED_WITH_ROWS: Final = sql.SQL("""
    SELECT l.relation::pg_catalog.text FROM pg_catalog.pg_locks AS l
    WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
      AND l.locktype OPERATOR(pg_catalog.=) 'relation' AND l.granted
      AND l.relation OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
      AND NOT EXISTS (
          SELECT FROM pg_catalog.pg_class AS c
          WHERE c.oid OPERATOR(pg_catalog.=) l.relation
            AND c.relkind::pg_catalog.text OPERATOR(pg_catalog.=) ANY (
                '{i,I,t,S}'::pg_catalog.text[]))""")
"""As ``LOCKED``, without those that the snapshot knows to be indexes and the like."""

_STATES: Final = sql.SQL("""
    SELECT c.oid::pg_catalog.text, c.relkind::pg_catalog.text,
           n.nspname::pg_catalog.text, c.relname::pg_catalog.text,
           pg_catalog.concat_ws(' ', c.relfilenode, c.xmin, n.xmin,
               ARRAY(SELECT r.xmin FROM pg_catalog.pg_rewrite AS r
                     WHERE r.ev_class OPERATOR(pg_catalog.=) c.oid ORDER BY r.oid),
               ARRAY(SELECT (h.inhparent, h.xmin)::pg_catalog.text FROM pg_catalog.pg_inherits AS h
                     WHERE h.inhrelid OPERATOR(pg_catalog.=) c.oid ORDER BY h.inhseqno))
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE c.oid OPERATOR(pg_catalog.=) ANY ({})""")


@dataclass(frozen=True, slots=True)
class RelationState:
    """A relation as a snapshot has it: two of them are equal if nobody changed it in between (its
    file, columns, name, schema, rules, parents; rows do not count)."""

    kind: str
    schema: str
    name: str
    versions: str

    @property
    def holds_rows(self) -> bool:
        """Whether it is no index, sequence or TOAST table."""
        return self.kind in {"r", "p", "m", "v", "f"}


def states_query(oids: frozenset[str]) -> sql.Composed:
    """Return the query for ``read_states``."""
    listed = "{" + ",".join(sorted(oids)) + "}"
    return _STATES.format(sql.SQL("{}::pg_catalog.oid[]").format(sql.Literal(listed)))


_FAMILY: Final = sql.SQL("""ARRAY(
    WITH RECURSIVE family (oid) AS (
        SELECT c.oid FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
        WHERE n.nspname OPERATOR(pg_catalog.=) {schema}
          AND c.relname OPERATOR(pg_catalog.=) {table}
          AND c.relkind::pg_catalog.text OPERATOR(pg_catalog.=) ANY ('{{r,p}}'::pg_catalog.text[])
          AND NOT c.relrowsecurity
        UNION
        SELECT h.inhrelid FROM pg_catalog.pg_inherits AS h
        JOIN family AS f ON f.oid OPERATOR(pg_catalog.=) h.inhparent
    ) SELECT oid FROM family)""")


def family_query(table: TableSource) -> sql.Composed:
    """Return the query for ``read_states`` of a table and all below it, by its name; of nothing if
    it is no table, or one whose policies may read others."""
    return _STATES.format(
        _FAMILY.format(schema=sql.Literal(table.schema), table=sql.Literal(table.table))
    )


_UNMOVED: Final = sql.SQL("""
    SELECT pg_catalog.count(*)
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE c.oid OPERATOR(pg_catalog.=) ANY ({}::pg_catalog.oid[])
      AND (pg_catalog.pg_relation_filenode(c.oid::pg_catalog.regclass)
           OPERATOR(pg_catalog.=) c.relfilenode) IS NOT FALSE
      AND c.oid::pg_catalog.regclass::pg_catalog.text OPERATOR(pg_catalog.=)
          pg_catalog.concat(pg_catalog.quote_ident(n.nspname::pg_catalog.text), '.',
                            pg_catalog.quote_ident(c.relname::pg_catalog.text))
      AND (c.relispartition
           OR pg_catalog.pg_partition_root(c.oid::pg_catalog.regclass)::pg_catalog.oid
              IS NULL
           OR c.relkind::pg_catalog.text OPERATOR(pg_catalog.=) ANY (
               '{{p,I}}'::pg_catalog.text[]))""")


def unmoved_query(oids: frozenset[str]) -> sql.Composed:
    """Return the query that counts those relations which the snapshot has by the file, name and
    parent that they have now."""
    return _UNMOVED.format(sql.Literal("{" + ",".join(sorted(oids)) + "}"))


def read_states(rows: list[tuple[str | None, ...]]) -> dict[str, RelationState]:
    """Return relations' states by OID."""
    return {
        oid or "": RelationState(kind or "", schema or "", name or "", versions or "")
        for oid, kind, schema, name, versions in rows
    }
