"""An application's own models as export types: what Django's and SQLAlchemy's have in common.

A model says where its rows lie, how they are called and what identifies them. What no model says
is said beside it, with an ``Export``: who may have it, what is personal, whose rows are whose.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from waybill.catalog.computed import Computed, one_scope
from waybill.catalog.filters import Filter
from waybill.catalog.model import (
    PERSONAL_DATA_SCOPE,
    Catalog,
    Column,
    ExportType,
    TableSource,
)
from waybill.catalog.names import DEFAULT_SCHEMA, derive_export_names, safe_label
from waybill.catalog.scope import RowScope
from waybill.catalog.selection import OPTION
from waybill.catalog.sources import NamedSource
from waybill.errors import ConfigurationError, InvalidOption
from waybill.filter_types import FilterType

Pii = bool | str
"""``True``: the scope ``exports:pii``; a text: that scope; ``False``: none."""


@dataclass(frozen=True, slots=True)
class Export:
    """A model, and what it does not say itself.

    Args:
        model: a mapped class, a SQLAlchemy table, or a Django model.
        name: the export type's; made of the table's by default.
        exclude: columns that are not exported (by the model's names).
        labels: headers, by column.
        pii: which columns hold personal data, beside what the model says.
        tenant: the field that holds the tenant, over foreign keys if need be
            (``customer__tenant_id``); instead of the catalog's. ``""``: the rows are everybody's.
        scope: a row scope as SQL, instead of ``tenant``.
        options: anything else that an ``ExportType`` takes (``requires``, ``quota``, …).
        computed: columns that Python makes of others, by name, behind those of the model; what
            they read goes by the model's names.
    """

    model: Any
    name: str = ""
    exclude: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    pii: Mapping[str, Pii] = field(default_factory=dict)
    tenant: str | None = None
    scope: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    computed: Mapping[str, Computed] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelColumn:
    """A column as a model has it. ``field`` is what the model calls it."""

    field: str
    name: str
    label: str = ""
    pii: Pii = False
    filter_type: FilterType | None = None
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """A model, read. ``label`` is what its programmer calls it."""

    label: str
    source: TableSource
    key: tuple[str, ...]
    columns: tuple[ModelColumn, ...]
    title: str = ""
    tenant_sql: str = ""
    """The condition for the caller's own rows; empty where the rows are everybody's."""
    options: Mapping[str, Any] = field(default_factory=dict)


def wanted(models: Iterable[Any]) -> list[Export]:
    """Return what was given, each as an ``Export``."""
    return [each if isinstance(each, Export) else Export(each) for each in models]


def build_catalog(
    pairs: Iterable[tuple[Export, Model]],
    sources: Iterable[NamedSource] = (),
    schema: str = DEFAULT_SCHEMA,
) -> Catalog:
    """Return the catalog of models that were read.

    Raises:
        ConfigurationError: a model has no primary key, or something that was said does not fit.
    """
    listed = list(pairs)
    names = derive_export_names([(m.source.schema, m.source.table) for _, m in listed])
    types = (
        _export_type(export, model, export.name or name)
        for (export, model), name in zip(listed, names, strict=True)
    )
    return Catalog(types, sources=sources, schema=schema)


def _export_type(export: Export, model: Model, name: str) -> ExportType:
    known = {each.field: each for each in model.columns}
    for what, fields in (
        ("exclude", export.exclude), ("labels", export.labels), ("pii", export.pii)
    ):  # fmt: skip
        for field_name in fields:
            if field_name not in known and (what == "exclude" or field_name not in export.computed):
                raise ConfigurationError(
                    f"{model.label} has no column {field_name!r}, which {what} names. It has: "
                    f"{', '.join(known)}."
                )
    exported = [each for each in model.columns if each.field not in export.exclude]
    if not exported:
        raise ConfigurationError(f"{model.label}: every column is excluded; leave one.")
    labels = _labels(export, exported)
    columns = tuple(
        Column(each.name, labels[each.field], _scope(export.pii.get(each.field, each.pii)))
        for each in exported
    ) + tuple(_computed(export, model, name))
    filters = tuple(
        Filter(each.name, each.filter_type, values=each.values)
        for each in exported
        if each.filter_type is not None
    )
    scope = export.scope or model.tenant_sql
    options = {"title": model.title, **model.options, **export.options}
    return ExportType(
        name,
        model.source,
        key=model.key,
        columns=columns,
        filters=filters,
        scope=RowScope(scope) if scope else None,
        **options,
    )


def _computed(export: Export, model: Model, export_type: str) -> Iterator[Column]:
    """Yield the computed columns; what they read by the source's names, and with the scopes of
    columns that are excluded too."""
    known = {each.field: each for each in model.columns}
    for name, computed in export.computed.items():
        needed: set[str] = set()
        for read in computed.reads:
            if read not in known:
                raise ConfigurationError(
                    f"{model.label} has no column {read!r}, which the computed column {name!r} "
                    f"reads. It has: {', '.join(known)}."
                )
            scope = _scope(export.pii.get(read, known[read].pii))
            needed.add(scope or (PERSONAL_DATA_SCOPE if read in export.exclude else ""))
        if name in export.pii:
            pii = _scope(export.pii[name])
        elif computed.pii is not None:
            pii = computed.pii
        else:
            pii = one_scope(export_type, name, needed)
        reads = tuple(known[read].name for read in computed.reads)
        yield Column(
            name,
            export.labels.get(name, ""),
            computed=replace(computed, reads=reads, pii=pii),
        )


def _labels(export: Export, columns: Iterable[ModelColumn]) -> dict[str, str]:
    """Return each column's header: what was said, else the column's own name. Two that would be
    one keep their names."""
    labels = {
        each.field: safe_label(export.labels.get(each.field, each.label) or each.name, each.name)
        for each in columns
    }
    taken = list(labels.values())
    return {
        each.field: label
        if taken.count(label := labels[each.field]) == 1 or each.field in export.labels
        else each.name
        for each in columns
    }


def _scope(pii: Pii) -> str:
    if isinstance(pii, str):
        return pii
    return PERSONAL_DATA_SCOPE if pii else ""


@dataclass(frozen=True, slots=True)
class Hop:
    """A foreign key that is followed: the column that holds it, and what it refers to."""

    column: str
    to: TableSource
    to_column: str


def tenant_condition(hops: Sequence[Hop], column: str) -> str:
    """Return ``"tenant_id" = :principal.tenant``, over foreign keys if there are any.

    Within a subquery each column says whose it is: one that is gone must not be taken from around.
    """
    head, tail, prefix = "", "", ""
    for number, hop in enumerate(hops):
        alias = f"followed_{number}"
        relation = f"{_quoted(hop.to.schema)}.{_quoted(hop.to.table)}"
        # Names of models, quoted; the value is the principal's.
        found = f"SELECT {alias}.{_quoted(hop.to_column)} FROM {relation} AS {alias}"  # noqa: S608
        head += f"{prefix}{_quoted(hop.column)} IN ({found} WHERE "
        prefix, tail = f"{alias}.", tail + ")"
    return f"{head}{prefix}{_quoted(column)} = :principal.tenant{tail}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def tenant_missing(label: str, tenant: str) -> ConfigurationError:
    """Return the error for a model that has no such field: left alone, it would give out all."""
    return ConfigurationError(
        f"{label} has no field {tenant!r} that says whose a row is. Name another with "
        f'Export({label}, tenant="…"), over foreign keys if need be, or say with tenant="" that '
        "its rows are everybody's."
    )


# -- queries -------------------------------------------------------------------------------------

REFUSED: Final = {
    "other": "it is no query of the model of {name!r}",
    "sliced": "it is sliced; export all that matches, or filter by a date or a number instead",
    "union": "it combines queries (union, intersection, difference); filter with | and & instead",
    "distinct": "distinct by some fields keeps rows by chance; filter by what you want",
    "grouped": "its rows are groups; declare a query in the catalog for them",
    "annotated": "it computes columns; declare a query in the catalog for them, or compute what is "
    "only filtered by with alias()",
    "deferred": "it leaves columns out; name those that you want in columns",
    "locking": "it locks rows; leave select_for_update out",
    "text": "it holds SQL as text (extra, RawSQL, text), of which nobody can say what it compares; "
    "declare it in the catalog",
    "own": "{what} writes SQL of its own that may read more than what it was given (a column by "
    "name, another query); give it all columns as expressions, or declare a query in the catalog",
    "alias": "it is of the database {alias!r}, and exports read {expected!r}; use it, or a waybill "
    "of its own",
    "unknown": "it holds {what}, which cannot be kept exactly; declare a query in the catalog",
    "zone": "it takes {what} apart, which gives another day or hour in another time zone; exports "
    "are in UTC, and with USE_TZ = False Django is in TIME_ZONE. Compare it with times as it is, "
    "or set USE_TZ = True",
    "local": "it compares {what} with a time without a zone, which is another moment in another "
    "time zone; give the time its tzinfo",
    "type": "it compares {what}, whose type is not PostgreSQL's own and compares as its extension "
    "says; name the extension's schema in search_path of {name!r}",
}


def refused(why: str, **facts: object) -> InvalidOption:
    """Return the error for a query that cannot be kept exactly."""
    return InvalidOption(OPTION, REFUSED[why].format(**facts))


@dataclass(frozen=True, slots=True)
class Compared:
    """A column whose values decide which rows there are. ``is_key``: it identifies or refers to
    rows, and says nothing of its own."""

    table: TableSource
    column: str
    is_key: bool = False


def rights_of(
    catalog: Catalog, export_type: ExportType, compared: Iterable[Compared]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what a choice of rows needs: columns of the type's own to ask for, and the scopes that
    others' need, which are those of the types that give them out. What no type gives out counts as
    personal: nobody looked at it. Keys are let pass where nobody said that they are personal."""
    own: set[str] = set()
    needs: set[str] = set()
    for each in compared:
        is_own = each.table == export_type.source
        types = [export_type] if is_own else [t for t in catalog.values() if t.source == each.table]
        if each.is_key:
            types = [t for t in types if any(c.name == each.column for c in t.columns)]
            if not types:
                continue
        if is_own:
            own.add(each.column)
            continue
        scopes = {kind.scope_of_choice(each.column) for kind in types} or {PERSONAL_DATA_SCOPE}
        # Where one type gives it out to everybody, it is no secret.
        if "" not in scopes:
            needs.add(min(scopes))
    return tuple(sorted(own)), tuple(sorted(needs))
