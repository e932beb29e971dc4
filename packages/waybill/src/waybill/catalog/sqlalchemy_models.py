"""SQLAlchemy's models as a catalog, and its ``select()`` as the rows of an export."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, cast

from sqlalchemy import (
    BindParameter,
    Column,
    CompoundSelect,
    Select,
    Table,
    TextClause,
    inspect,
    types,
)
from sqlalchemy.dialects.postgresql.psycopg import dialect as psycopg_dialect
from sqlalchemy.exc import InvalidRequestError, NoInspectionAvailable, SQLAlchemyError
from sqlalchemy.orm import Mapper
from sqlalchemy.orm.strategy_options import _AbstractLoad
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ClauseElement, ColumnClause
from sqlalchemy.sql.operators import custom_op
from sqlalchemy.sql.selectable import Alias, TableClause

from waybill.catalog.model import Catalog, ExportType, TableSource
from waybill.catalog.names import DEFAULT_SCHEMA
from waybill.catalog.orm import (
    Compared,
    Export,
    Hop,
    Model,
    ModelColumn,
    build_catalog,
    refused,
    rights_of,
    tenant_condition,
    tenant_missing,
    wanted,
)
from waybill.catalog.own_text import is_operator, reads_rows
from waybill.catalog.selection import Selection, plain_value, split_placeholders
from waybill.catalog.sources import NamedSource
from waybill.errors import ConfigurationError
from waybill.filter_types import FilterType

_FILTER_TYPES: tuple[tuple[type[Any], FilterType], ...] = (
    (types.Boolean, "boolean"),
    (types.Integer, "integer"),
    (types.Numeric, "number"),
    (types.Float, "number"),
    (types.Date, "date"),
    (types.Uuid, "uuid"),
    (types.String, "text"),
)
# Where dialects hang clauses of their own (SQLAlchemy 2.1), DISTINCT ON among them.
_EXTENSIONS = (
    "_pre_columns_clause", "_post_select_clause", "_post_criteria_clause", "_post_body_clause",
)  # fmt: skip
_OWN_MODULES = ("sqlalchemy.sql.sqltypes", "sqlalchemy.dialects.postgresql")


def read_models(
    models: Iterable[Any], *, schema: str = DEFAULT_SCHEMA, tenant: str = "",
    pii: Mapping[str, bool | str] | None = None, sources: Iterable[NamedSource] = (),
) -> Catalog:  # fmt: skip
    """Return the catalog of mapped classes or tables; see ``Catalog.from_sqlalchemy``."""
    read = (
        (each, _read(each, schema, tenant if each.tenant is None else each.tenant, pii or {}))
        for each in wanted(models)
    )
    return build_catalog(read, sources, schema)


def _read(export: Export, schema: str, tenant: str, pii: Mapping[str, bool | str]) -> Model:
    label, table = _table_of(export.model)
    if not table.primary_key.columns:
        raise ConfigurationError(
            f"{label} has no primary key, by which rows are told apart. Declare one, or declare "
            "the table in the catalog with the columns that identify a row."
        )
    return Model(
        label=label,
        source=TableSource(table.schema or schema, table.name),
        key=tuple(column.name for column in table.primary_key.columns),
        columns=tuple(_column(column, pii) for column in table.columns),
        title=str(table.info.get("title", "")),
        tenant_sql="" if export.scope else _tenant_sql(label, table, tenant, schema),
    )


def _table_of(model: Any) -> tuple[str, Table]:
    if isinstance(model, Table):
        return model.fullname, model
    try:
        mapper: Mapper[Any] = inspect(model)
    except NoInspectionAvailable as exc:
        raise ConfigurationError(
            f"{model!r} is neither a mapped class of SQLAlchemy nor a table."
        ) from exc
    if not isinstance(mapper, Mapper) or not isinstance(mapper.local_table, Table):
        raise ConfigurationError(f"{model!r} is mapped to no table; name one that is.")
    if mapper.inherits is not None:
        raise ConfigurationError(
            f"{mapper.class_.__name__} inherits from {mapper.inherits.class_.__name__}, with whose "
            "rows its own lie or belong together. Name that one, or declare a query."
        )
    return mapper.class_.__name__, mapper.local_table


def _column(column: Column[Any], pii: Mapping[str, bool | str]) -> ModelColumn:
    info = column.info
    values: tuple[str, ...] = ()
    if isinstance(column.type, types.Enum):
        values = tuple(column.type.enums)
    return ModelColumn(
        field=column.name,
        name=column.name,
        label=str(info.get("label", "")),
        pii=pii.get(f"{column.table.name}.{column.name}", info.get("pii", False)),
        filter_type=_filter_type(column.type),
        values=values,
    )


def _filter_type(kind: Any) -> FilterType | None:
    if isinstance(kind, types.DateTime):
        return "timestamptz" if kind.timezone else "timestamp"
    if not _is_own(kind):
        return None
    return next((name for python, name in _FILTER_TYPES if isinstance(kind, python)), None)


def _is_own(kind: Any) -> bool:
    """Whether PostgreSQL itself says how values of a type compare."""
    if isinstance(kind, types.TypeDecorator):
        return _is_own(kind.impl_instance)
    return (
        type(kind).__module__.startswith(_OWN_MODULES)
        and not type(kind).__name__.upper().startswith("CITEXT")
    )  # fmt: skip


def _tenant_sql(label: str, table: Table, path: str, schema: str) -> str:
    """Return the condition for the caller's own rows, over the foreign keys of ``path``."""
    hops: list[Hop] = []
    while path:
        name, _, rest = path.partition("__")
        if not rest:
            if name not in table.columns:
                break
            return tenant_condition(hops, name)
        keys = [
            (column, key)
            for column in table.columns
            for key in column.foreign_keys
            if name in {column.name, column.name.removesuffix("_id"), key.column.table.name}
        ]
        if not keys:
            break
        column, key = keys[0]
        table, path = key.column.table, rest
        source = TableSource(table.schema or schema, table.name)
        hops.append(Hop(column.name, source, key.column.name))
    if not path:
        return ""
    raise tenant_missing(label, path)


# -- select() ------------------------------------------------------------------------------------


def select_rows(
    catalog: Catalog, export_type: ExportType, statement: Any, *, schema: str = DEFAULT_SCHEMA
) -> Selection | None:
    """Return the rows of a ``select()`` of one model; ``None`` for all of them.

    Raises:
        InvalidOption: it says more than which rows are wanted, or cannot be kept exactly.
    """
    table = _check(export_type, statement, schema)
    mapper = _mapper_of(statement)
    is_narrower = bool(statement._where_criteria) or (mapper is not None and mapper.single)
    if not is_narrower and list(statement.get_final_froms()) == [table]:
        return None
    columns = list(_columns(statement))
    for source, column in _foreign_types(columns):
        if not export_type.search_path:
            raise refused("type", what=f"{source}.{column}", name=export_type.name)
    compares, needs = rights_of(catalog, export_type, _compared(columns, schema))
    text, values = _compile(statement, table, export_type.key, schema)
    return Selection(
        split_placeholders(text),
        tuple(values),
        export_type.key,
        compares=compares,
        needs=needs,
    )


def _check(export_type: ExportType, statement: Any, schema: str) -> Table:
    """Return the table whose rows are chosen."""
    if isinstance(statement, CompoundSelect):
        raise refused("union")
    if not isinstance(statement, Select):
        raise refused(
            "text" if isinstance(statement, TextClause) else "other", name=export_type.name
        )
    for what, is_there in (
        ("sliced", any(
            clause is not None
            for clause in (
                statement._limit_clause, statement._offset_clause, statement._fetch_clause
            )
        )),
        ("distinct", bool(statement._distinct_on)),
        ("grouped", bool(statement._group_by_clauses or statement._having_criteria)),
        ("locking", statement._for_update_arg is not None),
        ("deferred", any(_defers(option) for option in statement._with_options)),
        ("text", bool(statement._prefixes or statement._suffixes or statement._statement_hints
                      or any(getattr(statement, name, None) is not None for name in _EXTENSIONS))),
        ("unknown", bool(statement._independent_ctes)),
    ):  # fmt: skip
        if is_there:
            raise refused(what, what="a common table expression")
    selected = _selected(statement)
    tables = {getattr(each, "table", None) for each in selected}
    plain = [each for each in selected if isinstance(each, Column)]
    if len(plain) != len(selected):
        raise refused("annotated")
    sources = {_source(each, schema) for each in tables}
    if sources != {export_type.source}:
        raise refused("other" if export_type.source not in sources else "annotated",
                      name=export_type.name)  # fmt: skip
    (table,) = tables
    if not isinstance(table, Table):
        raise refused("other", name=export_type.name)
    if {each.name for each in plain} != {each.name for each in table.columns}:
        raise refused("deferred")
    for element in visitors.iterate(statement):
        is_literal = isinstance(element, ColumnClause) and element.is_literal
        # What EXISTS selects, which is nothing.
        if (is_literal or isinstance(element, TextClause)) and str(element) not in {"1", "*"}:
            raise refused("text")
        if not is_literal and _is_bare(element):
            raise refused("text")
        _check_own_text(element, table)
        if isinstance(element, Select) and element._for_update_arg is not None:
            raise refused("locking")
        if isinstance(element, BindParameter) and element.callable is not None:
            raise refused("unknown", what="a value that is computed later")
        if isinstance(element, BindParameter) and _is_local(element):
            raise refused("local", what="a column of times with a zone")
    return cast(Table, table._deannotate())


def _check_own_text(element: Any, table: Table) -> None:
    """Refuse what writes SQL of the application's own that names more than its parts: an operator
    (``op("…")``), or a construct that it compiles itself (``@compiles``)."""
    operator = getattr(element, "operator", None)
    if isinstance(operator, custom_op) and not is_operator(operator.opstring):
        raise refused("own", what=f"the operator {operator.opstring!r}")
    if not any("_compiler_dispatcher" in vars(kind) for kind in type(element).__mro__):
        return
    dialect: Any = psycopg_dialect()  # type: ignore[no-untyped-call]
    try:
        text, *parts = (str(each.compile(dialect=dialect)) for each in (element, *_below(element)))
    except Exception as exc:
        raise refused("unknown", what=type(element).__name__) from exc
    known = {column.name.lower() for each in table.metadata.tables.values() for column in each.c}
    # A table's name alone is all its columns: ``to_json(shop_customer)``.
    known |= {each.name.lower() for each in table.metadata.tables.values()}
    if reads_rows(text, [each for each in parts if each], known):
        raise refused("own", what=type(element).__name__)


def _below(element: Any) -> list[Any]:
    return [each for each in visitors.iterate(element) if each is not element]


def _selected(statement: Select[Any]) -> list[Any]:
    """Return what is selected; of a class its table's columns. What it computes besides
    (``column_property``) is the class's, and nobody asked for it."""
    raw = statement._raw_columns
    if len(raw) == 1 and isinstance(raw[0], Table):
        return [each for each in statement.selected_columns if isinstance(each, Column)]
    return list(statement.selected_columns)


def _is_bare(element: Any) -> bool:
    """Whether it is a name of a column or a table that no model is behind (``column("x")``)."""
    if isinstance(element, ColumnClause) and not isinstance(element, Column):
        return element.table is None or type(element.table) is TableClause
    return type(element) is TableClause


def _is_local(parameter: BindParameter[Any]) -> bool:
    """Whether a value without a zone stands for a moment: which one, the application's connection
    would decide, and not ours."""
    value = parameter.value
    return bool(getattr(parameter.type, "timezone", False)) and any(
        isinstance(each, datetime) and each.tzinfo is None
        for each in (value if isinstance(value, (list, tuple)) else (value,))
    )


def _defers(option: Any) -> bool:
    """Whether a loader option leaves columns out; others say how related rows are loaded.

    Raises:
        InvalidOption: it is no loader option, but may choose rows itself.
    """
    if not isinstance(option, _AbstractLoad):
        raise refused("unknown", what=type(option).__name__)
    elements = getattr(option, "context", ()) or ()
    return any("deferred" in dict(element.strategy or ()) for element in elements)


def _source(table: Any, schema: str) -> TableSource | None:
    while isinstance(table, Alias):
        table = table.element
    return TableSource(table.schema or schema, table.name) if isinstance(table, Table) else None


def _columns(statement: Select[Any]) -> Iterator[Column[Any]]:
    """Give the tables' columns that decide which rows there are: those of all conditions, of what
    is joined, and of queries within. Columns of a subquery are those that it makes them of."""
    mapper = _mapper_of(statement)
    criteria = () if mapper is None else (mapper._single_table_criterion,)
    conditions = [each for each in (*statement._where_criteria, *criteria) if each is not None]
    parts: list[ClauseElement] = [*conditions, *statement.get_final_froms()]
    seen: set[int] = set()
    while parts:
        for element in visitors.iterate(parts.pop()):
            if id(element) in seen:
                continue
            seen.add(id(element))
            if isinstance(element, Select):
                parts += element.get_final_froms()  # as its relationships join them
            elif isinstance(element, ColumnClause):
                for base in element.base_columns:
                    if not isinstance(base, ColumnClause):
                        parts.append(base)
                    elif isinstance(base, Column):
                        yield base


def _mapper_of(statement: Select[Any]) -> Mapper[Any] | None:
    """Return the class whose rows are chosen, where it is a class."""
    (chosen, *_) = statement._raw_columns
    entity = chosen._annotations.get("parententity")
    return entity if isinstance(entity, Mapper) else None


def _compared(columns: Iterable[Column[Any]], schema: str) -> Iterator[Compared]:
    for column in columns:
        source = _source(column.table, schema)
        if source is not None:
            is_key = bool(column.primary_key or column.foreign_keys)
            yield Compared(source, column.name, is_key)


def _foreign_types(columns: Iterable[Column[Any]]) -> Iterator[tuple[str, str]]:
    for column in columns:
        if not (_is_own(column.type) or isinstance(column.type, types.NullType)):
            yield str(column.table), column.name


def _dialect() -> Any:
    return psycopg_dialect(paramstyle="format")  # type: ignore[no-untyped-call]


def _compile(
    statement: Select[Any], table: Table, key: tuple[str, ...], schema: str
) -> tuple[str, list[Any]]:
    """Return the text of the query for keys with ``%s`` for each value, and the values."""
    keys = statement.with_only_columns(
        *(column for column in _selected(statement) if column.name in key),
        maintain_column_froms=True,
    ).order_by(None)
    # In the order of the key, whatever the table's.
    ordered = sorted(keys.selected_columns, key=lambda column: key.index(column.name))
    keys = keys.with_only_columns(*ordered, maintain_column_froms=True)
    try:
        compiled = keys.compile(
            dialect=_dialect(),
            schema_translate_map={None: schema},
            render_schema_translate=True,
        )
        state = compiled.construct_expanded_state()
    except (InvalidRequestError, SQLAlchemyError) as exc:
        raise refused("unknown", what="a value or an expression that does not compile") from exc
    bound: Mapping[str, Any] = compiled._bind_processors
    values = []
    for name in state.positiontup or ():
        value = state.parameters[name]
        # A list's values have processors of their own, all others those of the statement.
        processor = state.processors.get(name) or bound.get(name)
        values.append(plain_value(processor(value) if processor is not None else value))
    return state.statement.strip(), values
