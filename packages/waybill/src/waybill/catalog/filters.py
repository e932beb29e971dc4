"""Filters of export types: what a caller may compare, and the reading of the values they send.

A filter is declared by the operator; a caller names it and sends operators with values. Values
are read by the filter's declared type before anything is stored, so what later becomes SQL is a
``Condition`` that holds Python values and never a text somebody wrote.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, get_args
from uuid import UUID

from waybill.errors import ConfigurationError, InvalidFilter, UnknownFilter
from waybill.filter_types import FilterType, Operator

OPERATORS: Final[tuple[Operator, ...]] = get_args(Operator)
FILTER_TYPES: Final[tuple[FilterType, ...]] = get_args(FilterType)

STORED_AS: Final = "(rows)"
"""What rows that a program chose are kept under, among the stored filters."""

_ALWAYS: Final[tuple[Operator, ...]] = ("eq", "ne", "in", "is_null")
_RANGE: Final[tuple[Operator, ...]] = ("lt", "lte", "gt", "gte")

MAX_IN_VALUES: Final = 1_000
MAX_TEXT_CHARACTERS: Final = 1_000
_MAX_NUMBER_CHARACTERS: Final = 60
_INT8: Final = range(-(2**63), 2**63)

_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,2})?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
    r"(?P<offset>[Zz]|[-+][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)

Value = str | int | bool | Decimal | date | datetime | UUID


@dataclass(frozen=True, slots=True)
class Filter:
    """A comparison that callers may make.

    ``name`` is what they call it, ``column`` the source's column (the same by default, and it need
    not be exported), ``type`` how values are read. ``operators`` empty means all that the type
    has. ``values`` are the only texts accepted (an enum's labels, say).

    ``pii`` says of a column that the type does not declare whether it holds personal data: the
    scope that filtering by it needs, ``""`` for none. A declared column says so itself, and cannot
    be made less by this.
    """

    name: str
    type: FilterType = "text"
    column: str = ""
    operators: tuple[Operator, ...] = ()
    values: tuple[str, ...] = ()
    pii: str | None = None

    def __post_init__(self) -> None:
        if self.type not in FILTER_TYPES:
            raise ConfigurationError(
                f"Filter {self.name!r} has the type {self.type!r}; give one of "
                f"{', '.join(FILTER_TYPES)}."
            )
        if self.name == STORED_AS:
            raise ConfigurationError(f"No filter can be called {STORED_AS!r}; rename it.")
        for operator in self.operators:
            if operator not in operators_of(self.type):
                raise ConfigurationError(
                    f"Filter {self.name!r} of type {self.type!r} cannot have the operator "
                    f"{operator!r}; it can have: {', '.join(operators_of(self.type))}."
                )
        if self.values and self.type != "text":
            raise ConfigurationError(
                f"Filter {self.name!r} lists values, which only filters of type 'text' can."
            )

    @property
    def column_name(self) -> str:
        return self.column or self.name

    @property
    def allowed(self) -> tuple[Operator, ...]:
        """The operators a caller may use."""
        return self.operators or operators_of(self.type)

    def read(self, comparisons: Mapping[str, Any]) -> tuple[Condition, ...]:
        """Return the conditions of ``{"gte": 1, "lt": 5}``, in the order of ``OPERATORS``.

        Raises:
            InvalidFilter: an operator this filter does not have, or a value of another type.
        """
        if not comparisons:
            raise InvalidFilter(self.name, f"give an operator: {', '.join(self.allowed)}")
        for operator in comparisons:
            if operator not in self.allowed:
                raise InvalidFilter(
                    self.name, f"it has no such operator; it has: {', '.join(self.allowed)}"
                )
        return tuple(
            Condition(self.name, self.column_name, operator, self._read(operator, value))
            for operator in OPERATORS
            if operator in comparisons
            for value in (comparisons[operator],)
        )

    def _read(self, operator: Operator, value: Any) -> Value | tuple[Value, ...]:
        if operator == "is_null":
            if not isinstance(value, bool):
                raise InvalidFilter(self.name, "is_null must be true or false")
            return value
        if operator != "in":
            return self._read_one(value)
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            raise InvalidFilter(self.name, "in must be an array of at least one value")
        if len(value) > MAX_IN_VALUES:
            raise InvalidFilter(self.name, f"in takes at most {MAX_IN_VALUES:,} values")
        # Sorted and without repeats, so that the same set is the same request.
        return tuple(sorted({self._read_one(each) for each in value}))

    def _read_one(self, value: Any) -> Value:
        try:
            read = _READERS[self.type](value)
        except (ValueError, InvalidOperation, OverflowError) as exc:
            raise InvalidFilter(self.name, f"each value must be {_EXPECTED[self.type]}") from exc
        if self.values and read not in self.values:
            raise InvalidFilter(self.name, f"it takes only: {', '.join(self.values)}")
        return read


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison that a caller made: ``column operator value``, the value already typed.

    ``value`` is a tuple for ``in``, a ``bool`` for ``is_null``.
    """

    name: str
    column: str
    operator: Operator
    value: Value | tuple[Value, ...]


def operators_of(filter_type: FilterType) -> tuple[Operator, ...]:
    """Return the operators that make sense for a type."""
    if filter_type == "text":
        return ("eq", "ne", *_RANGE, "in", "prefix", "is_null")
    if filter_type in {"boolean", "uuid"}:
        return _ALWAYS
    return ("eq", "ne", *_RANGE, "in", "is_null")


def read_filters(
    declared: Sequence[Filter], wanted: Mapping[str, Mapping[str, Any]], export_type: str
) -> tuple[Condition, ...]:
    """Return all conditions of a request, in the order of the declarations.

    Raises:
        UnknownFilter: no such filter is declared. InvalidFilter: see ``Filter.read``.
    """
    known = tuple(each.name for each in declared)
    for name in wanted:
        if name not in known:
            raise UnknownFilter(name, export_type, known)
    return tuple(
        condition
        for each in declared
        if each.name in wanted
        for condition in each.read(wanted[each.name])
    )


def filters_json(conditions: Sequence[Condition]) -> dict[str, dict[str, Any]]:
    """Return conditions as JSON that ``read_filters`` reads back to the same conditions."""
    document: dict[str, dict[str, Any]] = {}
    for condition in conditions:
        value = condition.value
        document.setdefault(condition.name, {})[condition.operator] = (
            [_json(each) for each in value] if isinstance(value, tuple) else _json(value)
        )
    return document


def read_timestamptz(value: Any) -> datetime:
    """Return an ISO 8601 instant in UTC.

    Raises:
        ValueError: it is none, or it has no offset.
    """
    moment = _timestamp(value, has_offset=True)
    return moment.astimezone(UTC)


def _json(value: Value) -> str | int | bool:
    if isinstance(value, (str, bool, int)):
        return value
    return value.isoformat() if isinstance(value, date) else str(value)


# -- values -------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT_CHARACTERS or "\0" in value:
        raise ValueError
    value.encode()  # a lone surrogate has no UTF-8
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value not in _INT8:
        raise ValueError
    return value


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError  # noqa: TRY004 - one kind of refusal for all readers
    # repr of a float is the shortest text that reads back as it, so 0.1 is a tenth.
    text = value if isinstance(value, str) else repr(value)
    if len(text) > _MAX_NUMBER_CHARACTERS or not _NUMBER.fullmatch(text):
        raise ValueError
    number = Decimal(text)
    # 1.50 and 1.5 are the same request; 0 has no sign.
    return number.normalize() if number else Decimal(0)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError  # noqa: TRY004 - one kind of refusal for all readers
    return value


def _date(value: Any) -> date:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise ValueError
    return date.fromisoformat(value)


def _timestamp(value: Any, *, has_offset: bool) -> datetime:
    match = _TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    if match is None or (match["offset"] is not None) is not has_offset:
        raise ValueError
    return datetime.fromisoformat(value.upper())


def _local_timestamp(value: Any) -> datetime:
    return _timestamp(value, has_offset=False)


def _uuid(value: Any) -> UUID:
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise ValueError
    return UUID(value)


_READERS: Final[dict[FilterType, Callable[[Any], Value]]] = {
    "text": _text,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "date": _date,
    "timestamp": _local_timestamp,
    "timestamptz": read_timestamptz,
    "uuid": _uuid,
}
_EXPECTED: Final[dict[FilterType, str]] = {
    "text": f"text of at most {MAX_TEXT_CHARACTERS:,} characters, without NUL",
    "integer": "a whole number of at most 64 bits",
    "number": "a number, or a decimal in quotes",
    "boolean": "true or false",
    "date": 'a date like "2026-05-01"',
    "timestamp": 'a time without an offset, like "2026-05-01T12:00:00"',
    "timestamptz": 'a time with its offset, like "2026-05-01T12:00:00Z"',
    "uuid": 'a UUID like "1f0c2a9b-7c1e-4d53-9a52-0f6b1f6f2c11"',
}
