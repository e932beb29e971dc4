"""Halves of surrogate pairs in JSON. ``json``, unlike ``jsonb``, takes ``"\\ud800"``, which stands
for no character: one of them, and many readers refuse the whole file (DuckDB, simdjson, orjson).

What is looked at is PostgreSQL's own output, so it is known to be JSON.
"""

from __future__ import annotations

import json
import re
from typing import Final

# An escape of JSON: a whole pair, half of one (the group), or any other.
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_STARTS: Final = (b"\\ud", b"\\uD")
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{},:]', re.DOTALL)


def may_hold_half_a_pair(text: bytes) -> bool:
    """Whether to look closer. Two searches for a text that hardly any JSON holds: quick."""
    return any(start in text for start in _STARTS)


def holds_half_a_pair(text: bytes) -> bool:
    """Whether JSON (perhaps several texts of it, one after the other) escapes half of a pair."""
    return may_hold_half_a_pair(text) and any(found[1] for found in _ESCAPE.finditer(text))


def as_texts(line: bytes) -> bytes:
    """Return an object in which the members that hold half of a pair are texts of their JSON."""
    if not holds_half_a_pair(line):
        return line
    pieces: list[bytes] = []
    written, start, depth = 0, 0, 0
    for found in _TOKEN.finditer(line):
        token = found[0]
        if depth == 1 and start and token in b",}":
            value = line[start : found.start()]
            if holds_half_a_pair(value):
                text = json.dumps(value.decode(), ensure_ascii=False)
                pieces += [line[written:start], text.encode()]
                written = found.start()
            start = 0
        if token in b"{[":
            depth += 1
        elif token in b"}]":
            depth -= 1
        elif token == b":" and depth == 1:
            start = found.end()
    return b"".join([*pieces, line[written:]])
