"""Compare a catalog with the database it is for: ``waybill check``, and the start of a service."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

import psycopg
from psycopg import sql

from waybill.catalog import foreign
from waybill.catalog.check_locks import check_locks
from waybill.catalog.check_order import check_order
from waybill.catalog.check_politeness import check_politeness
from waybill.catalog.check_rows import check_rows
from waybill.catalog.connect import connect_read_only, only_one
from waybill.catalog.findings import Finding, Severity
from waybill.catalog.model import Catalog, ExportType, QuerySource, TableSource
from waybill.catalog.names import quote_identifier, sql_name, visible
from waybill.catalog.relations import (
    READABLE,
    Connection,
    Relation,
    find_relation,
    list_relations,
    list_schemas,
)

DATA_CHECK_SECONDS = 5.0
"""How long one question about the data (empty? unique?) may take by default."""
_CATALOG_SECONDS = 60.0
"""How long one about the system's catalog may take: milliseconds, where nobody is in the way."""


def check_catalog(
    catalog: Catalog, dsn: str, *, data_check_seconds: float = DATA_CHECK_SECONDS
) -> list[Finding]:
    """Return what does not fit between ``catalog`` and the database, errors first.

    Nothing is written, and no value is read out: the data are only asked whether a key is unique
    and free of NULL and whether there are rows, each within ``data_check_seconds``.

    Raises:
        ConfigurationError: the DSN is wrong. SourceUnavailable: the server does not answer.
    """
    with connect_read_only(dsn, statement_timeout_seconds=_CATALOG_SECONDS) as connection:
        findings = list(_check_version(connection.info.server_version))
        if not findings or findings[0].severity != "error":
            findings += [
                finding
                for export_type in catalog.values()
                for finding in _check_type(connection, export_type, data_check_seconds)
            ]
    if not catalog:
        findings.append(
            Finding(
                "warning", "", "catalog_empty", "The catalog declares nothing to export.",
                "Add an [exports.NAME] table, or write one with `waybill init`.",
            )
        )  # fmt: skip
    severities: tuple[Severity, ...] = ("error", "warning", "note")
    return sorted(findings, key=lambda finding: severities.index(finding.severity))


def _check_version(version: int) -> Iterator[Finding]:
    shown = version // 10_000
    if version < foreign.OLDEST_VERSION:
        yield Finding(
            "error", "", "version_unsupported",
            f"The source is PostgreSQL {shown}; waybill exports from 12 and later.",
            "Upgrade it, or export from a logical replica of a later version.",
        )  # fmt: skip
    elif version > foreign.NEWEST_VERSION:
        yield Finding(
            "warning", "", "version_untested",
            f"The source is PostgreSQL {shown}; waybill was tried with 12 to 18.",
            "Look at whether a newer waybill knows it.",
        )  # fmt: skip


def _check_type(connection: Connection, export_type: ExportType, seconds: float) -> list[Finding]:
    # As a run does: names without a schema are looked up where the type says, and nowhere else.
    connection.execute(foreign.set_path(export_type.search_path))
    findings = list(_TypeCheck(connection, export_type, seconds).run())
    has_errors = any(finding.severity == "error" for finding in findings)
    if not has_errors:
        findings += check_rows(connection, export_type)
        if not any(finding.severity == "error" for finding in findings):
            findings += check_locks(connection, export_type)
            findings += check_politeness(connection, export_type)
    connection.execute(foreign.set_path(()))
    if not has_errors:  # else what follows would only say the same again
        findings += check_order(connection, export_type)
    return findings


class _TypeCheck:
    """The checks of one export type; each method yields findings."""

    def __init__(self, connection: Connection, export_type: ExportType, seconds: float) -> None:
        self._connection = connection
        self._type = export_type
        self._seconds = seconds

    def run(self) -> Iterator[Finding]:
        source = self._type.source
        known = list_schemas(self._connection) if self._type.search_path else []
        for schema in self._type.search_path:
            if schema not in known:
                yield self._finding(
                    "error", "schema_missing", f"There is no schema {schema!r} to search.",
                    "Correct search_path; names are exact, capitals included.",
                )  # fmt: skip
        if isinstance(source, QuerySource):
            yield from self._check_query(source)
        else:
            yield from self._check_table(source)

    def _finding(self, severity: Severity, code: str, message: str, remedy: str = "") -> Finding:
        return Finding(severity, self._type.name, code, message, remedy)

    # -- tables ---------------------------------------------------------------------------------

    def _check_table(self, source: TableSource) -> Iterator[Finding]:
        relation = find_relation(self._connection, source)
        if relation is None:
            yield self._missing_table(source)
            return
        shown = sql_name(source)
        if relation.kind not in READABLE:
            yield self._finding(
                "error", "not_a_table", f"{shown} is not a table or view ({relation.kind}).",
                "Name the table whose rows are to be exported.",
            )  # fmt: skip
            return
        if not relation.is_populated:
            yield self._finding(
                "error", "not_populated", f"The materialized view {shown} was never filled.",
                f"REFRESH MATERIALIZED VIEW {shown};",
            )  # fmt: skip
            return
        problems = [*self._check_names(relation), *self._check_rights(relation)]
        yield from problems
        if relation.row_security_active:
            yield self._finding(
                "warning", "row_security",
                f"Row level security is active on {shown}: rows its policies hide are missing "
                "from the file.",
                "Export with a role that sees every row (BYPASSRLS, or a policy for it).",
            )  # fmt: skip
        if not problems:
            yield from self._check_data(
                sql.Identifier(source.schema, source.table),
                proof=self._proof(relation),
                relation=relation,
            )

    def _missing_table(self, source: TableSource) -> Finding:
        known = {
            sql_name(relation.source): relation.source
            for relation in list_relations(self._connection, None)
        }
        wanted = sql_name(source)
        folded = [
            shown
            for shown, other in known.items()
            if other.table.casefold() == source.table.casefold()
        ]
        near = folded or difflib.get_close_matches(wanted, list(known), n=1, cutoff=0.7)
        guess = f"Did you mean {near[0]}? " if near else ""
        return self._finding(
            "error", "table_missing", f"There is no table {wanted}.",
            f"{guess}Names are exact, capitals included; without a schema, public is meant.",
        )  # fmt: skip

    def _check_names(self, relation: Relation) -> Iterator[Finding]:
        existing = [column.name for column in relation.columns]
        yield from self._missing_columns(existing, sql_name(relation.source))

    def _missing_columns(self, existing: Sequence[str], where: str) -> Iterator[Finding]:
        for what, names in (
            ("column", [name for column in self._type.columns for name in column.reads]),
            ("key column", list(self._type.key)),
        ):
            for name in names:
                if name not in existing:
                    folded = [other for other in existing if other.casefold() == name.casefold()]
                    near = folded or difflib.get_close_matches(name, existing, n=1)
                    guess = f"Did you mean {near[0]!r}? " if near else ""
                    listed = ", ".join(visible(other) for other in existing[:30])
                    yield self._finding(
                        "error", f"{what.replace(' ', '_')}_missing",
                        f"{where} has no {what} {name!r}.", f"{guess}It has: {listed}.",
                    )  # fmt: skip

    def _check_rights(self, relation: Relation) -> Iterator[Finding]:
        row = self._connection.execute("SELECT current_user::pg_catalog.text").fetchone()
        role = quote_identifier(row[0]) if row else "CURRENT_USER"
        shown = sql_name(relation.source)
        if not relation.may_use_schema:
            yield self._finding(
                "error", "schema_denied",
                f"Role {role} may not use schema {quote_identifier(relation.source.schema)}.",
                f"GRANT USAGE ON SCHEMA {quote_identifier(relation.source.schema)} TO {role};",
            )  # fmt: skip
        if relation.may_select:
            return
        needed = {name for column in self._type.columns for name in column.reads}
        needed |= set(self._type.key)
        denied = [
            column.name
            for column in relation.columns
            if not column.may_select and (column.name in needed or not self._type.columns)
        ]
        if denied:
            listed = ", ".join(quote_identifier(name) for name in denied)
            yield self._finding(
                "error", "select_denied", f"Role {role} may not read {listed} of {shown}.",
                f"GRANT SELECT ON {shown} TO {role};",
            )  # fmt: skip

    # -- queries --------------------------------------------------------------------------------

    def _check_query(self, source: QuerySource) -> Iterator[Finding]:
        prefix = "SELECT * FROM (\n"
        statement = sql.SQL(prefix + "{}\n) AS source LIMIT 0").format(as_sql(source))
        try:
            with self._connection.transaction():
                cursor = only_one(self._connection, statement)
        except psycopg.Error as exc:
            yield self._query_refused(exc, source, len(prefix))
            return
        names = [column.name for column in cursor.description or ()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            yield self._finding(
                "error", "column_ambiguous",
                f"The query returns more than one column called {twice[0]!r}.",
                "Give each its own name: … AS other_name.",
            )  # fmt: skip
            return
        if "?column?" in names:
            yield self._finding(
                "warning", "column_unnamed", "The query returns a column without a name.",
                "Name it: … AS some_name.",
            )  # fmt: skip
        problems = list(self._missing_columns(names, "The query's result"))
        yield from problems
        if not problems:
            yield from self._check_data(sql.SQL("(\n{}\n)").format(as_sql(source)))

    def _query_refused(self, exc: psycopg.Error, source: QuerySource, offset: int) -> Finding:
        _raise_if_gone(self._connection, exc)
        if isinstance(exc, psycopg.errors.ReadOnlySqlTransaction):
            return self._finding(
                "error", "query_writes", "The query would write or lock rows.",
                "Leave out INSERT, UPDATE, DELETE, MERGE and FOR UPDATE.",
            )  # fmt: skip
        if isinstance(exc, psycopg.errors.ProtocolViolation):
            return self._finding(
                "error", "query_refused", "The query has a parameter ($1), and nothing to fill it.",
                "Write the value itself into the query.",
            )  # fmt: skip
        # Classes 42 and 0A are about the operator's own text (syntax, names, rights, features):
        # the server's words name what stands in the query, never a value of a row. Others might;
        # they stay inside.
        if not (exc.sqlstate or "").startswith(("42", "0A")):
            return self._unreadable(exc)
        place = ""
        if (position := exc.diag.statement_position) and int(position) > offset:
            line = source.sql.count("\n", 0, int(position) - offset - 1) + 1
            place = f" (line {line} of the query)"
        return self._finding(
            "error", "query_refused",
            f"PostgreSQL refuses the query: {visible(exc.diag.message_primary or '')}{place}.",
            (
                _QUALIFY
                if exc.sqlstate in _NOT_FOUND
                else exc.diag.message_hint or "Correct it; `psql` runs the same text."
            ),
        )  # fmt: skip

    # -- data -----------------------------------------------------------------------------------

    def _check_data(
        self,
        rows: sql.Composable,
        *,
        proof: bool = False,
        relation: Relation | None = None,
    ) -> Iterator[Finding]:
        source = sql.SQL("{} AS source").format(rows)
        try:
            has_rows = self._ask(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(source))
            if has_rows is False:
                yield self._finding(
                    "note", "no_rows", "There are no rows yet; the export is a valid empty file."
                )
            if self._type.key:
                yield from self._check_key(source, proof, relation)
            else:
                yield self._finding(
                    "note", "no_key",
                    "No key is declared: rows come in any order, so equal data can give "
                    "different files.",
                    'Declare key = ["…"] with the columns that identify a row.',
                )  # fmt: skip
        except psycopg.Error as exc:
            _raise_if_gone(self._connection, exc)
            yield self._unreadable(exc)

    def _check_key(
        self, source: sql.Composable, proof: bool, relation: Relation | None
    ) -> Iterator[Finding]:
        key = [sql.Identifier("source", name) for name in self._type.key]
        columns = sql.SQL(", ").join(key)
        shown = f"({', '.join(self._type.key)})"
        try:
            self._ask(
                sql.SQL("SELECT true FROM (SELECT FROM {} ORDER BY {} LIMIT 0) AS ordered").format(
                    source, columns
                )
            )
        except psycopg.errors.UndefinedFunction:
            yield self._finding(
                "error", "key_not_orderable", f"The type of key {shown} has no order.",
                "Choose columns of another type (json, xml and geometric types have no order).",
            )  # fmt: skip
            return
        if self._type.consistency == "resumable" and not proof:
            yield self._finding(
                "error", "not_resumable",
                f"Key {shown} cannot be resumed behind: that needs NOT NULL columns, and a unique "
                "index on them or some of them.",
                self._index_remedy(relation) or 'Set consistency = "snapshot".',
            )  # fmt: skip
            return
        if proof:
            return
        is_null = sql.SQL(" OR ").join(sql.SQL("{} IS NULL").format(column) for column in key)
        holds_null = self._ask(
            sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {})").format(source, is_null)
        )
        if holds_null:
            yield self._finding(
                "error", "key_null", f"Key {shown} holds NULL, which identifies no row.",
                "Choose columns that are never NULL, or leave those rows out with a query.",
            )  # fmt: skip
        repeats = self._ask(
            sql.SQL(
                "SELECT EXISTS (SELECT FROM {} GROUP BY {} "
                "HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1::pg_catalog.int8)"
            ).format(source, columns)
        )
        if repeats:
            yield self._finding(
                "error", "key_not_unique", f"Key {shown} is not unique: some rows share a value.",
                "Add the columns that tell those rows apart.",
            )  # fmt: skip
        elif holds_null is None or repeats is None:
            yield self._finding(
                "warning", "key_unproven",
                f"Whether key {shown} is unique could not be found out within "
                f"{self._seconds:g} s.",
                self._index_remedy(relation) or "Check with more time.",
            )  # fmt: skip
        elif not holds_null and (remedy := self._index_remedy(relation)):
            yield self._finding(
                "warning", "key_unenforced",
                f"Key {shown} is unique now, but nothing keeps it so.", remedy,
            )  # fmt: skip

    def _index_remedy(self, relation: Relation | None) -> str:
        """Return how to enforce the key, or nothing where PostgreSQL cannot."""
        if relation is None or relation.has_children:
            return ""
        columns = ", ".join(quote_identifier(name) for name in self._type.key)
        if relation.kind == "table":
            nullable = [
                quote_identifier(column.name)
                for column in relation.columns
                if column.name in self._type.key and not column.not_null
            ]
            not_null = "".join(f" ALTER COLUMN {name} SET NOT NULL," for name in nullable)
            alter = f"ALTER TABLE {sql_name(relation.source)}{not_null[:-1]}; " if nullable else ""
            index = "CREATE UNIQUE INDEX CONCURRENTLY"
            return f"{alter}{index} ON {sql_name(relation.source)} ({columns});"
        if relation.kind in {"partitioned table", "materialized view"}:
            return f"CREATE UNIQUE INDEX ON {sql_name(relation.source)} ({columns});"
        return ""

    def _proof(self, relation: Relation) -> bool:
        """Whether an index and NOT NULL guarantee the key, whatever the data."""
        key = set(self._type.key)
        never_null = {column.name for column in relation.columns if column.not_null}
        return (
            not relation.has_children
            and key <= never_null
            and any(key.issuperset(index.columns) for index in relation.unique_indexes)
        )

    def _ask(self, question: sql.Composed) -> bool | None:
        """Return the answer to a yes-or-no question, or ``None`` if it took too long."""
        try:
            with self._connection.transaction():
                self._limit(self._seconds)
                row = self._connection.execute(question).fetchone()
                self._limit(_CATALOG_SECONDS)
        except psycopg.errors.QueryCanceled:
            return None
        return bool(row and row[0])

    def _limit(self, seconds: float) -> None:
        milliseconds = sql.Literal(str(round(seconds * 1000)))
        self._connection.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(milliseconds))

    def _unreadable(self, exc: psycopg.Error) -> Finding:
        if isinstance(exc, psycopg.errors.InsufficientPrivilege):
            return self._finding(
                "error", "select_denied",
                "The role may not read something that the view or query reads in its turn.",
                "GRANT SELECT on the tables behind it to this role.",
            )  # fmt: skip
        if (exc.sqlstate or "").startswith("08") or exc.sqlstate == "HV00N":
            # Ours is there. It may pass, so that it is no reason not to start.
            return self._finding(
                "warning", "foreign_away",
                "A server that a foreign table behind it leads to does not answer "
                f"(SQLSTATE {exc.sqlstate}).",
                "Look at that server, and at the options of CREATE SERVER and its user mapping.",
            )  # fmt: skip
        if (exc.sqlstate or "").startswith(_PASSING):
            return self._finding(
                "warning", "unreadable_now",
                f"PostgreSQL cannot read the rows at the moment (SQLSTATE {exc.sqlstate}).",
                "Look at its log, and at who holds locks (pg_locks).",
            )  # fmt: skip
        return self._finding(
            "error", "unreadable",
            f"PostgreSQL cannot read the rows (SQLSTATE {exc.sqlstate}).",
            "Run the same SELECT with `psql` and the same role; it says more.",
        )  # fmt: skip


UNREADABLE_NOW = frozenset({"foreign_away", "unreadable_now"})
"""Codes of findings that may pass by themselves."""
_PASSING = ("53", "55P03", "57P", "58")
"""SQLSTATEs: no memory, room or connection; a lock; a server that ends; a failing disk."""
_NOT_FOUND = frozenset({"42P01", "42883", "42704"})
"""SQLSTATEs: undefined table, function (or operator), and type or other object."""
_QUALIFY = (
    "Write schemas in front of names: only pg_catalog is searched. Or name schemas to search in "
    "the type's search_path."
)


def _raise_if_gone(connection: Connection, exc: psycopg.Error) -> None:
    if connection.broken:
        raise exc


def as_sql(source: QuerySource) -> sql.SQL:
    """Return the operator's trusted text for composition.

    ``sql.SQL`` is for literals, and rightly so; this is the one text that is none.
    """
    return sql.SQL(source.sql)
