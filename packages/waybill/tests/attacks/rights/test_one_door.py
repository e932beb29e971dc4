"""A second place that decides would be a second answer: there is none (ADR-0020)."""

from __future__ import annotations

import ast
from pathlib import Path

import waybill

ROOT = Path(waybill.__file__).parent
# Where the words are defined, handed out, and decided with.
DOOR = {"principal.py", "requests/access.py", "api/auth.py", "django/host.py"}
WORDS = {"ADMIN", "ALL_TENANTS"}


def test_scopes_are_looked_at_in_one_module() -> None:
    found = []
    for path in ROOT.rglob("*.py"):
        module = path.relative_to(ROOT).as_posix()
        if module in DOOR:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_word = isinstance(node, ast.Name) and node.id in WORDS
            asks = isinstance(node, ast.Attribute) and node.attr in {"may", "scopes", "requires"}
            whose = asks and ast.unparse(node.value).rpartition(".")[2]  # type: ignore[attr-defined]
            if is_word or whose in {"principal", "actor", "who"}:
                found.append(f"{module}:{node.lineno}")  # type: ignore[attr-defined]
    assert found == []
