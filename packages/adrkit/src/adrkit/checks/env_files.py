"""``.env`` files, as dotenv libraries and ``docker compose`` read them alike.

They differ in much: what a shell, python-dotenv and Node's dotenv read differently is uncertain,
and a check that asks for it is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ASSIGNMENT = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<key>[A-Za-z_][\w.-]*)(?P<rest>.*)", re.ASCII)
_REST = re.compile(r"[ \t]*(?:#.*)?")
_QUOTES = ("'", '"', "`")


@dataclass(frozen=True, slots=True)
class Uncertain:
    """A value that programs read differently, and why."""

    line: int
    reason: str


def parse_env(text: str) -> dict[str, str | Uncertain]:
    """Raises ValueError for a line that assigns nothing, an open quote and a key that is there
    twice."""
    found: dict[str, str | Uncertain] = {}
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    at = 0
    while at < len(lines):
        line, number = lines[at], at + 1
        at += 1
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(line)
        if match is None or not re.match(r"[ \t]*(=|#|$)", match["rest"]):
            raise ValueError(f"line {number} is no KEY=value")
        key, rest = match["key"], match["rest"]
        if key in found:
            raise ValueError(f"the key {key!r} is there twice, again on line {number}")
        before, equals, value = rest.partition("=")
        if not equals:
            found[key] = Uncertain(number, "it has no value here: it is the environment's")
            continue
        stripped = value.lstrip(" \t")
        if stripped[:1] in _QUOTES:
            while (end := _end_of_quote(stripped)) is None:
                if at == len(lines):
                    raise ValueError(f"the quote on line {number} does not end")
                stripped += "\n" + lines[at]
                at += 1
            found[key] = _quoted(stripped, end, number)
        else:
            found[key] = _bare(stripped, number)
        blank_behind = value[:1] in (" ", "\t") and value.strip() != ""
        if (before or blank_behind) and not isinstance(found[key], Uncertain):
            found[key] = Uncertain(number, "blanks around = are part of it for some, not for all")
    return found


def _end_of_quote(text: str) -> int | None:
    """Where the quote that ``text`` begins with is closed; a backslash protects one in "…"."""
    at = 1
    while at < len(text):
        if text[at] == "\\" and text[0] == '"':
            at += 2
            continue
        if text[at] == text[0]:
            return at
        at += 1
    return None


def _quoted(text: str, end: int, line: int) -> str | Uncertain:
    quote, value, rest = text[0], text[1:end], text[end + 1 :]
    if not _REST.fullmatch(rest) or rest.startswith("#"):
        return Uncertain(line, f"something follows the closing {quote}")
    if quote == "`":
        return Uncertain(line, "backticks are quotes for some, a command for others")
    if "\\" in value:
        return Uncertain(line, "backslashes are read differently")
    if quote == '"' and ("$" in value or "`" in value):
        return Uncertain(line, "it is filled in from elsewhere ($)")
    return value


def _bare(text: str, line: int) -> str | Uncertain:
    comment = re.search(r"(?:^|[ \t])#", text)
    value = (text[: comment.start()] if comment else text).rstrip(" \t")
    for character, reason in (
        ("$", "it is filled in from elsewhere ($)"),
        ("#", "# without a blank before it begins a comment for some"),
        ("\\", "backslashes are read differently"),
    ):
        if character in value:
            return Uncertain(line, reason)
    if any(quote in value for quote in _QUOTES):
        return Uncertain(line, "a quote in the middle is read differently")
    return value
