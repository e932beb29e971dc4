"""Glob patterns over repository paths, matched in time linear in pattern times path.

``*`` and ``?`` stay within one path segment, ``**`` spans any number of them, none included; every
other character stands for itself. Not translated to regular expressions: a hostile pattern such
as ``*a*a*a*…b`` would backtrack for ever there.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from functools import lru_cache


def is_glob(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern


def matches_any(path: str, patterns: Iterable[str]) -> bool:
    return any(matches(path, pattern) for pattern in patterns)


def matches(path: str, pattern: str) -> bool:
    """Whether ``path``, with ``/`` and relative, is matched by the whole ``pattern``."""
    beginning, parts = _parts(pattern)
    if not path.startswith(beginning):
        return False
    segments = path.split("/")
    reachable = {0}  # how many segments may be consumed by the pattern's parts so far
    for part in parts:
        if part == "**":
            reachable = set(range(min(reachable), len(segments) + 1))
        else:
            reachable = {
                at + 1 for at in reachable if at < len(segments) and _segment(segments[at], part)
            }
        if not reachable:
            return False
    return len(segments) in reachable


@lru_cache(maxsize=1024)
def _parts(pattern: str) -> tuple[str, tuple[str, ...]]:
    """What every path that matches begins with, and the segments."""
    parts = tuple(pattern.split("/"))
    plain = itertools.takewhile(lambda part: not is_glob(part), parts)
    return "/".join(plain), parts


def _segment(text: str, pattern: str) -> bool:
    """Greedy matching with one point to fall back to: the last ``*`` (Krauss 2008)."""
    if "*" not in pattern and "?" not in pattern:
        return text == pattern
    at = position = 0
    star = -1
    resume = 0
    while at < len(text):
        if position < len(pattern) and pattern[position] == "*":
            star, resume = position, at
            position += 1
        elif position < len(pattern) and pattern[position] in ("?", text[at]):
            at, position = at + 1, position + 1
        elif star >= 0:
            resume += 1
            at, position = resume, star + 1
        else:
            return False
    return not pattern[position:].strip("*")
