"""Branches that each add a migration meet here, before a database does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("path", sorted(VERSIONS.glob("[0-9]*.py")), ids=lambda path: path.stem)
def test_index_of_a_table_in_use_holds_nobody_up(path: Path) -> None:
    assert list(_held_up_by(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("op.create_index('i', 'jobs', ['a'])", "i on jobs: use build_index"),
        ("op.create_index(name, table, ['a'])", "name on table: use build_index"),
        ("op.create_unique_constraint('u', 'jobs', ['a'])", "u on jobs: use build_index"),
        ("op.execute('CREATE INDEX i ON jobs (a)')", "CREATE INDEX: use build_index"),
        ("op.execute(f'create unique index {x} on jobs (a)')", "CREATE INDEX: use build_index"),
        (
            "op.drop_index('i', 'jobs')\n    build_index('i', 'jobs', ['a'])",
            "drop_index comes before an index is built, and cannot be repeated",
        ),
        ("op.create_table('jobs')\n    op.create_index('i', 'jobs', ['a'])", None),
        ("build_index('i', 'jobs', ['a'])\n    op.drop_index('j', 'jobs')", None),
        (
            "op.add_column('jobs', c, if_not_exists=True)\n    build_index('i', 'jobs', ['a'])",
            None,
        ),
    ],
)
def test_migration_that_would_hold_somebody_up_is_found(statement: str, told: str | None) -> None:
    found = list(_held_up_by(f"def upgrade() -> None:\n    {statement}\n"))
    assert found == ([told] if told else [])


_REPEATABLE = ("execute",)
"""What may come before an index is built, as UPDATE does: if it was done, it changes nothing."""


def _held_up_by(source: str) -> Iterator[str]:
    """Yield what in a migration's ``upgrade`` would stop writers of a large table, or would leave a
    migration that cannot begin anew when it is cut while an index is built."""
    (upgrade,) = (
        each
        for each in ast.parse(source).body
        if isinstance(each, ast.FunctionDef) and each.name == "upgrade"
    )
    calls = sorted(
        (each for each in ast.walk(upgrade) if isinstance(each, ast.Call)),
        key=lambda call: (call.lineno, call.col_offset),
    )
    builds = [call.lineno for call in calls if ast.unparse(call.func) == "build_index"]
    made = set()
    for call in calls:
        owner, _, name = ast.unparse(call.func).rpartition(".")
        if owner != "op":
            continue
        said = [
            str(each.value) if isinstance(each, ast.Constant) else ast.unparse(each)
            for each in call.args
        ]
        is_repeatable = name in _REPEATABLE or any(
            each.arg == "if_not_exists" for each in call.keywords
        )
        if builds and call.lineno < builds[-1] and not is_repeatable:
            yield f"{name} comes before an index is built, and cannot be repeated"
        if name == "create_table":
            made.add(said[0])
        elif name in {"create_index", "create_unique_constraint"} and said[1] not in made:
            yield f"{said[0]} on {said[1]}: use build_index"
        elif name == "execute" and re.search(r"create\s+(unique\s+)?index", said[0], re.IGNORECASE):
            yield "CREATE INDEX: use build_index"
