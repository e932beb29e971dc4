"""Where each key of a TOML document stands.

``tomllib`` gives values without positions, and a message about a catalog without its line is
half a message. This reads only the *structure* of a document that ``tomllib`` has accepted
(TOML 1.0: keys, headers, strings, arrays, inline tables), so it need not judge anything.
"""

from __future__ import annotations

import re
import tomllib
from typing import NamedTuple

Path = tuple[str | int, ...]


class Position(NamedTuple):
    line: int
    column: int
    """In characters; both count from 1."""


_BLANK = re.compile(r"(?:[ \t\n]+|#[^\n]*)+")
_SPACE = re.compile(r"[ \t]*")
_KEY_PART = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_STRING = re.compile(
    r'''"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}|\'\'\'(?:[^']|'{1,2}(?!'))*'{3,5}'''
    r"""|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}\n#]*")


class _Locator:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._seen_at: dict[Path, int] = {}
        self._array_lengths: dict[Path, int] = {}

    def run(self) -> dict[Path, int]:
        table: Path = ()
        while True:
            self._skip(_BLANK)
            if self._at >= len(self._text):
                return self._seen_at
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        start = self._at
        is_array = self._text.startswith("[[", start)
        self._at += 2 if is_array else 1
        keys = self._dotted_key()
        self._skip(_SPACE)
        self._at += 2 if is_array else 1
        path: Path = ()
        for index, (key, position) in enumerate(keys):
            path = (*path, key)
            self._seen_at.setdefault(path, position)
            if is_array and index == len(keys) - 1:
                length = self._array_lengths.get(path, 0)
                self._array_lengths[path] = length + 1
                path = (*path, length)
                self._seen_at[path] = start
            elif path in self._array_lengths:
                path = (*path, self._array_lengths[path] - 1)
        return path

    def _pair(self, table: Path) -> None:
        path = table
        for key, position in self._dotted_key():
            path = (*path, key)
            self._seen_at.setdefault(path, position)
        self._skip(_SPACE)
        self._at += 1  # the =
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: Path) -> None:
        opening = self._text[self._at]
        if opening in "\"'":
            self._skip(_STRING)
        elif opening == "[":
            self._array(path)
        elif opening == "{":
            self._inline_table(path)
        else:
            self._skip(_SCALAR)

    def _array(self, path: Path) -> None:
        self._at += 1
        index = 0
        while True:
            self._skip(_BLANK)
            match self._text[self._at]:
                case "]":
                    self._at += 1
                    return
                case ",":
                    self._at += 1
                case _:
                    item = (*path, index)
                    self._seen_at[item] = self._at
                    self._value(item)
                    index += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while True:
            self._skip(_BLANK)
            match self._text[self._at]:
                case "}":
                    self._at += 1
                    return
                case ",":
                    self._at += 1
                case _:
                    self._pair(path)

    def _dotted_key(self) -> list[tuple[str, int]]:
        keys: list[tuple[str, int]] = []
        while True:
            self._skip(_SPACE)
            part = _KEY_PART.match(self._text, self._at)
            assert part is not None  # noqa: S101 - tomllib accepted the document
            raw = part.group()
            key = tomllib.loads(f"k = {raw}")["k"] if raw[0] in "\"'" else raw
            keys.append((key, self._at))
            self._at = part.end()
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _skip(self, pattern: re.Pattern[str]) -> None:
        if match := pattern.match(self._text, self._at):
            self._at = match.end()


def locate(text: str) -> dict[Path, Position]:
    """Return the position of every key, header and array item of a valid TOML document.

    ``("exports", "users", "columns", 0)`` is the first item of ``columns``, whichever way it is
    written. ``text`` must be what ``tomllib.loads`` accepts, with ``\\n`` line ends.
    """
    line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
    positions: dict[Path, Position] = {}
    line = 0
    for path, offset in sorted(_Locator(text).run().items(), key=lambda item: item[1]):
        while line + 1 < len(line_starts) and line_starts[line + 1] <= offset:
            line += 1
        positions[path] = Position(line + 1, offset - line_starts[line] + 1)
    return positions
