"""Look at a database and propose a catalog: ``waybill init``.

Everything a person would call a table is proposed; PostgreSQL's own tables, those of extensions
and waybill's are not, nor single partitions (their parent holds every row).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass

from waybill.catalog.connect import connect_read_only
from waybill.catalog.model import Catalog, Column, ExportType
from waybill.catalog.names import derive_export_name, quote_identifier, sql_name, visible
from waybill.catalog.relations import (
    Connection,
    Relation,
    RelationColumn,
    list_relations,
    list_schemas,
)
from waybill.errors import ConfigurationError

# pg_catalog holds the answer; even thousands of tables take well under this.
INSPECT_TIMEOUT_SECONDS = 60

_OWN_TABLES = frozenset({"alembic_version", "export_jobs", "export_attempts"})

# A suggestion only: words in column names (English, and the commonest of a few neighbours) that
# tend to stand for data about a person.
_PERSONAL_WORDS = (
    "email", "e_mail", "mail", "phone", "mobile", "fax", "first_name", "last_name", "full_name",
    "surname", "firstname", "lastname", "fullname", "given_name", "family_name", "username",
    "nickname", "address", "street", "postal", "postcode", "zip", "birth", "dob", "gender", "sex",
    "ssn", "passport", "national_id", "tax_id", "iban", "credit_card", "ip_address", "ip_addr",
    "latitude", "longitude", "salary", "religion", "password",
)  # fmt: skip
_PERSONAL = re.compile(rf"(?:^|_)(?:{'|'.join(_PERSONAL_WORDS)})(?:s|es)?(?:_|$|[0-9])")
# "name" alone is a person's in a table of people and a product's elsewhere.
_PEOPLE = re.compile(
    r"(?:^|_)(?:user|customer|person|people|member|staff|employee|client|patient|student|actor|"
    r"account|contact|author|subscriber)s?(?:_|$)"
)
_WORD_EDGE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class InspectedTable:
    """A table with the export type proposed for it."""

    export_type: ExportType
    relation: Relation
    notes: tuple[str, ...] = ()


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
    taken: set[str] = set()
    for relation in relations:
        if relation.is_partition or relation.from_extension:
            continue
        shown = sql_name(relation.source)
        readable = tuple(column for column in relation.columns if column.may_select)
        if relation.source.table in _OWN_TABLES:
            notes.append(f"{shown} is left out: it belongs to waybill or Alembic.")
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
        name = derive_export_name(relation.source.schema, relation.source.table, taken)
        taken.add(name)
        table = _propose_table(name, relation, readable)
        tables.append(table)
        if name != relation.source.table:
            notes.append(f"{shown} is called {name!r}: names are a-z, 0-9, _ and -, and unique.")
        notes += [f"{shown}: {note}" for note in table.notes]
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
    export_type = ExportType(
        name=name,
        source=relation.source,
        key=key,
        columns=tuple(Column(column.name, column.name) for column in readable),
        title=relation.source.table,
    )
    return InspectedTable(export_type, relation, tuple(notes))


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


def may_be_personal(table: str, column: str) -> bool:
    """Guess from its name whether a column holds data about a person."""
    name = _WORD_EDGE.sub("_", column).lower().replace("-", "_").replace(" ", "_")
    if name.endswith("_id") and name not in _PERSONAL_WORDS:
        return False  # a reference: address_id says where the address is, not what it is
    if _PERSONAL.search(name):
        return True
    return name == "name" and bool(_PEOPLE.search(_WORD_EDGE.sub("_", table).lower()))
