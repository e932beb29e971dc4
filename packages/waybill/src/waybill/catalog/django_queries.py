"""A Django ``QuerySet`` as the rows of an export.

The query is compiled by Django's own compiler with its values apart. Django writes tables without
their schema and leaves it to the search path where they are; a run of ours searches none. So each
table that the query reads stands before it under its own name, as ``WITH "shop_order" AS (SELECT *
FROM "public"."shop_order")``, which PostgreSQL plans as the table itself. What is not named there
is found nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.apps import apps
from django.conf import settings
from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import router
from django.db.models import Aggregate, Exists, Lookup, QuerySet
from django.db.models.expressions import Col, CombinedExpression, RawSQL
from django.db.models.functions.datetime import TimezoneMixin
from django.db.models.sql import Query
from django.db.models.sql.where import ExtraWhere, NothingNode

from waybill.catalog.django_models import is_own_type, table_of
from waybill.catalog.model import Catalog, ExportType, TableSource
from waybill.catalog.names import DEFAULT_SCHEMA
from waybill.catalog.orm import Compared, refused, rights_of
from waybill.catalog.own_text import is_operator, reads_rows
from waybill.catalog.selection import Selection, plain_value, split_placeholders

_WHOLE: Final = frozenset({"exact", "gt", "gte", "lt", "lte", "in", "range", "isnull"})
"""The lookups that compare a moment as a whole."""


def select_rows(
    catalog: Catalog, export_type: ExportType, queryset: Any, *, using: str = "default",
    schema: str = DEFAULT_SCHEMA,
) -> Selection | None:  # fmt: skip
    """Return the rows of a ``QuerySet`` of one model; ``None`` for all of them.

    Raises:
        InvalidOption: it says more than which rows are wanted, or cannot be kept exactly.
    """
    _check(export_type, queryset, using, schema)
    keys = _keys_of(queryset)
    query: Query = keys.query
    try:
        text, values = query.get_compiler(using).as_sql()
    except EmptyResultSet:
        return _nothing(export_type)
    except FullResultSet:
        return None
    reading = _Reading(export_type, schema, using)
    reading.rows(query)
    if not query.where and reading.tables == {export_type.source}:
        return None
    names = ", ".join(
        f"{_quoted(table.table)} AS NOT MATERIALIZED "  # noqa: S608 - names of models, quoted
        f"(SELECT * FROM {_quoted(table.schema)}.{_quoted(table.table)})"
        for table in sorted(reading.tables, key=lambda each: (each.schema, each.table))
        if table.schema == schema
    ).replace("%", "%%")
    before = f"WITH {names} " if names else ""
    compares, needs = rights_of(catalog, export_type, reading.compared)
    return Selection(
        split_placeholders(before + text.strip()),
        tuple(_value(each) for each in values),
        export_type.key,
        compares=compares,
        needs=needs,
    )


def without_output(queryset: QuerySet[Any]) -> QuerySet[Any]:
    """Return a changelist's query without what it has for showing: an export has the columns of
    its type. Which rows there are stays as it is."""
    plain = queryset.order_by().defer(None).select_related(None).prefetch_related(None)
    plain.query.set_annotation_mask(set())
    if not plain.query.extra_tables:
        plain.query.extra = {}
    return plain


def _check(export_type: ExportType, queryset: Any, using: str, schema: str) -> None:
    if not isinstance(queryset, QuerySet):
        raise refused("other", name=export_type.name)
    query = queryset.query
    if table_of(queryset.model._meta.concrete_model, schema) != export_type.source:
        raise refused("other", name=export_type.name)
    if using not in _databases(queryset):
        raise refused("alias", alias=queryset.db, expected=using)
    is_partial = queryset._fields is not None or query.deferred_loading != (frozenset(), True)
    for why, is_there in (
        ("sliced", query.is_sliced),
        ("union", bool(query.combinator)),
        ("distinct", bool(query.distinct_fields)),
        ("text", bool(query.extra or query.extra_tables)),
        ("grouped", isinstance(query.group_by, tuple) and queryset._fields is not None),
        ("annotated", bool(query.annotation_select)),
        ("deferred", is_partial),
        ("locking", query.select_for_update),
    ):
        if is_there:
            raise refused(why)


def _databases(queryset: QuerySet[Any]) -> set[str]:
    """Return where the rows of a query may be read: what it names, else what the project's routers
    say. One that reads elsewhere than it writes reads a copy, and the rows are of both."""
    if queryset._db is not None:
        return {queryset._db}
    ask = (router.db_for_read, router.db_for_write)
    return {each(queryset.model, **queryset._hints) for each in ask}


def _keys_of(queryset: QuerySet[Any]) -> QuerySet[Any]:
    meta = queryset.model._meta.concrete_model._meta
    fields = getattr(meta, "pk_fields", None) or [meta.pk]
    keys = queryset.order_by().values_list(*(field.attname for field in fields))
    # Each row is chosen or not; how often its key comes up says nothing.
    keys.query.distinct = False
    return keys


def _nothing(export_type: ExportType) -> Selection:
    source = export_type.source
    assert isinstance(source, TableSource)  # noqa: S101 - `_check` compared it with a table
    listed = ", ".join(map(_quoted, export_type.key))
    relation = f"{_quoted(source.schema)}.{_quoted(source.table)}"
    text = f"SELECT {listed} FROM {relation} WHERE false"  # noqa: S608 - names of models, quoted
    return Selection((text,), (), export_type.key)


class _Reading:
    """What a query reads: its tables, and the columns whose values decide."""

    def __init__(self, export_type: ExportType, schema: str, using: str) -> None:
        self._type = export_type
        self._schema = schema
        self._using = using
        self.tables: set[TableSource] = set()
        self.compared: set[Compared] = set()
        self._compiler: Any = None

    def rows(self, query: Query) -> None:
        """Take in which rows a query has, and the queries within it. What it computes and nobody
        filters by decides nothing.

        Raises:
            InvalidOption: a part of it is SQL as text, or unknown.
        """
        if query.extra or query.extra_tables or query.combined_queries:
            raise refused("union" if query.combined_queries else "text")
        for join in query.alias_map.values():
            name = join.table_name
            first, between, rest = name.strip('"').partition('"."')
            self.tables.add(
                TableSource(first, rest) if between else TableSource(self._schema, first)
            )
        around, self._compiler = self._compiler, query.get_compiler(self._using)
        for join in query.alias_map.values():
            if (filtered := getattr(join, "filtered_relation", None)) is not None:
                self._node(filtered.resolved_condition)
        self._node(query.where)
        self._compiler = around

    def _inner(self, query: Query, *, gives_values: bool) -> None:
        """Take in a query within another: its values are compared with something, and so is what
        says which rows a few of them are of."""
        query = query.clone()
        decide: list[Any] = []
        if query.is_sliced or query.distinct_fields:
            # As a query is compiled, with the joins that its order needs.
            _, order, _ = query.get_compiler(self._using).pre_sql_setup()
            decide += (expression for expression, _ in order)
        for name in query.distinct_fields:
            if name in query.annotations:
                decide.append(query.annotations[name])
            else:
                _, _, targets, _ = query.names_to_path(name.split("__"), query.get_meta())
                for target in targets:
                    self._column(target)
        if gives_values:
            decide += [*query.select, *query.annotation_select.values()]
        if isinstance(query.group_by, tuple):
            decide += query.group_by
        self.rows(query)
        around, self._compiler = self._compiler, query.get_compiler(self._using)
        for each in decide:
            self._node(each)
        self._compiler = around

    def _node(self, node: Any) -> None:
        if isinstance(node, Query):
            self._inner(node, gives_values=True)
        elif isinstance(node, Exists):
            self._inner(node.query, gives_values=False)
        elif isinstance(node, Col):
            self._column(node.target)
        elif isinstance(node, TimezoneMixin) and _is_local():
            raise refused("zone", what="a time")
        elif isinstance(node, (RawSQL, ExtraWhere)):
            raise refused("text")
        elif node is not None and not isinstance(node, NothingNode):
            if _writes_text(node):
                self._own_text(node)
            is_whole = isinstance(node, Lookup) and node.lookup_name in _WHOLE
            for each in _parts(node):
                is_moment = isinstance(each, Col) and (
                    each.target.get_internal_type() == "DateTimeField"
                )
                if is_moment and not (is_whole or isinstance(node, Aggregate)) and _is_local():
                    raise refused("zone", what=each.target)
                self._node(each)

    def _own_text(self, node: Any) -> None:
        """Refuse an expression of the application's own whose text names more than its parts."""
        try:
            text = self._compiler.compile(node)[0]
            parts = [self._compiler.compile(each)[0] for each in _parts(node) if each is not None]
        except (EmptyResultSet, FullResultSet):
            return
        except Exception as exc:
            raise refused("unknown", what=type(node).__name__) from exc
        tables = {table_of(model, self._schema): model for model in apps.get_models(True)}
        columns = {
            field.column.lower()
            for table in self.tables
            if table in tables
            for field in tables[table]._meta.concrete_fields
        }
        # A table's name alone is all its columns: ``to_json(shop_customer)``.
        rows = {name.lower() for name in self._compiler.query.alias_map}
        rows |= {table.table.lower() for table in self.tables}
        if reads_rows(text, [each for each in parts if each], columns | rows):
            raise refused("own", what=type(node).__name__)

    def _column(self, field: Any) -> None:
        if field.remote_field is None and not is_own_type(field) and not self._type.search_path:
            raise refused("type", what=str(field), name=self._type.name)
        table = table_of(field.model, self._schema)
        is_key = field.primary_key or field.remote_field is not None
        self.compared.add(Compared(table, field.column, is_key))


def _writes_text(node: Any) -> bool:
    """Whether an expression is the application's own, or was given SQL as text to write."""
    if not type(node).__module__.startswith("django."):
        return True
    if isinstance(node, CombinedExpression):
        return not is_operator(str(node.connector))
    return any(isinstance(each, str) for each in getattr(node, "extra", {}).values())


def _parts(node: Any) -> Iterator[Any]:
    if not hasattr(node, "get_source_expressions"):
        raise refused("unknown", what=type(node).__name__)
    yield from node.get_source_expressions()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _is_local() -> bool:
    """Whether Django's connection is in another time zone than ours: it has no zone in its times,
    and its columns are ``timestamptz`` all the same."""
    return not settings.USE_TZ and settings.TIME_ZONE not in {"UTC", "Etc/UTC"}


def _value(value: Any) -> Any:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, datetime) and value.tzinfo is None and _is_local():
        return _with_zone(value)
    return tuple(map(_value, value)) if isinstance(value, (list, tuple)) else plain_value(value)


def _with_zone(moment: datetime) -> str:
    """Return a local time as a text that a ``timestamptz`` and a ``timestamp`` both read as
    Django's connection would (the latter passes over the offset): of an hour that comes twice the
    second, of one that is left out what it would have been before, as PostgreSQL has it."""
    zone = ZoneInfo(settings.TIME_ZONE)
    first, second = (moment.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    comes_twice = first.timestamp() < second.timestamp()
    return (second if comes_twice else first).isoformat(" ")
