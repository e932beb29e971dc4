"""Operator-written queries: one statement, and safe to put in parentheses.

A query of the catalog is trusted text, but it ends up as a subquery, and there a closing ``;`` or
``--`` comment would swallow the parenthesis. So it is scanned with the lexical rules of
PostgreSQL (manual, section 4.1) once, when the catalog is built. What the words mean is left to
PostgreSQL: ``check.py`` has the server describe every query.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from waybill.errors import ConfigurationError

_FIRST_WORDS = ("SELECT", "WITH", "VALUES", "TABLE")

# PostgreSQL's own whitespace: Python's \s has more, and a no-break space belongs to a name there.
# Strings follow standard_conforming_strings = on, the default since 9.1.
_TOKEN = re.compile(
    r"""
      (?P<space>[ \t\n\r\f\v]+)
    | (?P<comment>--[^\r\n]*)
    | (?P<block>/\*)
    | (?P<string>[eE]'[^'\\]*(?:(?:\\.|'')[^'\\]*)*' | '[^']*(?:''[^']*)*')
    | (?P<quoted>"[^"]*(?:""[^"]*)*")
    | (?P<unclosed>[eE]?'|")
    | (?P<dollar>\$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$)
    | (?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")


@dataclass(frozen=True, slots=True)
class Token:
    """A lexical token of SQL: ``text`` stands at ``start`` to ``end``."""

    text: str
    start: int
    end: int


def scan(sql: str, what: str) -> Iterator[Token]:
    """Yield the tokens of SQL, space and comments left out; strings are one token each.

    Args:
        sql: the operator's text.
        what: what it is, for messages (``query``).

    Raises:
        ConfigurationError: a NUL, or something that is opened and never closed.
    """
    if "\0" in sql:
        raise ConfigurationError(f"The {what} holds a NUL character; remove it.")
    position = 0
    while position < len(sql):
        match = _TOKEN.match(sql, position)
        assert match is not None  # noqa: S101 - `other` takes any character
        kind, text, start = match.lastgroup, match.group(), position
        position = match.end()
        if kind == "block":
            position = _skip_block_comment(sql, start, what)
        if kind in {"space", "comment", "block"}:
            continue
        if kind == "unclosed":
            raise ConfigurationError(
                f"The {what} opens a {text[-1]} on line {_line(sql, start)} and never closes it."
            )
        if kind == "dollar":
            close = sql.find(text, position)
            if close < 0:
                raise ConfigurationError(
                    f"The {what} opens {text} on line {_line(sql, start)} and never closes it."
                )
            position = close + len(text)
        yield Token(sql[start:position], start, position)


def normalise_query(sql: str) -> str:
    """Return the one statement of ``sql``, without what surrounds it (``;``, comments, space).

    Raises:
        ConfigurationError: no statement, more than one, not a query, or something left open.
    """
    first_word = ""
    depth = 0
    begin = end = 0
    ended = False
    for token in scan(sql, "query"):
        if token.text == ";" and depth == 0:
            ended = ended or end > 0
            continue
        if ended:
            raise ConfigurationError(
                f"The query has a second statement on line {_line(sql, token.start)}; "
                "give exactly one SELECT. (A ';' may end it, nothing may follow.)"
            )
        if end == 0:
            begin = token.start
        depth += (token.text == "(") - (token.text == ")")
        if depth < 0:
            line = _line(sql, token.start)
            raise ConfigurationError(
                f"The query closes a parenthesis on line {line} that it never opened."
            )
        if not first_word and token.text != "(":
            first_word = token.text.upper()
            _check_first_word(first_word)
        end = token.end
    if not first_word:
        raise ConfigurationError("The query is empty; write a SELECT, or name a table instead.")
    if depth:
        raise ConfigurationError("The query leaves a parenthesis open; close it.")
    return sql[begin:end]


def _check_first_word(word: str) -> None:
    if word not in _FIRST_WORDS:
        raise ConfigurationError(
            f"The query begins with {word[:40]!r}; it must be one {', '.join(_FIRST_WORDS[:-1])} "
            f"or {_FIRST_WORDS[-1]} statement that only reads."
        )


def _skip_block_comment(sql: str, start: int, what: str) -> int:
    """Return the position after the (nesting) block comment that begins at ``start``."""
    depth = 0
    for edge in _BLOCK_EDGE.finditer(sql, start):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    raise ConfigurationError(
        f"The {what} opens a comment (/*) on line {_line(sql, start)} and never closes it."
    )


def _line(sql: str, position: int) -> int:
    return sql.count("\n", 0, position) + 1
