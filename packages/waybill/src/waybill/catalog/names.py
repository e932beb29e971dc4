"""Names: tables as an operator may write them, identifiers as SQL wants them, export types."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterable

from waybill.catalog.model import NAME_PATTERN, TableSource

DEFAULT_SCHEMA = "public"
"""Where a table without a schema is looked for. A role's search_path plays no part."""

MAX_NAME_LENGTH = 63

_PART = r'(?:"(?:[^"]|"")+"|[^".]+)'
_TABLE = re.compile(rf"({_PART})(?:\.({_PART}))?", re.DOTALL)
_PLAIN_PART = re.compile(r'[^".\s](?:[^".]*[^".\s])?', re.DOTALL)

# Letters that Unicode does not decompose, in the spelling their languages use without accents.
_TRANSLITERATION = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}
)
_WORD_EDGE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def parse_table_name(text: str) -> TableSource:
    """Read ``table``, ``schema.table`` or either part in double quotes.

    An unquoted part is taken exactly as written: it is not folded to lower case, and only ``.``,
    ``"`` and surrounding space are beyond it. A quoted part may hold anything, ``""`` standing
    for one quote. Without a schema it is ``public``.

    Raises:
        ValueError: it cannot be read so; the text names the remedy.
    """
    match = _TABLE.fullmatch(text)
    if match is None:
        raise ValueError(
            f'{text!r} is not a table name. Write "schema.table"; put a part that holds a dot '
            'or a quote in double quotes (\'"My Schema"."Weird.Table"\'), or give schema and '
            "table as two keys"
        )
    parts = [_unquote(part) for part in match.groups() if part is not None]
    if len(parts) == 1:
        return TableSource(DEFAULT_SCHEMA, parts[0])
    return TableSource(parts[0], parts[1])


def _unquote(part: str) -> str:
    if part.startswith('"'):
        return part[1:-1].replace('""', '"')
    if part != part.strip():
        raise ValueError(
            f"{part!r} begins or ends with space. Remove it, or put the name in double quotes "
            "if the space belongs to it"
        )
    return part


def is_plain(name: str) -> bool:
    """Whether ``parse_table_name`` reads ``name`` unquoted."""
    return _PLAIN_PART.fullmatch(name) is not None


def quote_identifier(name: str) -> str:
    """Quote ``name`` for SQL that a person reads, on one line and without invisible characters.

    For statements that are *executed* use ``psycopg.sql.Identifier``.
    """
    if name.isprintable():
        return '"' + name.replace('"', '""') + '"'
    # PostgreSQL's own notation for any character by its number (manual, section 4.1.2.3).
    escaped = "".join(
        "\\\\"
        if ch == "\\"
        else ch
        if ch.isprintable()
        else f"\\{ord(ch):04X}"
        if ord(ch) <= 0xFFFF
        else f"\\+{ord(ch):06X}"
        for ch in name.replace('"', '""')
    )
    return f'U&"{escaped}"'


def visible(text: str) -> str:
    """Escape what would break a line, hide or reorder text where a person reads it."""
    return "".join(ch if ch.isprintable() else ch.encode("unicode_escape").decode() for ch in text)


def sql_name(source: TableSource) -> str:
    """Return ``"schema"."table"`` for messages and snippets."""
    return f"{quote_identifier(source.schema)}.{quote_identifier(source.table)}"


_FORMULA_SIGNS = frozenset("=+-@＝＋－＠")
_REORDERING = frozenset("\ufeff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def safe_label(name: str, otherwise: str) -> str:
    """Return ``name`` as a header that every format takes and every reader shows as it is.

    Breaks of lines, control characters and what reorders text become blanks, and what makes a
    spreadsheet take a cell for a formula goes from the start. A name without any stays as it is.
    ``otherwise`` is for one of which nothing is left.
    """
    label = "".join(" " if _breaks(ch) else ch for ch in name)
    if label != name:
        label = " ".join(label.split())
    start = 0
    while start < len(label) and (
        label[start] in _FORMULA_SIGNS or _is_looked_through(label[start])
    ):
        start += 1
    if not _FORMULA_SIGNS.isdisjoint(label[:start]):
        label = label[start:]
    return label or otherwise


def _breaks(ch: str) -> bool:
    return unicodedata.category(ch) in {"Cc", "Zl", "Zp"} or ch in _REORDERING


def _is_looked_through(ch: str) -> bool:
    """Whether spreadsheets look behind a character for a sign: it shows nothing, or marks text."""
    return ch == "'" or unicodedata.category(ch) in {"Zs", "Cf"}


def derive_export_names(tables: Iterable[tuple[str, str]]) -> list[str]:
    """Return the export type of each ``(schema, table)``, in order; the first schema goes first.

    A table whose name is an export type's as it stands gets it before any that only resembles it
    (``users`` before ``USERS``), wherever it comes in the list.
    """
    listed = list(tables)
    names: dict[tuple[str, str], str] = {}
    for schema, table in listed:
        if NAME_PATTERN.fullmatch(table) and table not in names.values():
            names[schema, table] = table
    taken = set(names.values())
    for schema, table in listed:
        if (schema, table) not in names:
            names[schema, table] = derive_export_name(schema, table, taken)
            taken.add(names[schema, table])
    return [names[each] for each in listed]


def derive_export_name(schema: str, table: str, taken: Container[str]) -> str:
    """Return a free export type name that resembles ``table`` (and, if taken, its schema too)."""
    stem = _ascii_name(table)
    candidates = [stem] if stem else ["table"]
    if prefix := _ascii_name(schema):
        candidates.append(_ascii_name(f"{prefix}_{candidates[0]}"))
    for candidate in candidates:
        if NAME_PATTERN.fullmatch(candidate) and candidate not in taken:
            return candidate
    base = candidates[-1] if NAME_PATTERN.fullmatch(candidates[-1]) else f"{candidates[-1]}_table"
    number = 2
    while True:
        suffix = f"_{number}"
        candidate = base[: MAX_NAME_LENGTH - len(suffix)] + suffix
        if candidate not in taken:
            return candidate
        number += 1


def _ascii_name(name: str) -> str:
    spaced = _WORD_EDGE.sub("_", name)
    decomposed = unicodedata.normalize("NFKD", spaced.casefold().translate(_TRANSLITERATION))
    plain = "".join(ch for ch in decomposed.casefold() if not unicodedata.combining(ch))
    plain = re.sub(r"[^a-z0-9_-]+", "_", plain).strip("_-")
    if plain and not plain[0].isalpha():
        plain = f"t_{plain}"
    return plain[:MAX_NAME_LENGTH].rstrip("_-")
