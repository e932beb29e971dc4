"""Rows that a program chose with its ORM: a query's text and, apart from it, its values.

The text comes from the compiler of Django or SQLAlchemy, in the process that embeds waybill, never
from a request. Values are Python values, whatever somebody typed into a search field: they become
constants where all values do (``where``). A selection only ever narrows: it returns keys, and rows
whose keys are among them pass if the type's scope, and every other condition, lets them pass too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final
from uuid import UUID

from psycopg.types.json import Json, Jsonb

from waybill.catalog.filters import Value
from waybill.catalog.query import normalise_query, scan
from waybill.errors import ConfigurationError, InvalidOption

OPTION: Final = "rows"
"""What a refused query is called in errors."""

MAX_VALUES: Final = 10_000
MAX_CHARACTERS: Final = 256 * 1024

_MARK: Final = '"a value of waybill\'s"'
"""A token of its own where a value belongs, which stands in no query."""


class JsonText(str):
    """A value of JSON, as text."""

    __slots__ = ()


Bound = Value | float | time | timedelta | None
"""What a query may be given; lists of values besides."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A query for keys.

    ``text`` is what stands around the values: one piece more than there are ``values``. ``key``
    names the source columns that the query's columns are, in order. ``compares`` are columns of
    the source itself whose values decide, ``needs`` the scopes of personal data of others.

    Raises:
        InvalidOption: it is no single SELECT, too long, or a value is of no known kind.
    """

    text: tuple[str, ...]
    values: tuple[Bound | tuple[Value, ...], ...]
    key: tuple[str, ...]
    compares: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.text) != len(self.values) + 1 or not self.key:
            raise InvalidOption(OPTION, "the query and its values do not go together")
        if len(self.values) > MAX_VALUES:
            raise InvalidOption(
                OPTION,
                f"the query has {len(self.values):,} values, of at most {MAX_VALUES:,}; choose by "
                "what the rows have in common instead of listing them",
            )
        if sum(map(len, self.text)) > MAX_CHARACTERS:
            raise InvalidOption(OPTION, f"the query is longer than {MAX_CHARACTERS:,} characters")
        for value in self.values:
            for each in value if isinstance(value, tuple) else (value,):
                _check_value(each)
        _check_statement(self.text)

    def to_json(self) -> dict[str, Any]:
        """Return what the job's row keeps."""
        return {
            "text": list(self.text),
            "values": [_value_json(value) for value in self.values],
            "key": list(self.key),
            "compares": list(self.compares),
            "needs": list(self.needs),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Selection:
        """Return the selection that ``to_json`` wrote; checked as a new one is."""
        return cls(
            tuple(stored["text"]),
            tuple(_read_value(value) for value in stored["values"]),
            tuple(stored["key"]),
            tuple(stored["compares"]),
            tuple(stored["needs"]),
        )


def split_placeholders(text: str) -> tuple[str, ...]:
    """Return the pieces around the ``%s`` of a compiled query, ``%%`` read as ``%``.

    Raises:
        InvalidOption: a ``%`` is neither.
    """
    pieces, piece, start = [], [], 0
    while (found := text.find("%", start)) >= 0:
        piece.append(text[start:found])
        mark, start = text[found : found + 2], found + 2
        if mark == "%s":
            pieces.append("".join(piece))
            piece = []
        elif mark == "%%":
            piece.append("%")
        else:
            raise InvalidOption(OPTION, "the query holds a % that stands for no value")
    return (*pieces, "".join(piece) + text[start:])


def plain_value(value: object) -> Any:
    """Return a value that a driver was to be given as what is kept: lists as tuples, psycopg's JSON
    as its text, addresses too."""
    if isinstance(value, (list, tuple)):
        return tuple(map(plain_value, value))
    if isinstance(value, (Json, Jsonb)):
        return JsonText((value.dumps or json.dumps)(value.obj))
    if isinstance(value, (IPv4Address, IPv6Address)):
        return str(value)
    return value


def _check_statement(text: Sequence[str]) -> None:
    """Hold the text to one statement, as a query of the catalog is, whatever the values are."""
    whole = _MARK.join(text)
    try:
        kept = normalise_query(whole)
        tokens = [token.text for token in scan(whole, "query")]
    except ConfigurationError as exc:
        raise InvalidOption(OPTION, str(exc)) from exc
    # A value's place inside of a string or a comment would be none.
    if (
        kept != whole
        or tokens.count(_MARK) != len(text) - 1
        or any(token.startswith("$") for token in tokens)
    ):
        raise InvalidOption(OPTION, "the query is not one plain SELECT")


def _check_value(value: object) -> None:
    if isinstance(value, str):
        if "\0" in value:
            raise InvalidOption(OPTION, "a value holds a NUL character, which no text has")
        try:
            value.encode()
        except UnicodeEncodeError as exc:
            raise InvalidOption(OPTION, "a value is no Unicode text") from exc
    elif isinstance(value, (float, Decimal)):
        if not math.isfinite(value):
            raise InvalidOption(OPTION, "a value is no finite number")
    elif value is not None and not isinstance(value, (bool, int, date, UUID, time, timedelta)):
        raise InvalidOption(
            OPTION,
            f"a value of type {type(value).__name__} cannot be kept with an export; compare with "
            "texts, numbers, times, booleans, UUIDs, addresses or JSON",
        )


# -- values as JSON ------------------------------------------------------------------------------

_KINDS: Final[tuple[tuple[str, type, Callable[[Any], Any], Callable[[Any], Any]], ...]] = (
    # In this order: every text of JSON is a text, every bool an int, every datetime a date.
    ("json", JsonText, str, JsonText),
    ("text", str, str, str),
    ("truth", bool, bool, bool),
    ("integer", int, lambda value: str(int(value)), int),
    ("float", float, repr, float),
    ("number", Decimal, str, Decimal),
    ("moment", datetime, datetime.isoformat, datetime.fromisoformat),
    ("date", date, date.isoformat, date.fromisoformat),
    ("time", time, time.isoformat, time.fromisoformat),
    ("uuid", UUID, str, UUID),
    (
        "span",
        timedelta,
        lambda value: [value.days, value.seconds, value.microseconds],
        lambda stored: timedelta(stored[0], stored[1], stored[2]),
    ),
)
_READ: Final = {kind: read for kind, _, _, read in _KINDS}


def _value_json(value: Bound | tuple[Value, ...]) -> list[Any]:
    if value is None:
        return ["null"]
    if isinstance(value, tuple):
        return ["list", [_value_json(each) for each in value]]
    for kind, python, write, _ in _KINDS:
        if isinstance(value, python):
            return [kind, write(value)]
    raise AssertionError(value)  # pragma: no cover - ``_check_value`` lets no other in


def _read_value(stored: Iterable[Any]) -> Any:
    kind, *rest = stored
    if kind == "null":
        return None
    if kind == "list":
        return tuple(_read_value(each) for each in rest[0])
    return _READ[kind](rest[0])
