"""What a person is told about a catalog file that does not hold: the place, and what to write."""

from __future__ import annotations

import difflib
import re

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from waybill.catalog.file_model import (
    CatalogFile,
    ColumnTable,
    ExportTable,
    FilterTable,
    PoliteTable,
    SinceTable,
    SourceTable,
    TogetherTable,
)
from waybill.catalog.locate import Path as KeyPath
from waybill.catalog.locate import Position
from waybill.catalog.problems import Problem
from waybill.catalog.sources import variable_of

_SYNTAX_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")

# How tomllib begins its messages, and what to do about it.
_SYNTAX_REMEDIES = (
    ("Invalid value", 'expected a value: text in quotes ("…"), a number, true, false, […] or {…}'),
    ("Expected '='", "expected `key = value`, or a [table] header; names with spaces or accents "
     "need quotes"),
    ("Invalid statement", "expected `key = value`, a [table] header or a # comment"),
    ("Expected newline", "expected the end of the line after a value; text needs quotes, and a "
     'quote inside it a backslash (\\")'),
    ("Illegal character", "a quoted text must end on its line; use \"\"\"…\"\"\" for more lines"),
    ("Unescaped '\\'", "a backslash in \"…\" must be doubled; '…' takes it as it is"),
    ("Cannot declare", "this table is declared twice; merge the two"),
    ("Cannot overwrite", "this key is given twice; remove one of them"),
    ("Unclosed array", "the array is not closed; add the missing ]"),
    ("Unclosed inline table", "the inline table is not closed; add the missing }"),
    ("Unterminated string", "the text is not closed; add the missing quote"),
    ("Expected ']", "the header is not closed; expected ] or ]]"),
)  # fmt: skip


def syntax_problem(message: str, text: str) -> Problem:
    """Return what tomllib's ``message`` means, and what to do about it."""
    place = _SYNTAX_PLACE.search(message)
    if place is None:
        return Problem(None, f"not valid TOML: {message}")
    position = (
        Position(int(place[1]), int(place[2]))
        if place[1]
        else Position(text.count("\n") + 1, len(text) - text.rfind("\n"))
    )
    bare = message[: place.start()]
    remedy = next((r for start, r in _SYNTAX_REMEDIES if bare.startswith(start)), "")
    return Problem(position, f"not valid TOML: {bare}" + (f"; {remedy}" if remedy else ""))


_EXPECTED = {
    "string_type": "text in quotes",
    "float_type": "a number",
    "list_type": "an array",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
_ACCEPTED = {
    "key": 'a column name ("id") or an array of them (["id"])',
    "columns": 'an array of names and tables: ["id", { name = "email", label = "E-mail" }]',
    "filters": 'an array of names and tables: ["country", { name = "age", type = "integer" }]',
    "reads": 'an array of column names (["first_name", "last_name"])',
    "requires": 'a scope ("exports:users") or an array of them',
    "exports": "tables such as [exports.users]",
    "sources": "tables such as [sources.reporting]",
}
_ITEMS = {
    "key": "a column name in quotes",
    "reads": "a column name in quotes",
    "columns": 'a name in quotes or a table like { name = "email", label = "E-mail" }',
    "filters": 'a name in quotes or a table like { name = "age", type = "integer" }',
}


_ADDRESSES = frozenset({"address", "database_url", "dsn", "host", "password", "uri", "url", "user"})


def explain(error: ErrorDetails, path: KeyPath) -> str:
    """Return the message for one error of the models at ``path``."""
    where = _display(path[:-1]) if path else ""
    last = path[-1] if path else ""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden" and path[0] == "sources" and str(last) in _ADDRESSES:
        return (
            f"{where} {last}: a database's address, which may hold its password, is not kept in "
            f"this file; set {variable_of(str(path[1]))}, or name a file with dsn_file"
        )
    if kind == "extra_forbidden":
        known = _known_keys(path)
        near = difflib.get_close_matches(str(last), known, n=1, cutoff=0.5)
        guess = f"did you mean {near[0]!r}? " if near else ""
        inside = f" in {where}" if where else ""
        return f"unknown key {str(last)!r}{inside}; {guess}Known here: {', '.join(known)}"
    if kind == "missing":
        return f"{where} lacks {str(last)!r}; add it"
    if kind == "literal_error":
        return f"{_display(path)} must be {context['expected']}, not {_show(error['input'])}"
    if kind == "string_too_short":
        return f"{_display(path)} is empty; give a text or leave it out"
    if kind in {"greater_than", "finite_number"}:
        return f"{_display(path)} must be a number greater than 0"
    if kind == "greater_than_equal":
        return f"{_display(path)} must be at least {context['ge']}"
    if kind == "value_error":
        return f"{_display(path)}: {context['error']}"
    expected = _ACCEPTED.get(str(last), _EXPECTED.get(kind))
    if isinstance(last, int):
        expected = _ITEMS.get(str(path[-2]), "text in quotes")
    if expected is None:
        return f"{_display(path)}: {error['msg']}"
    return f"{_display(path)} must be {expected}, not {_toml_type(error['input'])}"


def _known_keys(path: KeyPath) -> list[str]:
    entry = FilterTable if path[2:3] == ("filters",) else ColumnTable
    singles: dict[object, type[BaseModel]] = {"polite": PoliteTable, "together": TogetherTable}
    single = singles.get(path[2] if len(path) > 2 else "", SinceTable)
    table = SourceTable if path[0] == "sources" else ExportTable
    models: dict[int, type[BaseModel]] = {1: CatalogFile, 3: table, 4: single, 5: entry}
    fields = models[len(path)].model_fields
    return [field.alias or name for name, field in fields.items()]


def _display(path: KeyPath) -> str:
    """Return a path as people write it: ``[exports.users] columns[0].label``."""
    if not path:
        return "the file"
    if path[0] in {"exports", "sources"} and len(path) >= 2:
        head, rest = f"[{path[0]}.{path[1]}]", path[2:]
    else:
        head, rest = "", path
    tail = ""
    for part in rest:
        # Items count from 1 for people.
        tail += f" item {part + 1}" if isinstance(part, int) else f" {part}"
    return (head + tail).strip()


def _show(value: object) -> str:
    return repr(value) if isinstance(value, (str, int, float)) else _toml_type(value)


def _toml_type(value: object) -> str:
    names: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "true or false"),
        (int, "a whole number"),
        (float, "a number"),
        (str, "text"),
        (list, "an array"),
        (dict, "a table"),
    )
    return next((text for kind, text in names if isinstance(value, kind)), "a date or time")
