"""Comparisons of a value found in the project with the value written in a check.

Types are kept apart: ``true`` is not 1 and ``"3"`` is not 3. Numbers compare as numbers (3 equals
3.0); arrays, tuples and lists compare item by item.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from adrkit.checks.verdict import CannotEvaluate


class Absent:
    """Stands for a value that is not there."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = Absent()


@dataclass(frozen=True, slots=True)
class Operator:
    """``compare`` is given the found and the written value; ``accepts`` judges the written one."""

    name: str
    compare: Callable[[Any, Any], bool]
    needs_value: bool = True
    wanted: str = ""
    accepts: Callable[[Any], bool] | None = None

    def problem_with(self, value: object) -> str | None:
        """What kind of value is wanted instead, None when all is well."""
        return self.wanted if self.accepts is not None and not self.accepts(value) else None


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def equal(left: object, right: object) -> bool:
    if is_number(left) and is_number(right):
        return left == right
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, set | frozenset) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(any(equal(a, b) for b in right) for a in left)
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    return type(left) is type(right) and left == right


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def judge(found: Any, wanted: Any) -> bool:
        if not is_number(found):
            raise CannotEvaluate(f"{shown(found)} is no number, so it has no order")
        return compare(found, wanted)

    return judge


def _is_member(found: Any, wanted: Any) -> bool:
    return any(equal(found, item) for item in wanted)


def _contains(found: Any, wanted: Any) -> bool:
    if isinstance(found, str):
        if not isinstance(wanted, str):
            raise CannotEvaluate(f"{shown(found)} is text and can only contain text")
        return wanted in found
    if isinstance(found, Mapping):
        return isinstance(wanted, str) and wanted in found
    if isinstance(found, list | tuple | set | frozenset):
        return any(equal(item, wanted) for item in found)
    raise CannotEvaluate(f"{shown(found)} contains nothing: it is no array, table or text")


def _never(found: Any, wanted: Any) -> bool:
    raise AssertionError("`matches` is carried out by `Patterns`")


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


OPERATORS: Mapping[str, Operator] = {
    operator.name: operator
    for operator in (
        Operator("==", equal),
        Operator("!=", lambda found, wanted: not equal(found, wanted)),
        Operator("<", _ordered(lambda a, b: a < b), True, "a number", is_number),
        Operator("<=", _ordered(lambda a, b: a <= b), True, "a number", is_number),
        Operator(">", _ordered(lambda a, b: a > b), True, "a number", is_number),
        Operator(">=", _ordered(lambda a, b: a >= b), True, "a number", is_number),
        Operator("in", _is_member, True, "an array", _is_list),
        Operator("contains", _contains),
        Operator("matches", _never, True, "a regular expression", _is_text),
        Operator("exists", lambda found, _: found is not ABSENT, False),
        Operator("absent", lambda found, _: found is ABSENT, False),
    )
}
NUMERIC = ("<", "<=", "==", "!=", ">=", ">")


def shown(value: object) -> str:
    """A value as messages show it, shortened."""
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, datetime.date):
        value = value.isoformat()
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
