"""What a terminal or a log is given: texts of a checkout, which may hold anything.

A title may hold an escape sequence that retitles the terminal or hides a line, a file's name a
line of its own that GitHub Actions takes for a command. What cannot be seen is shown as the escape
of JSON, so that JSON stays the same value.
"""

from __future__ import annotations

import re

# Controls but tab and newline, what turns the direction of writing, and half characters.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    return _UNSEEN.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def on_one_line(text: str) -> str:
    """A name, whose line ends are part of it."""
    return re.sub(r"[\r\n\u2028\u2029]", lambda match: f"\\u{ord(match.group()):04x}", text)
