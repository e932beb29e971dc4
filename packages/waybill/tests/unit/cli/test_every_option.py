"""Every option of every command appears in a test, as an argument and not in a comment."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from waybill.cli.app import app

TESTS = Path(__file__).parents[2]

# Files whose helper adds words by itself.
HELPED: Final = {
    "integration/jobs/test_dead_letters.py": ["dead-letters"],
    "integration/notify/test_replay.py": ["notifications"],
    "integration/doctor/test_doctor.py": ["doctor"],
}


def commands(group: Any = None, above: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    group = group if group is not None else typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*above, name))
        else:
            yield " ".join((*above, name)), command


def calls() -> list[list[str]]:
    """Words that belong together: the strings of one call, list or tuple."""
    found: list[list[str]] = []
    for path in sorted(TESTS.rglob("*.py")):
        if path == Path(__file__):
            continue
        helped = HELPED.get(path.relative_to(TESTS).as_posix(), [])
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts: list[ast.expr] = []
            if isinstance(node, ast.Call):
                parts = node.args
            elif isinstance(node, ast.List | ast.Tuple):
                parts = node.elts
            words = [word for part in parts for word in _words(part)]
            if words:
                found.append([*helped, *words])
    return found


def _words(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Starred):
        return _words(node.value)
    if isinstance(node, ast.List | ast.Tuple):
        return [word for item in node.elts for word in _words(item)]
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 300:
        try:
            return [node.value, *shlex.split(node.value)]
        except ValueError:
            return [node.value]
    return []


CALLS = calls()


def is_given(command: str, options: tuple[str, ...]) -> bool:
    """Whether some test gives one spelling of an option to the command."""
    return any(
        all(word in call for word in command.split(" "))
        and any(
            word == option or word.startswith(f"{option}=") for word in call for option in options
        )
        for call in CALLS
    )


OPTIONS = [
    (name, tuple(spelling))
    for name, command in commands()
    for parameter in command.params
    if parameter.param_type_name == "option" and not parameter.hidden
    for spelling in (parameter.opts, parameter.secondary_opts)
    if spelling and "--help" not in spelling
]


def test_every_option_is_given_to_its_command_in_a_test() -> None:
    assert len(OPTIONS) >= 100
    assert ("capacity", ("--days",)) in OPTIONS
    assert ("notifications replay", ("--target",)) in OPTIONS
    assert [each for each in OPTIONS if not is_given(*each)] == []


@pytest.mark.parametrize(
    ("command", "option"), [("export", "--no-such-option"), ("no-such-command", "--json")]
)
def test_what_no_test_gives_is_found(command: str, option: str) -> None:
    assert not is_given(command, (option,))
