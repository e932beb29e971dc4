"""Regular expressions of check blocks: written by others, so each search has a time-out.

Python's ``re`` backtracks without end and cannot be interrupted. The package ``regex`` can, gives
up when it needs too much memory, and ends most patterns of the kind ``(a+)+$`` at once. Patterns
are those of ``re``: what only ``regex`` knows, or reads differently, is refused. Outside of ASCII
``\\w`` follows Unicode's word characters, so that a combining mark belongs to its letter.
"""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import regex

from adrkit.checks.verdict import CannotEvaluate

#: Text to ``re``, but an approximate match or a class of characters to ``regex``.
_READ_DIFFERENTLY = re.compile(
    r"(?<!\\)(?:\\\\)*\{[eids\d\s<=+,]*[eids][eids\d\s<=+,]*(?::[^}]*)?\}|\[:\^?\w+:\]"
)


@dataclass(frozen=True, slots=True)
class PatternMatch:
    """The first match in a file: ``index`` into the searched files, ``line`` from 1."""

    index: int
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class PatternAnswer:
    matches: tuple[PatternMatch, ...]
    unmatched: tuple[int, ...]


def pattern_problem(pattern: str) -> str | None:
    """Why a text is no pattern of ``re`` that ``regex`` reads alike, None when it is one."""
    try:
        with warnings.catch_warnings():  # of what `re` will read differently one day
            warnings.simplefilter("ignore")
            re.compile(pattern)
            regex.compile(pattern, regex.MULTILINE)
    except (re.error, regex.error, OverflowError, RecursionError, MemoryError) as error:
        return f"no regular expression: {error}"
    # `\N{NAME}` is a character to both.
    if odd := _READ_DIFFERENTLY.search(re.sub(r"\\N\{[^}]*\}", "", pattern)):
        return f"no regular expression of Python: write `{odd.group()}` with a backslash"
    return None


@dataclass(frozen=True, slots=True)
class Patterns:
    """``timeout_seconds`` of processor time bound one search over all its files."""

    timeout_seconds: float = 5.0

    def search_files(self, pattern: str, files: Iterable[tuple[str, bytes]]) -> PatternAnswer:
        """The first match of each file, given as name and content.

        Raises CannotEvaluate for a bad or too slow pattern, and for UTF-16.
        """
        compiled = self._compiled(pattern)
        left = self.timeout_seconds
        matches, unmatched = [], []
        for index, (name, data) in enumerate(files):
            if is_utf16(data):
                raise CannotEvaluate(
                    f"{pattern!r} is not to be searched for in {name}: it is UTF-16, write it as "
                    "UTF-8"
                )
            text = data.decode("utf-8", "replace").replace("\r\n", "\n")
            began = time.process_time()
            found = self._search(compiled, text, left)
            left -= time.process_time() - began
            if found is None:
                unmatched.append(index)
            else:
                line = text.count("\n", 0, found.start()) + 1
                matches.append(PatternMatch(index, line, found.group()[:200]))
        return PatternAnswer(tuple(matches), tuple(unmatched))

    def search_text(self, pattern: str, text: str) -> bool:
        """Raises CannotEvaluate for a bad or too slow pattern."""
        return self._search(self._compiled(pattern), text, self.timeout_seconds) is not None

    def _compiled(self, pattern: str) -> regex.Pattern[str]:
        if (problem := pattern_problem(pattern)) is not None:
            raise CannotEvaluate(f"{pattern!r} is {problem}")
        return regex.compile(pattern, regex.MULTILINE)

    def _search(
        self, compiled: regex.Pattern[str], text: str, seconds: float
    ) -> regex.Match[str] | None:
        pattern = compiled.pattern
        try:
            return compiled.search(text, timeout=max(seconds, 0.001))
        except TimeoutError as error:
            raise CannotEvaluate(
                f"the pattern {pattern!r} took more than {self.timeout_seconds:g} s: "
                "avoid nested repetitions such as (a|aa)+"
            ) from error
        except MemoryError as error:
            raise CannotEvaluate(
                f"the pattern {pattern!r} needs more memory than there is for it: "
                "avoid repetitions that span the whole text"
            ) from error


def is_utf16(data: bytes) -> bool:
    """Text in which no pattern would be found: by its mark, or by every other byte being zero."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")):
        return True
    head = data[:4096]
    zeros = max(head[::2].count(0), head[1::2].count(0))
    others = min(head[::2].count(0), head[1::2].count(0))
    return len(head) >= 4 and zeros * 4 >= len(head) and others * 8 <= zeros
