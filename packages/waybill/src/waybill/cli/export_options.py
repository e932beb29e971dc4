"""Reads what `waybill export` is told into what the API is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from waybill.catalog.filters import OPERATORS
from waybill.cli.exits import UsageMistake

# Without a leading zero: 04109 is a text.
_WHOLE_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})", re.ASCII)
_WORDS = {"true": True, "false": False}


def read_columns(chosen: Sequence[str]) -> list[str | tuple[str, str]] | None:
    """Return ``["id", ("email", "E-mail")]`` for ``["id", "email=E-mail"]``."""
    columns: list[str | tuple[str, str]] = []
    for each in chosen:
        name, separator, header = each.partition("=")
        if not name or (separator and not header):
            raise UsageMistake(f"--column {each!r} must look like NAME or NAME=HEADER.")
        columns.append((name, header) if separator else name)
    return columns or None


def read_filters(conditions: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return ``{"age": {"gte": 18}}`` for ``["age.gte=18"]``; without an operator it is ``eq``.

    Whole numbers, ``true`` and ``false`` are sent as such, all else as text; a text that looks like
    one of them goes in double quotes (``zip="04109"``). ``in`` takes several, separated by commas,
    or a JSON array.
    """
    filters: dict[str, dict[str, Any]] = {}
    for condition in conditions:
        left, separator, value = condition.partition("=")
        name, dot, operator = left.rpartition(".")
        if not dot or operator not in OPERATORS:
            name, operator = left, "eq"
        if not separator or not name:
            raise UsageMistake(
                f"--filter {condition!r} must look like NAME=VALUE or NAME.OPERATOR=VALUE, with "
                f"one of the operators {', '.join(OPERATORS)}."
            )
        if operator in filters.setdefault(name, {}):
            raise UsageMistake(f"--filter {name}.{operator} is given twice.")
        filters[name][operator] = _filter_value(operator, value)
    return filters


def _filter_value(operator: str, text: str) -> Any:
    if operator == "in" and not text.startswith("["):
        return [_scalar(each) for each in text.split(",")]
    return _json(text) if text[:1] in {"[", '"'} else _scalar(text)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as exc:
        raise UsageMistake(f"{text!r} begins like JSON and is none.") from exc


def _scalar(text: str) -> Any:
    return int(text) if _WHOLE_NUMBER.fullmatch(text) else _WORDS.get(text, text)


def read_options(pairs: Sequence[str]) -> dict[str, Any]:
    """Return ``{"bom": True}`` for ``["bom=true"]``; a list is written as a JSON array."""
    options: dict[str, Any] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator:
            raise UsageMistake(f"--option {pair!r} must look like NAME=VALUE.")
        options[name] = _json(value) if value.startswith("[") else _scalar(value)
    return options
