"""Lines of the entries of a TOML text, which ``tomllib`` does not tell.

The text is known to be valid TOML. A small scanner steps over strings and comments and notes
where array-of-tables headers (``[[kind]]``) and inline tables of a top-level array
(``kind = [{…}]``) begin, and where their keys stand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|' r"'''.*?'{3,5}|" r'"(?:\\.|[^"\\\n])*"|' r"'[^'\n]*'", re.DOTALL
)
_HEADER = re.compile(r"\[\[[ \t]*([\w.\"'-]+)[ \t]*\]\]")
_KEY = re.compile(r"[A-Za-z0-9_-]+(?=[ \t]*=)")


@dataclass(slots=True)
class TableLines:
    """Line of a table and of its keys, from 1 within the text."""

    line: int
    keys: dict[str, int] = field(default_factory=dict)


def table_lines(text: str) -> Mapping[str, list[TableLines]]:
    """For each top-level key that is an array of tables: its tables' lines, in order."""
    found: dict[str, list[TableLines]] = {}
    current: TableLines | None = None  # the [[kind]] table or inline table we are in
    array: str | None = None  # the top-level key whose array is open
    depth = 0  # of brackets and braces
    at, line = 0, 1
    while at < len(text):
        character = text[at]
        if character == "\n":
            line, at = line + 1, at + 1
        elif character == "#":
            at = text.find("\n", at)
            at = len(text) if at < 0 else at
        elif character in "\"'" and (string := _STRING.match(text, at)):
            line += string.group().count("\n")
            at = string.end()
        elif depth == 0 and (header := _HEADER.match(text, at)):
            current = TableLines(line)
            found.setdefault(header.group(1).strip("\"'"), []).append(current)
            array = None
            at = header.end()
        elif key := _KEY.match(text, at):
            if depth == 0 and current is None:
                array = key.group()
            elif current is not None and depth == (2 if array else 0):
                current.keys[key.group()] = line
            at = key.end()
        else:
            if character in "[{":
                depth += 1
                if character == "{" and depth == 2 and array is not None:
                    current = TableLines(line)
                    found.setdefault(array, []).append(current)
            elif character in "]}":
                depth -= 1
                if array is not None and depth <= 1:
                    current = None
            at += 1
    return found
