"""Imports of languages other than Python, read from their syntax (extra ``languages``).

A file belongs to the language of its ending. What names no language that is known imports nothing
that could be seen; files that hold a language within another one are refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from adrkit.checks.languages.go import GO
from adrkit.checks.languages.javascript import JAVASCRIPT, TSX, TYPESCRIPT
from adrkit.checks.languages.language import ImportLanguage, Seen

__all__ = ["EMBEDDING", "ImportLanguage", "Seen", "language_of"]

_BY_ENDING: Mapping[str, ImportLanguage] = {
    ".js": JAVASCRIPT, ".jsx": JAVASCRIPT, ".mjs": JAVASCRIPT, ".cjs": JAVASCRIPT,
    ".ts": TYPESCRIPT, ".mts": TYPESCRIPT, ".cts": TYPESCRIPT, ".tsx": TSX, ".go": GO,
}  # fmt: skip

#: Endings of files whose scripts import, and that are not read.
EMBEDDING = (".vue", ".svelte", ".astro")


def language_of(path: str) -> ImportLanguage | None:
    return _BY_ENDING.get(PurePosixPath(path).suffix.lower())
