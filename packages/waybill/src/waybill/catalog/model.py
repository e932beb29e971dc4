"""Export types as plain values. No I/O: loading is in ``toml.py``, inspection in ``inspect.py``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from waybill.catalog.computed import Computed, settle
from waybill.catalog.filters import Filter
from waybill.catalog.politeness import NOT_LIMITED, UNSHARED, Politeness, Together
from waybill.catalog.query import normalise_query
from waybill.catalog.scope import RowScope
from waybill.catalog.sources import DEFAULT_SOURCE, NamedSource, by_name, unknown_source
from waybill.catalog.urgency import Urgency
from waybill.errors import ConfigurationError, InvalidOption, UnknownColumn, UnknownExportType

if TYPE_CHECKING:
    from waybill.catalog.selection import Selection

Order = Literal["key", "none"]
Consistency = Literal["snapshot", "resumable"]
Quota = int | Literal["unlimited"]
"""Exports per user in 24 hours."""

PERSONAL_DATA_SCOPE = "exports:pii"
"""What ``pii = true`` on a column asks of the caller."""

_NOT_SEARCHABLE = frozenset({"", "$user", "pg_catalog", "pg_temp"})

# An export type's name is a path segment (`POST /api/users/export`) and part of a file name.
# The reserved names are the API's own first segments.
RESERVED_NAMES = frozenset({"exports", "audit", "admin"})
NAME_PATTERN = re.compile(rf"(?!(?:{'|'.join(sorted(RESERVED_NAMES))})$)[a-z][a-z0-9_-]{{0,62}}")


@dataclass(frozen=True, slots=True)
class TableSource:
    """A table, view or partitioned table. Names are exactly as PostgreSQL stores them."""

    schema: str
    table: str


@dataclass(frozen=True, slots=True)
class QuerySource:
    """A trusted SELECT written by the operator in the catalog (never by a caller).

    ``sql`` is one statement without a closing ``;`` or comment, so that it can stand in
    parentheses wherever it is used; what is given is brought into that form.

    Raises:
        ConfigurationError: it is not exactly one SELECT, WITH, VALUES or TABLE statement.
    """

    sql: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "sql", normalise_query(self.sql))


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an export type.

    ``name`` is the source column exactly as PostgreSQL spells it; ``label`` is what the file's
    header (or JSON key) says, ``name`` by default. ``pii`` is the scope that reading it needs
    because it holds personal data; empty when it does not. A ``computed`` column is none of the
    source's: Python makes it of others.
    """

    name: str
    label: str = ""
    pii: str = ""
    computed: Computed | None = None

    @property
    def header(self) -> str:
        return self.label or self.name

    @property
    def reads(self) -> tuple[str, ...]:
        """The source's columns that are read for it."""
        return (self.name,) if self.computed is None else self.computed.reads


@dataclass(frozen=True, slots=True)
class ExportType:
    """Something that can be exported.

    ``columns`` empty means every column of the source in its own order, resolved at run time.
    ``key`` names the columns that identify a row; the file is ordered by it (``order="key"``), so
    that equal data give equal bytes. ``order="none"`` leaves the order to PostgreSQL.
    ``deadline_seconds`` bounds one attempt; ``None`` takes the setting's default (60 s).
    ``consistency`` says what a crash costs: ``snapshot`` begins anew, so that all rows of a file
    are of one moment; ``resumable`` goes on where the last attempt stopped, in a later snapshot.

    Who may have what: ``requires`` are scopes beyond ``exports:request``; ``scope`` limits the rows
    to the caller's own; ``filters`` are what a caller may compare; ``since`` is the column of
    incremental exports (a point in time, of type ``timestamptz``), ``since_pii`` as ``Filter.pii``;
    ``quota`` gives the type a count of its own; ``requires_recent_login_seconds`` is how long ago
    the caller may have signed in; ``max_running`` is how many jobs of the type run at a time,
    whoever requested them.

    ``urgency`` says what the service is held to (``catalog.urgency``), ``polite`` what it does for
    the database it reads (``catalog.politeness``), ``source_name`` which of the catalog's sources
    that is (``catalog.sources``). ``together`` is that source's word, which its catalog puts here.

    ``search_path`` are the schemas, behind ``pg_catalog``, in which names without a schema are
    looked up: those of the query and the scope, and of the functions that they and views call.
    """

    name: str
    source: TableSource | QuerySource
    key: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    title: str = ""
    order: Order = "key"
    deadline_seconds: float | None = None
    requires: tuple[str, ...] = ()
    scope: RowScope | None = None
    filters: tuple[Filter, ...] = ()
    since: str = ""
    quota: Quota | None = None
    consistency: Consistency = "snapshot"
    requires_recent_login_seconds: int | None = None
    since_pii: str | None = None
    urgency: Urgency = "low"
    search_path: tuple[str, ...] = ()
    max_running: int | None = None
    polite: Politeness = NOT_LIMITED
    source_name: str = DEFAULT_SOURCE
    together: Together = UNSHARED

    def __post_init__(self) -> None:
        if not NAME_PATTERN.fullmatch(self.name):
            raise ConfigurationError(
                f"Export type name {self.name!r} must be 1-63 characters of a-z, 0-9, '_' or '-', "
                "start with a letter and not be 'exports', 'audit' or 'admin'. Rename its "
                "[exports.NAME] table; the source table itself may have any name."
            )
        for what, names in (
            ("column", [c.name for c in self.columns]),
            ("column label", [c.header for c in self.columns]),
            ("key column", list(self.key)),
            ("filter", [f.name for f in self.filters]),
            ("search_path schema", list(self.search_path)),
        ):
            twice = {n for n in names if names.count(n) > 1}
            if twice:
                raise ConfigurationError(
                    f"Export type {self.name!r} names the {what} {sorted(twice)[0]!r} twice. "
                    "Remove one of them."
                )
        if self.deadline_seconds is not None and self.deadline_seconds <= 0:
            raise ConfigurationError(
                f"Export type {self.name!r}: deadline_seconds must be greater than 0."
            )
        if self.consistency == "resumable" and (
            not self.key or self.order != "key" or not isinstance(self.source, TableSource)
        ):
            raise ConfigurationError(
                f'Export type {self.name!r}: consistency = "resumable" needs a table with a key, '
                'ordered by it (order = "key"): an export goes on behind the last key it wrote. '
                'Declare the key, or leave consistency at "snapshot".'
            )
        for schema in self.search_path:
            if schema in _NOT_SEARCHABLE:
                raise ConfigurationError(
                    f"Export type {self.name!r}: search_path cannot hold {schema!r}. Name schemas; "
                    "pg_catalog always comes first."
                )
        recent = self.requires_recent_login_seconds
        if recent is not None and recent < 1:
            raise ConfigurationError(
                f"Export type {self.name!r}: requires_recent_login_seconds must be at least 1."
            )
        if self.max_running is not None and self.max_running < 1:
            raise ConfigurationError(
                f"Export type {self.name!r}: max_running must be at least 1. To let nobody export "
                "it, take it out of the catalog."
            )
        if isinstance(self.quota, int) and self.quota < 1:
            raise ConfigurationError(
                f"Export type {self.name!r}: quota must be at least 1, or 'unlimited'. To let "
                "nobody export it, take it out of the catalog."
            )
        if any(column.computed is not None for column in self.columns):
            object.__setattr__(self, "columns", settle(self, PERSONAL_DATA_SCOPE))

    @property
    def limits_rate(self) -> bool:
        """Whether rows are read no faster than a given rate, alone or together with others."""
        return self.polite.limits_rate or self.together.rate.limits_rate

    def seconds_for(self, *, rows: int, bytes: int = 0, sharers: int = 1) -> float:
        """Return how long that much takes an export that shares the source with so many, itself
        among them."""
        alone = self.polite.seconds_for(rows=rows, bytes=bytes)
        return max(alone, self.together.rate.seconds_for(rows=rows, bytes=bytes) * sharers)

    def select(self, wanted: Iterable[str | Column]) -> tuple[Column, ...]:
        """Return the declared columns that are ``wanted``, in that order, relabelled where a
        ``Column`` with a label is given.

        With ``columns`` empty the names are not checked here: the source knows them.

        Raises:
            UnknownColumn: a name that is not declared.
            InvalidOption: the same name or label twice, or none at all.
        """
        chosen = tuple(Column(each) if isinstance(each, str) else each for each in wanted)
        if not chosen:
            raise InvalidOption("columns", "at least one column is needed")
        names = [column.name for column in chosen]
        if len(set(names)) != len(names):
            raise InvalidOption("columns", "a column is named twice")
        if self.columns:
            known = {column.name: column for column in self.columns}
            for name in names:
                if name not in known:
                    raise UnknownColumn(name, self.name, tuple(known))
            chosen = tuple(
                replace(known[column.name], label=column.label or known[column.name].label)
                for column in chosen
            )
        headers = [column.header for column in chosen]
        if len(set(headers)) != len(headers):
            raise InvalidOption("columns", "two columns would have the same header; rename one")
        return chosen

    def scope_of_column(self, name: str) -> str:
        """Return the scope that the values of a source column need; empty when none.

        Of a type that declares its columns, the others count as personal data: nobody looked at
        them, and they were left out for a reason.
        """
        declared = {column.name: column.pii for column in self.columns}
        return declared.get(name, PERSONAL_DATA_SCOPE if declared else "")

    def scope_of_filter(self, declared: Filter) -> str:
        """Return the scope that filtering needs: a count of rows tells as much as the values."""
        return self._scope_of_comparison(declared.column_name, declared.pii)

    def scope_of_since(self) -> str:
        """Return the scope that ``since`` needs, which is a filter too."""
        return self._scope_of_comparison(self.since, self.since_pii) if self.since else ""

    def scope_of_order(self) -> tuple[str, ...]:
        """Return the scopes that the order of the rows needs: it tells how they compare by the key,
        so that whoever knows one row's value learns about its neighbours'. Key columns that are
        not declared are let pass: of them nobody sees any value to compare with."""
        declared = {column.name: column.pii for column in self.columns}
        key = self.key if self.order == "key" else ()
        return tuple(scope for name in key if (scope := declared.get(name, "")))

    def scope_of_choice(self, column: str) -> str:
        """Return the scope that choosing rows by a column needs: as for a filter by it, if one is
        declared. A key is not asked for where it is not exported, as of ``scope_of_order``."""
        filters = [each for each in self.filters if each.column_name == column]
        if filters:
            return max(map(self.scope_of_filter, filters))
        is_declared = any(each.name == column for each in self.columns)
        return "" if column in self.key and not is_declared else self.scope_of_column(column)

    def _scope_of_comparison(self, column: str, said: str | None) -> str:
        is_declared = any(each.name == column for each in self.columns)
        return self.scope_of_column(column) if is_declared or said is None else said


class Catalog(Mapping[str, ExportType]):
    """The export types of an application, by name. Build it once, at start.

    Args:
        export_types: what may be exported.
        sources: the databases that types name with ``source_name``.
        schema: where the tables of an application's models lie that name none.
    """

    def __init__(
        self,
        export_types: Iterable[ExportType] = (),
        *,
        sources: Iterable[NamedSource] = (),
        schema: str = "public",
    ) -> None:
        self.schema = schema
        self.sources: Mapping[str, NamedSource] = by_name(sources)
        self._types: dict[str, ExportType] = {}
        for export_type in export_types:
            self.add(export_type)

    @classmethod
    def from_sqlalchemy(
        cls,
        *models: Any,
        schema: str = "public",
        tenant: str = "",
        pii: Mapping[str, bool | str] | None = None,
        sources: Iterable[NamedSource] = (),
    ) -> Catalog:
        """Return the catalog of mapped classes and tables: an export type for each.

        Headers and personal data are what a column's ``info`` says (``{"label": "E-mail", "pii":
        True}``), the key is the primary key, every column of a plain type can be filtered by.

        Args:
            models: each a class, a ``Table``, or an ``orm.Export`` that says more about one.
            schema: of tables that name none.
            tenant: the field that holds the tenant, in every model that says nothing else: each
                export has only rows of the caller's.
            pii: personal data by ``table.column``, beside what ``info`` says.
            sources: the databases that ``options`` of an ``orm.Export`` name.

        Raises:
            ConfigurationError: a model has no primary key or no such tenant field, ….
        """
        from waybill.catalog.sqlalchemy_models import read_models

        return read_models(models, schema=schema, tenant=tenant, pii=pii, sources=sources)

    @classmethod
    def from_django(
        cls,
        *models: Any,
        schema: str = "public",
        tenant: str = "",
        pii: Mapping[str, bool | str] | None = None,
        using: str = "default",
        sources: Iterable[NamedSource] = (),
    ) -> Catalog:
        """Return the catalog of Django models: an export type for each.

        Headers are the fields' ``verbose_name``, filters take what ``choices`` list, and whoever
        exports needs the model's permission to ``export`` if it has one, else to ``view``.
        Passwords of users are left out.

        Args:
            models: each a class, or an ``orm.Export`` that says more about one.
            schema, tenant: as for ``from_sqlalchemy``.
            pii: personal data by ``app_label.Model.field``.
            using: the alias of the database.
            sources: as for ``from_sqlalchemy``.

        Raises:
            ConfigurationError: as for ``from_sqlalchemy``; Django is not installed.
        """
        from waybill.catalog.django_models import read_models

        return read_models(
            models, schema=schema, tenant=tenant, pii=pii, using=using, sources=sources
        )

    def select_rows(self, name: str, query: Any, *, using: str = "default") -> Selection | None:
        """Return the rows of a SQLAlchemy ``select()`` or a Django ``QuerySet`` as what an
        ``ExportRequest`` has for ``selection``; ``None`` for every row.

        The query is compiled now and asked in the snapshot of the run. It only narrows: the type's
        scope, columns and rights stay as they are.

        Args:
            name: the export type's.
            query: of the type's own model.
            using: the alias of the database that a ``QuerySet`` has to be of.

        Raises:
            UnknownExportType
            InvalidOption: it says more than which rows are wanted, or cannot be kept exactly.
        """
        export_type = self.get_type(name)
        if isinstance(export_type.source, TableSource) and not export_type.key:
            raise InvalidOption("rows", f"{name!r} has no key, by which rows could be chosen")
        if type(query).__module__.startswith("sqlalchemy."):
            from waybill.catalog import sqlalchemy_models

            return sqlalchemy_models.select_rows(self, export_type, query, schema=self.schema)
        from waybill.catalog import django_queries

        return django_queries.select_rows(self, export_type, query, using=using, schema=self.schema)

    def add(self, export_type: ExportType) -> ExportType:
        """Register a type; the Python twin of an ``[exports.NAME]`` table. Where it does not say
        how its source is spared, the source's own word holds from then on.

        Raises:
            ConfigurationError: the name is taken, or there is no such source.
        """
        if export_type.name in self._types:
            raise ConfigurationError(f"Export type {export_type.name!r} is declared twice.")
        source = self.sources.get(export_type.source_name)
        if source is None:
            said = unknown_source(export_type.source_name, self.sources)
            raise ConfigurationError(f"Export type {export_type.name!r}: {said}")
        if source.polite != NOT_LIMITED:
            export_type = replace(export_type, polite=export_type.polite.over(source.polite))
        if source.together != export_type.together:
            export_type = replace(export_type, together=source.together)
        self._types[export_type.name] = export_type
        return export_type

    def get_type(self, name: str) -> ExportType:
        """Return the type called ``name``; raises ``UnknownExportType``."""
        try:
            return self._types[name]
        except KeyError:
            raise UnknownExportType(name, tuple(sorted(self._types))) from None

    def sources_read(self) -> tuple[str, ...]:
        """Return the names of the sources that types are read from."""
        named = {each.source_name for each in self._types.values()}
        return tuple(name for name in self.sources if name in named)

    def shared_by(self, name: str) -> tuple[str, ...]:
        """Return the names of the types that are read from one source."""
        return tuple(each.name for each in self._types.values() if each.source_name == name)

    def of_source(self, name: str) -> Catalog:
        """Return the types that are read from one source.

        Raises:
            ConfigurationError: there is none of that name.
        """
        if name not in self.sources:
            raise ConfigurationError(unknown_source(name, self.sources))
        types = (each for each in self._types.values() if each.source_name == name)
        return Catalog(types, sources=self.sources.values(), schema=self.schema)

    def __getitem__(self, name: str) -> ExportType:
        return self._types[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)
