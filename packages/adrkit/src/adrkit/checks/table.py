"""Strict reading of one check's TOML table: unknown keys and wrong types are refused by line."""

from __future__ import annotations

import datetime
import difflib
import math
from collections.abc import Mapping
from typing import Any

from adrkit.checks.operators import OPERATORS, Operator
from adrkit.checks.toml_lines import TableLines

_TYPES = {
    str: "a string", bool: "true or false", int: "a whole number", float: "a number",
    list: "an array", dict: "a table", datetime.date: "a date", datetime.datetime: "a date",
}  # fmt: skip

MAX_TEXT = 2_000  # characters of one string: paths and patterns are shorter


class MalformedCheck(Exception):
    """``line`` counts from 1 within the block."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


class CheckTable:
    """Each ``…`` method reads one key and raises MalformedCheck; ``finish`` refuses the rest."""

    def __init__(self, kind: str, values: Mapping[str, Any], lines: TableLines) -> None:
        self.kind = kind
        self.values = values
        self.lines = lines
        self._known: list[str] = []

    def problem(self, message: str, key: str | None = None) -> MalformedCheck:
        line = self.lines.keys.get(key, self.lines.line) if key else self.lines.line
        return MalformedCheck(f"{self.kind}: {message}", line)

    def _take(self, key: str, required: bool) -> Any:
        self._known.append(key)
        if key not in self.values:
            if required:
                raise self.problem(f"the key `{key}` is missing")
            return None
        return self.values[key]

    def _wrong(self, key: str, value: object, wanted: str) -> MalformedCheck:
        written = _TYPES.get(type(value), type(value).__name__)
        return self.problem(f"`{key}` must be {wanted}, not {written}", key)

    # -- readers -----------------------------------------------------------------------------

    def find_text(self, key: str) -> str | None:
        value = self._take(key, required=False)
        return None if value is None else self._checked_text(key, value)

    def text(self, key: str) -> str:
        return self._checked_text(key, self._take(key, required=True))

    def _checked_text(self, key: str, value: object) -> str:
        if not isinstance(value, str):
            raise self._wrong(key, value, "a string")
        if not value.strip():
            raise self.problem(f"`{key}` must not be empty", key)
        if len(value) > MAX_TEXT:
            raise self.problem(f"`{key}` is longer than {MAX_TEXT} characters", key)
        return value

    def find_text_or_index(self, key: str) -> str | int | None:
        """A string, or a whole number from 0."""
        value = self._take(key, required=False)
        if isinstance(value, int) and not isinstance(value, bool):
            if value < 0:
                raise self.problem(f"`{key}` counts from 0", key)
            return value
        return None if value is None else self._checked_text(key, value)

    def texts(self, key: str, *, required: bool = True) -> tuple[str, ...]:
        """A string or an array of strings; empty only when not ``required`` and not there."""
        value = self._take(key, required)
        if value is None:
            return ()
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list) or not value:
            raise self._wrong(key, value, "a string or a non-empty array of strings")
        return tuple(self._checked_text(key, item) for item in value)

    def choice(self, key: str, options: tuple[str, ...]) -> str:
        """One of ``options``, the first of which is the default."""
        value = self._take(key, required=False)
        if value is None:
            return options[0]
        if value not in options:
            raise self.problem(f"`{key}` must be one of {_listed(options)}", key)
        return str(value)

    def flag(self, key: str, *, default: bool = False) -> bool:
        value = self._take(key, required=False)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def find_number(
        self, key: str, *, above: float | None = None, at_least: float | None = None
    ) -> float | None:
        value = self._take(key, required=False)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(key, value, "a number")
        if not math.isfinite(value):
            raise self.problem(f"`{key}` must be a finite number", key)
        if above is not None and value <= above:
            raise self.problem(f"`{key}` must be above {above:g}", key)
        if at_least is not None and value < at_least:
            raise self.problem(f"`{key}` must be at least {at_least:g}", key)
        return value

    def whole(self, key: str, default: int) -> int:
        value = self._take(key, required=False)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(key, value, "a whole number")
        return value

    def operator(self) -> tuple[Operator, Any]:
        """The keys ``operator`` (default ``==``) and ``value``."""
        name = self.choice("operator", tuple(OPERATORS))
        found = OPERATORS[name]
        value = self._take("value", required=found.needs_value)
        if value is not None and not found.needs_value:
            raise self.problem(f"operator `{name}` takes no `value`", "value")
        if value is not None and (problem := found.problem_with(value)):
            raise self.problem(f"operator `{name}` needs {problem} as `value`", "value")
        return found, value

    def finish(self) -> None:
        for key in self.values:
            if key not in self._known:
                close = difflib.get_close_matches(key, self._known, 1)
                hint = f"did you mean `{close[0]}`?" if close else f"known: {_listed(self._known)}"
                raise self.problem(f"unknown key `{key}`; {hint}", key)


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
