"""Columns that Python computes: a function of the application's, called once for each row.

It is slow: each row passes through Python, where everything else passes as PostgreSQL wrote it.
What a query can say, a query says better.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from waybill.errors import ConfigurationError
from waybill.references import import_function, is_reference

if TYPE_CHECKING:
    from waybill.catalog.model import Column, ExportType

ComputedType = Literal["text", "integer", "number", "boolean", "date", "timestamptz"]

TYPES: Final[Mapping[ComputedType, tuple[int, str]]] = {
    "text": (25, "text"),
    "integer": (20, "bigint"),
    "number": (1700, "numeric"),
    "boolean": (16, "boolean"),
    "date": (1082, "date"),
    "timestamptz": (1184, "timestamp with time zone"),
}
"""``pg_type.oid`` and PostgreSQL's spelling of what a function may return."""

Function = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Computed:
    """How a column is computed.

    Args:
        function: takes one dict, the row's values by the source's names of the columns; or
            ``package.module:function``. Called in the order of the rows, by one thread of a file.
        reads: the source's columns that it is given, whether they are exported or not.
        type: what it returns, besides ``None``: ``text`` (``str``), ``integer`` (an ``int`` that
            PostgreSQL's bigint holds), ``number`` (``Decimal`` or ``int``), ``boolean``, ``date``,
            or ``timestamptz`` (a ``datetime`` with a time zone).
        pii: the scope that its values need; that of the columns that it reads when ``None``, and
            none when ``""``.

    Raises:
        ConfigurationError: it names no function, reads nothing, or has no such type.
    """

    # Whatever can be called will do, and not all of it can be hashed, as types are.
    function: str | Function = field(hash=False)
    reads: tuple[str, ...]
    type: ComputedType = "text"
    pii: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.function, str) and not is_reference(self.function):
            raise ConfigurationError(
                f"compute = {self.function!r} is no import string (package.module:function)."
            )
        object.__setattr__(self, "reads", tuple(self.reads))
        if not self.reads or len(set(self.reads)) != len(self.reads):
            raise ConfigurationError(
                "A computed column names in `reads`, once each, the columns of the source that its "
                "function is given."
            )
        if self.type not in TYPES:
            raise ConfigurationError(
                f"A computed column cannot be of type {self.type!r}; there are: "
                f"{', '.join(get_args(ComputedType))}."
            )

    @property
    def spelt(self) -> str:
        """The function's name, for people and to notice another one."""
        if isinstance(self.function, str):
            return self.function
        module = getattr(self.function, "__module__", "")
        return f"{module}:{getattr(self.function, '__qualname__', type(self.function).__name__)}"

    def load(self, column: str, export_type: str) -> Function:
        """Return the function.

        Raises:
            ConfigurationError: it cannot be imported, or be called with a row.
        """
        what = f"The function of column {column!r} of export type {export_type!r},"
        try:
            found: Function = import_function(
                what,
                self.function,
                takes="a row",
                point_at="a function that takes one dict and returns the value",
            )
        except ConfigurationError:
            raise
        except Exception as exc:
            raise ConfigurationError(
                f"{what} {self.spelt!r}, cannot be imported: its module raises "
                f"{type(exc).__name__}. Import it in a Python of this environment to see why."
            ) from exc
        for called in (found, getattr(found, "__call__", None)):  # noqa: B004 - looked at, not asked
            if inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called):
                raise ConfigurationError(
                    f"{what} {self.spelt!r}, is async. Rows are computed in a thread: point it at "
                    "a plain function."
                )
        return found


def load_functions(export_type: ExportType) -> None:
    """Import the functions of a type's columns.

    Raises:
        ConfigurationError: one of them is not there.
    """
    for column in export_type.columns:
        if column.computed is not None:
            column.computed.load(column.name, export_type.name)


def settle(export_type: ExportType, undeclared_scope: str) -> tuple[Column, ...]:
    """Return a type's columns, those that are computed with the scope that they need.

    Args:
        export_type: with all that it declares.
        undeclared_scope: what a column of the source needs that the type does not declare.

    Raises:
        ConfigurationError: a computed column is named where only the source's can be.
    """
    computed = {each.name for each in export_type.columns if each.computed is not None}
    used = [("key", name) for name in export_type.key]
    used += [("since", export_type.since)]
    used += [(f"filter {each.name!r}", each.column_name) for each in export_type.filters]
    used += [
        (f"computed column {each.name!r}", name)
        for each in export_type.columns
        if each.computed is not None
        for name in each.computed.reads
    ]
    for what, name in used:
        if name in computed:
            raise ConfigurationError(
                f"Export type {export_type.name!r}: {what} names {name!r}, which is computed in "
                "Python; PostgreSQL, which chooses and orders rows, does not know it. Name a "
                "column of the source."
            )
    scopes = {each.name: each.pii for each in export_type.columns}
    return tuple(
        replace(each, pii=_scope(export_type.name, each, scopes, undeclared_scope))
        for each in export_type.columns
    )


def _scope(export_type: str, column: Column, scopes: Mapping[str, str], undeclared: str) -> str:
    computed = column.computed
    if computed is None:
        return column.pii
    if computed.pii is not None:
        return computed.pii
    if column.pii:
        return column.pii
    needed = {scopes.get(name, undeclared) for name in computed.reads}
    return one_scope(export_type, column.name, needed)


def one_scope(export_type: str, column: str, needed: set[str]) -> str:
    """Return the scope that the columns which a computed one reads need.

    Raises:
        ConfigurationError: they need several.
    """
    scopes = sorted(needed - {""})
    if len(scopes) > 1:
        raise ConfigurationError(
            f"Export type {export_type!r}: column {column!r} is computed from columns of "
            f"several scopes ({', '.join(scopes)}), and a column needs one. Say which with pii."
        )
    return scopes[0] if scopes else ""
