"""Django's models as a catalog. Imported where Django is, by ``Catalog.from_django``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from waybill.catalog.model import Catalog, TableSource
from waybill.catalog.names import DEFAULT_SCHEMA
from waybill.catalog.orm import (
    Export,
    Hop,
    Model,
    ModelColumn,
    build_catalog,
    tenant_condition,
    tenant_missing,
    wanted,
)
from waybill.catalog.sources import NamedSource
from waybill.errors import ConfigurationError
from waybill.filter_types import FilterType

try:
    from django.conf import settings
    from django.core.exceptions import FieldDoesNotExist
    from django.db import connections, models
except ModuleNotFoundError as exc:
    if exc.name != "django":
        raise
    raise ConfigurationError("There is no Django here: pip install 'waybill[django]'.") from exc

_FILTER_TYPES: dict[str, FilterType] = {
    "AutoField": "integer", "BigAutoField": "integer", "SmallAutoField": "integer",
    "IntegerField": "integer", "BigIntegerField": "integer", "SmallIntegerField": "integer",
    "PositiveIntegerField": "integer", "PositiveBigIntegerField": "integer",
    "PositiveSmallIntegerField": "integer", "BooleanField": "boolean", "CharField": "text",
    "TextField": "text", "SlugField": "text", "DateField": "date", "DecimalField": "number",
    "FloatField": "number", "UUIDField": "uuid",
}  # fmt: skip

_POSTGRES = "django.contrib.postgres"
# hstore, beside them, is an extension's.
_OWN_MODULES = ("django.db.models.", f"{_POSTGRES}.fields.ranges", f"{_POSTGRES}.search")


def read_models(
    models: Iterable[Any], *, schema: str = DEFAULT_SCHEMA, tenant: str = "",
    pii: Mapping[str, bool | str] | None = None, using: str = "default",
    sources: Iterable[NamedSource] = (),
) -> Catalog:  # fmt: skip
    """Return the catalog of Django models; see ``Catalog.from_django``."""
    read = (
        (
            each,
            _read(each, schema, tenant if each.tenant is None else each.tenant, pii or {}, using),
        )
        for each in wanted(models)
    )
    return build_catalog(read, sources, schema)


def table_of(model: Any, schema: str = DEFAULT_SCHEMA) -> TableSource:
    """Return where a model's rows lie. ``db_table = 'sales"."order'`` is the known way to name a
    schema."""
    first, between, rest = model._meta.db_table.strip('"').partition('"."')
    return TableSource(first, rest) if between else TableSource(schema, first)


def _read(
    export: Export, schema: str, tenant: str, pii: Mapping[str, bool | str], using: str
) -> Model:
    model: Any = export.model
    is_model = isinstance(model, type) and issubclass(model, models.Model)
    if not is_model or export.model._meta.abstract:
        raise ConfigurationError(f"{model!r} is no model of Django with a table.")
    meta = export.model._meta.concrete_model._meta
    label = meta.label
    if connections[using].vendor != "postgresql":
        raise ConfigurationError(
            f"The database {using!r} is {connections[using].vendor}; waybill exports PostgreSQL."
        )
    if meta.parents:
        parents = ", ".join(parent._meta.label for parent in meta.parents)
        raise ConfigurationError(
            f"{label} has columns in the tables of {parents}. Export that, or declare a query."
        )
    keys = list(getattr(meta, "pk_fields", None) or [meta.pk])
    exported = [field for field in meta.local_concrete_fields if field.column is not None]
    left_out = {"password"} if _is_user(model) and "password" not in export.labels else set()
    return Model(
        label=label,
        source=table_of(meta.model, schema),
        key=tuple(field.column for field in keys),
        columns=tuple(
            _column(field, pii.get(f"{label}.{field.name}", False))
            for field in exported
            if field.name not in left_out
        ),
        title=str(meta.verbose_name_plural),
        tenant_sql="" if export.scope else _tenant_sql(label, meta, tenant, schema),
        options={"requires": (permission_of(model),)},
    )


def permission_of(model: Any) -> str:
    """Return the permission that exporting a model takes: ``shop.export_order`` where the model
    declares it, else ``shop.view_order``."""
    meta = model._meta
    exporting = f"export_{meta.model_name}"
    declared = {codename for codename, _ in meta.permissions}
    codename = exporting if exporting in declared else f"view_{meta.model_name}"
    return f"{meta.app_label}.{codename}"


def _is_user(model: Any) -> bool:
    from django.contrib.auth.base_user import AbstractBaseUser

    return issubclass(model, AbstractBaseUser)


def _column(field: Any, pii: bool | str) -> ModelColumn:
    filter_type = _filter_type(field)
    # Grouped choices are flattened; None stands for NULL, which is asked for by is_null.
    choices = tuple(
        value
        for value, _ in getattr(field, "flatchoices", ())
        if isinstance(value, str) and filter_type == "text"
    )
    label = str(field.verbose_name)
    return ModelColumn(
        field=field.name,
        name=field.column,
        label=label[:1].upper() + label[1:],
        pii=pii,
        filter_type=filter_type,
        values=choices,
    )


def _filter_type(field: Any) -> FilterType | None:
    while field.remote_field is not None:
        field = field.target_field
    kind = field.get_internal_type()
    if kind == "DateTimeField":
        # Whatever USE_TZ says; tables that Django did not make may be otherwise.
        is_theirs = not settings.USE_TZ and not field.model._meta.managed
        return "timestamp" if is_theirs else "timestamptz"
    return _FILTER_TYPES.get(kind) if is_own_type(field) else None


def is_own_type(field: Any) -> bool:
    """Whether PostgreSQL itself says how values of a field compare: a field that names a type of
    its own (``citext``) may be of an extension."""
    if type(field).__module__ == f"{_POSTGRES}.fields.array":
        return is_own_type(field.base_field)
    return type(field).__module__.startswith(_OWN_MODULES) or (
        type(field).db_type is models.Field.db_type
    )


def _tenant_sql(label: str, meta: Any, path: str, schema: str) -> str:
    hops: list[Hop] = []
    rest = path
    while rest:
        name, _, rest = rest.partition("__")
        try:
            field = meta.get_field(name)
        except FieldDoesNotExist:
            field = next((f for f in meta.local_concrete_fields if f.attname == name), None)
        if field is None or not getattr(field, "concrete", False) or field.many_to_many:
            raise tenant_missing(label, path)
        if not rest:
            return tenant_condition(hops, field.column)
        if field.remote_field is None:
            raise tenant_missing(label, path)
        target = field.target_field
        meta = target.model._meta
        hops.append(Hop(field.column, table_of(target.model, schema), target.column))
    return ""
