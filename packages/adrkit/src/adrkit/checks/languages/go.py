"""Imports of Go: every form of an import declaration, build tags and cgo included."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from adrkit.checks.languages.language import ImportLanguage, Seen, line_of, nodes, text_of
from adrkit.checks.verdict import CannotEvaluate, Evidence

_NAME = re.compile(r"[\w.~+-]+(?:/[\w.~+-]+)*")


def _imports(path: str, root: Any) -> Iterator[Seen]:
    for node in nodes(root):
        if node.type == "import_spec":
            written = node.child_by_field_name("path")
            yield Seen(_literal(path, written), line_of(written))


def _literal(path: str, node: Any) -> str:
    text = text_of(node)
    if text.startswith("`") or "\\" not in text:
        return text[1:-1]
    try:
        return str(ast.literal_eval(text))  # Go's escapes are among Python's
    except (ValueError, SyntaxError) as error:
        where = Evidence(path, line_of(node))
        raise CannotEvaluate(f"{where} imports {text}, which is not understood", where) from error


def _forbids(path: str, seen: Seen, module: str, modules: tuple[str, ...]) -> bool | None:
    return seen.target == module or seen.target.startswith(f"{module}/")


def _could_name(module: str) -> bool:
    return _NAME.fullmatch(module) is not None


GO = ImportLanguage("Go", "tree_sitter_go", "language", _imports, _forbids, _could_name)
