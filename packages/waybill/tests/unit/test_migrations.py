"""Branches that each add a migration meet here, before a database does."""

from __future__ import annotations

import re
from pathlib import Path

import waybill.migrations

VERSIONS = Path(waybill.migrations.__file__).parent / "versions"


def test_migrations_are_one_line_in_the_order_of_their_names() -> None:
    found = []
    for path in sorted(VERSIONS.glob("[0-9]*.py")):
        text = path.read_text(encoding="utf-8")
        revision = re.search(r'^revision = "(\d+)"$', text, re.MULTILINE)
        before = re.search(r'^down_revision = (?:"(\d+)"|None)$', text, re.MULTILINE)
        assert revision, path.name
        assert before, path.name
        assert path.name.startswith(f"{revision[1]}_")
        found.append((before[1], revision[1]))
    numbers = [f"{number:04}" for number in range(1, len(found) + 1)]
    assert found == list(zip([None, *numbers], numbers, strict=False))
