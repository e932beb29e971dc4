"""Look at a database and propose a catalog: ``waybill init``.

Everything a person would call a table is proposed; PostgreSQL's own tables, those of extensions
and waybill's are not, nor single partitions (their parent holds every row).
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, count

from waybill.catalog.connect import connect_read_only
from waybill.catalog.guesses import looks_secret, may_be_personal
from waybill.catalog.model import PERSONAL_DATA_SCOPE, Catalog, Column, ExportType
from waybill.catalog.names import (
    derive_export_names,
    quote_identifier,
    safe_label,
    sql_name,
    visible,
)
from waybill.catalog.relations import (
    Connection,
    Relation,
    RelationColumn,
    list_relations,
    list_schemas,
)
from waybill.errors import ConfigurationError
from waybill.own_database import TABLES, VERSION_TABLE

# pg_catalog holds the answer; even thousands of tables take well under this.
INSPECT_TIMEOUT_SECONDS = 60

_ALEMBIC = "alembic_version"
# Where one of them is, the others are as well.
_OURS = frozenset({VERSION_TABLE, "export_jobs"})


@dataclass(frozen=True, slots=True)
class InspectedTable:
    """A table with the export type proposed for it; ``secrets`` are the columns left out of it
    because they look like what nobody should export."""

    export_type: ExportType
    relation: Relation
    notes: tuple[str, ...] = ()
    secrets: tuple[RelationColumn, ...] = ()


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found. ``notes`` say what was left out or renamed, and why."""

    database: str
    role: str
    tables: tuple[InspectedTable, ...]
    notes: tuple[str, ...] = ()

    @property
    def catalog(self) -> Catalog:
        return Catalog(table.export_type for table in self.tables)


def inspect_database(dsn: str, schemas: Collection[str] | None = None) -> Inspection:
    """Propose an export type for every table of a database that the DSN's role may read.

    Args:
        dsn: a libpq URL or key/value string.
        schemas: only these; every schema but the system's when ``None`` or empty.

    Raises:
        ConfigurationError: the DSN or a schema is wrong; names the remedy.
        SourceUnavailable: the server does not answer.
    """
    with connect_read_only(dsn, statement_timeout_seconds=INSPECT_TIMEOUT_SECONDS) as connection:
        if schemas:
            _check_schemas(connection, schemas)
        row = connection.execute(
            "SELECT pg_catalog.current_database()::pg_catalog.text, current_user::pg_catalog.text"
        ).fetchone()
        relations = list_relations(connection, schemas or None)
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return propose(str(row[0]), str(row[1]), relations)


def _check_schemas(connection: Connection, schemas: Collection[str]) -> None:
    known = list_schemas(connection)
    for schema in schemas:
        if schema not in known:
            near = difflib.get_close_matches(schema, known, n=1)
            guess = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigurationError(
                f"There is no schema {schema!r}.{guess} Schemas: "
                f"{', '.join(visible(name) for name in known)}. Names are exact."
            )


def propose(database: str, role: str, relations: list[Relation]) -> Inspection:
    """Turn relations into export types (no I/O)."""
    tables: list[InspectedTable] = []
    notes: list[str] = []
    found = [each for each in relations if not each.is_partition and not each.from_extension]
    ours = {each.source.schema for each in found if each.source.table in _OURS}
    notes.extend(f"{schema}: the tables of waybill itself are left out." for schema in sorted(ours))
    found = [
        each for each in found if each.source.schema not in ours or each.source.table not in TABLES
    ]
    names = derive_export_names((each.source.schema, each.source.table) for each in found)
    for relation, name in zip(found, names, strict=True):
        shown = sql_name(relation.source)
        readable = tuple(column for column in relation.columns if column.may_select)
        if relation.source.table == _ALEMBIC:
            notes.append(f"{shown} is left out: it belongs to Alembic.")
            continue
        if not relation.columns:
            notes.append(f"{shown} is left out: it has no columns.")
            continue
        if not relation.may_use_schema or not readable:
            notes.append(
                f"{shown} is left out: role {visible(role)!r} may not read it. "
                f"To include it: {grant_statement(relation, role)}"
            )
            continue
        if not relation.is_populated:
            notes.append(
                f"{shown} is left out: the materialized view was never filled. "
                f"To include it: REFRESH MATERIALIZED VIEW {shown};"
            )
            continue
        table = _propose_table(name, relation, readable)
        if not table.export_type.columns:
            notes.append(
                f"{shown} is left out: every column of it looks like a secret "
                f"({_listed(table.secrets)}). To include it, write its [exports.NAME] table."
            )
            continue
        tables.append(table)
        if name != relation.source.table:
            notes.append(f"{shown} is called {name!r}: names are a-z, 0-9, _ and -, and unique.")
        notes += [f"{shown}: {note}" for note in table.notes]
        if table.secrets:
            notes.append(f"{shown}: left out, as they look like secrets: {_listed(table.secrets)}")
    if not tables:
        notes.append(
            f"Nothing to export: database {visible(database)!r} has no table that role "
            f"{visible(role)!r} may read."
        )
    return Inspection(database, role, tuple(tables), tuple(notes))


def _propose_table(
    name: str, relation: Relation, readable: tuple[RelationColumn, ...]
) -> InspectedTable:
    notes: list[str] = []
    hidden = [column.name for column in relation.columns if not column.may_select]
    if hidden:
        notes.append(
            "these columns are left out, the role may not read them: "
            + ", ".join(quote_identifier(column) for column in hidden)
        )
    key = _choose_key(relation, {column.name for column in readable})
    if relation.has_children:
        notes.append("it includes the rows of inheriting tables, so its indexes prove no key")
    if relation.row_security_active:
        notes.append("row level security is active: the role sees only rows its policies admit")
    secrets = tuple(each for each in readable if looks_secret(each.name, each.type_name))
    export_type = ExportType(
        name=name,
        source=relation.source,
        key=key,
        columns=_propose_columns(relation, [each for each in readable if each not in secrets]),
        title=safe_label(relation.source.table, name),
    )
    return InspectedTable(export_type, relation, tuple(notes), secrets)


def _propose_columns(relation: Relation, readable: Sequence[RelationColumn]) -> tuple[Column, ...]:
    """Return the columns with labels that every format takes, personal data marked."""
    others = tuple(column.name for column in relation.columns)
    labels: dict[str, str] = {}
    # Names that are labels as they stand keep them; what is made up goes around those.
    for column in readable:
        if safe_label(column.name, "") == column.name:
            labels[column.name] = column.name
    taken = {label.casefold() for label in labels.values()}
    for position, column in enumerate(readable, start=1):
        if column.name not in labels:
            stem = safe_label(column.name, f"column {position}")
            numbered = (f"{stem} {number}" for number in count(2))
            label = next(each for each in chain([stem], numbered) if each.casefold() not in taken)
            labels[column.name] = label
            taken.add(label.casefold())
    return tuple(
        Column(
            column.name,
            labels[column.name],
            PERSONAL_DATA_SCOPE
            if may_be_personal(relation.source.table, column.name, column.type_name, others)
            else "",
        )
        for column in readable
    )


def _listed(columns: Iterable[RelationColumn]) -> str:
    return ", ".join(quote_identifier(column.name) for column in columns)


def _choose_key(relation: Relation, readable: set[str]) -> tuple[str, ...]:
    """Return the primary key, else the shortest unique NOT NULL index, integers preferred."""
    candidates = [
        index
        for index in relation.unique_indexes
        if index.never_null and readable.issuperset(index.columns) and not relation.has_children
    ]
    if not candidates:
        return ()
    best = min(
        candidates,
        key=lambda index: (not index.primary, len(index.columns), not index.integers),
    )
    return best.columns


def grant_statement(relation: Relation, role: str) -> str:
    """Return what the owner must run so that ``role`` may read ``relation``."""
    who = quote_identifier(role)
    select = f"GRANT SELECT ON {sql_name(relation.source)} TO {who};"
    if relation.may_use_schema:
        return select
    return f"GRANT USAGE ON SCHEMA {quote_identifier(relation.source.schema)} TO {who}; {select}"
