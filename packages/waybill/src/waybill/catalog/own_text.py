"""What an application's own expression writes as SQL besides its parts: a template, a lookup's or a
construct's own compilation. Functions, types and operators say nothing of rows; a column, another
query or what ends the expression early does, and nobody could say which rights it needs.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

_TOKEN: Final = re.compile(
    r"""(?P<literal>[eE]?'(?:[^']|'')*')
    |(?P<quoted>"(?:[^"]|"")*")
    |(?P<type>(?:::\s*|\bAS\s+)[A-Za-z_]\w*)
    |(?P<called>[A-Za-z_]\w*(?=\s*\())
    |(?P<word>[A-Za-z_]\w*)
    |(?P<ends>;|--|/\*|\$\w*\$|\\)""",
    re.VERBOSE | re.IGNORECASE,
)
_READS: Final = frozenset({"select", "table", "values", "with"})
_OPERATOR: Final = re.compile(
    r"[-+*/<>=~!@#%^&|`?]+|(?:NOT\s+)?(?:I?LIKE|SIMILAR\s+TO)|AT\s+TIME\s+ZONE|"
    r"IS(?:\s+NOT)?\s+DISTINCT\s+FROM|OVERLAPS|OPERATOR\s*\(\s*pg_catalog\.[-+*/<>=~!@#%^&|`?]+\)",
    re.IGNORECASE,
)


def is_operator(text: str) -> bool:
    """Return whether ``text`` is an operator and no more."""
    return _OPERATOR.fullmatch(text.strip()) is not None


def reads_rows(text: str, parts: Collection[str], columns: Collection[str]) -> bool:
    """Return whether an expression may read more than its parts.

    Args:
        text: the expression, compiled.
        parts: its parts, compiled.
        columns: the columns, and tables as rows, that a name could mean there, in small letters.
    """
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, " ")
    depth = 0
    for sign in re.sub(r"'(?:[^']|'')*'", "", text):
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            return True
    if depth:
        return True
    for found in _TOKEN.finditer(text.replace("%s", " ")):
        said = found.group().lower()
        if found.lastgroup in {"quoted", "ends"}:
            return True
        if found.lastgroup in {"word", "called"} and said in _READS:
            return True
        if found.lastgroup == "word" and said in columns:
            return True
    return False
