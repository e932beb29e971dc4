"""Load a catalog from ``waybill.toml``; every problem of a file is reported at once, with its line.

The models describe the file, ``model.py`` what it means. They are strict: a number is no string,
and a key nobody knows is refused rather than ignored, since a misspelt ``columns`` would
otherwise export every column.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from waybill.catalog.locate import Path as KeyPath
from waybill.catalog.locate import Position, locate
from waybill.catalog.model import Catalog, Column, ExportType, Order, QuerySource, TableSource
from waybill.catalog.names import parse_table_name
from waybill.catalog.problems import CatalogFileError, Problem
from waybill.errors import ConfigurationError


def _check_name(value: str) -> str:
    if "\0" in value:
        raise ValueError("a name in PostgreSQL cannot hold a NUL character")
    return value


def _as_column(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


_Name = Annotated[str, Field(min_length=1), AfterValidator(_check_name)]
_Text = Annotated[str, Field(min_length=1)]


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class ColumnTable(_Model):
    """One column: its name in the source and what the file calls it."""

    name: _Name = Field(description="The column's name, exactly as PostgreSQL stores it.")
    label: _Text | None = Field(None, description="The header in the file; the name by default.")


_ColumnEntry = Annotated[
    ColumnTable, BeforeValidator(_as_column, json_schema_input_type=str | ColumnTable)
]
_Key = Annotated[list[_Name], BeforeValidator(_as_list, json_schema_input_type=_Name | list[_Name])]


class ExportTable(_Model):
    """One ``[exports.NAME]`` table."""

    table: _Name | None = Field(
        None,
        description='"table", "schema.table" or quoted as in SQL; with `schema` given, the bare '
        "name of the table. Names are exact.",
    )
    schema_: _Name | None = Field(
        None, alias="schema", description="The table's schema; public by default."
    )
    query: _Text | None = Field(
        None, description="Instead of a table: one SELECT, WITH, VALUES or TABLE statement."
    )
    key: _Key = Field(
        default=[], description="The column or columns that identify a row; the file's order."
    )
    title: str = Field("", description="What people see instead of the name.")
    columns: list[_ColumnEntry] = Field(
        default=[], description="The columns to export, in order; every column when left out."
    )
    order: Order = Field("key", description='"none" leaves the order of rows to PostgreSQL.')
    deadline_seconds: float | None = Field(
        None, gt=0, description="Bounds one attempt; the setting's default (60) when left out."
    )

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError(
                'give either table = "schema.table" or query = "SELECT …"'
                + (", not both" if self.table is not None else "")
            )
        if self.query is not None and self.schema_ is not None:
            raise ValueError("schema belongs to a table; a query names its schemas itself")
        return self


class CatalogFile(_Model):
    """A whole ``waybill.toml``."""

    exports: dict[str, ExportTable] = Field(
        default={}, description="The export types by name (a-z, 0-9, _ and -)."
    )


def catalog_json_schema() -> dict[str, Any]:
    """Return the JSON schema of ``waybill.toml``, for editors and other checkers."""
    schema = CatalogFile.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def load_catalog(path: str | Path) -> Catalog:
    """Read a catalog file.

    Raises:
        ConfigurationError: it cannot be read, or ``CatalogFileError`` with all of its problems.
    """
    file = Path(path)
    try:
        raw = file.read_bytes()
    except FileNotFoundError as exc:
        raise ConfigurationError(
            f"There is no catalog at {file}. Write one with `waybill init --dsn …`, "
            "or name another in WAYBILL_CATALOG."
        ) from exc
    except OSError as exc:
        raise ConfigurationError(
            f"The catalog {file} cannot be read: {exc.strerror}. Give this process a readable file."
        ) from exc
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = raw.count(b"\n", 0, exc.start) + 1
        raise CatalogFileError(
            str(file), [Problem(Position(line, 1), "not UTF-8; save the file in that encoding")]
        ) from exc
    return parse_catalog(text, name=str(file))


def parse_catalog(text: str, *, name: str = "waybill.toml") -> Catalog:
    """Build a catalog from the text of a file called ``name`` (for messages only).

    Raises:
        CatalogFileError: with all of its problems.
    """
    text = text.replace("\r\n", "\n")
    try:
        document = tomllib.loads(text)
        positions = locate(text)
    except RecursionError as exc:
        raise CatalogFileError(name, [Problem(None, "nested too deeply; flatten it")]) from exc
    except ValueError as exc:  # TOMLDecodeError, or a number too long for Python
        raise CatalogFileError(name, [_syntax_problem(str(exc), text)]) from exc

    problems: list[Problem] = []
    broken: set[str] = set()
    try:
        CatalogFile.model_validate(document)
    except ValidationError as exc:
        for error in exc.errors(include_url=False):
            path = error["loc"]
            broken.update(str(part) for part in path[1:2])
            problems.append(Problem(_nearest(positions, path), _explain(error, path, document)))

    catalog = Catalog()
    exports = document.get("exports")
    for export_name, entry in exports.items() if isinstance(exports, dict) else ():
        if export_name not in broken:
            table = ExportTable.model_validate(entry)
            found = list(_build(catalog, export_name, table))
            problems += [Problem(_nearest(positions, path), message) for path, message in found]
    if problems:
        raise CatalogFileError(name, sorted(problems, key=lambda p: p.position or Position(0, 0)))
    return catalog


def _build(catalog: Catalog, name: str, table: ExportTable) -> Iterator[tuple[KeyPath, str]]:
    """Add the export type to ``catalog``; yield what stands in the way instead."""
    at: KeyPath = ("exports", name)
    columns = tuple(Column(entry.name, entry.label or "") for entry in table.columns)
    problems = [
        *(
            list(_duplicates([c.name for c in columns], (*at, "columns"), "column"))
            or _duplicates([c.header for c in columns], (*at, "columns"), "column label")
        ),
        *_duplicates(table.key, (*at, "key"), "key column"),
    ]
    source: TableSource | QuerySource | None = None
    try:
        source = _source(table)
    except ValueError as exc:
        problems.append(((*at, "table"), f"table: {exc}."))
    except ConfigurationError as exc:
        problems.append(((*at, "query"), str(exc)))
    try:
        # The name is checked even when something else is wrong: all problems in one go.
        export_type = ExportType(
            name,
            source or TableSource("", ""),
            key=() if problems else tuple(table.key),
            columns=() if problems else columns,
            title=table.title,
            order=table.order,
            deadline_seconds=table.deadline_seconds,
        )
    except ConfigurationError as exc:
        problems.append((at, str(exc)))
    if problems:
        yield from problems
    else:
        catalog.add(export_type)


def _source(table: ExportTable) -> TableSource | QuerySource:
    if table.query is not None:
        return QuerySource(table.query)
    assert table.table is not None  # noqa: S101 - ExportTable checks it
    if table.schema_ is not None:
        return TableSource(table.schema_, table.table)
    return parse_table_name(table.table)


def _duplicates(names: list[str], path: KeyPath, what: str) -> Iterator[tuple[KeyPath, str]]:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            yield (*path, index), f"the {what} {name!r} is given twice; remove one of them"
        seen.add(name)


# -- messages -----------------------------------------------------------------------------------

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


def _syntax_problem(message: str, text: str) -> Problem:
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


def _nearest(positions: Mapping[KeyPath, Position], path: KeyPath) -> Position | None:
    """Return the position of ``path`` or of the innermost thing around it that has one."""
    while path:
        if path in positions:
            return positions[path]
        path = path[:-1]
    return None


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
    "exports": "tables such as [exports.users]",
}


def _explain(error: ErrorDetails, path: KeyPath, document: Mapping[str, Any]) -> str:
    where = _display(path[:-1]) if path else ""
    last = path[-1] if path else ""
    kind, context = error["type"], error.get("ctx", {})
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
    if kind == "value_error":
        return f"{_display(path)}: {context['error']}"
    expected = _ACCEPTED.get(str(last), _EXPECTED.get(kind))
    if isinstance(last, int):
        expected = 'a name in quotes or a table like { name = "email", label = "E-mail" }' if (
            path[-2] == "columns"
        ) else "a column name in quotes"  # fmt: skip
    if expected is None:
        return f"{_display(path)}: {error['msg']}"
    return f"{_display(path)} must be {expected}, not {_toml_type(error['input'])}"


def _known_keys(path: KeyPath) -> list[str]:
    models: dict[int, type[BaseModel]] = {1: CatalogFile, 3: ExportTable, 5: ColumnTable}
    fields = models[len(path)].model_fields
    return [field.alias or name for name, field in fields.items()]


def _display(path: KeyPath) -> str:
    """Return a path as people write it: ``[exports.users] columns[0].label``."""
    if not path:
        return "the file"
    if path[0] == "exports" and len(path) >= 2:
        head, rest = f"[exports.{path[1]}]", path[2:]
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
