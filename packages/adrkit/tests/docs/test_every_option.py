"""Every option of every command appears in a test, as an argument and not in a comment."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from adrkit.cli.commands import app

TESTS = Path(__file__).parents[1]


def commands(group: Any = None, above: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    group = group if group is not None else typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*above, name))
        else:
            yield " ".join((*above, name)), command


def calls() -> list[list[str]]:
    """Words that belong together: of a string, and the strings of one call, list or tuple."""
    found: list[list[str]] = []
    for path in sorted(TESTS.rglob("*.py")):
        if path == Path(__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts: list[ast.expr] = []
            if isinstance(node, ast.Call):
                parts = node.args
            elif isinstance(node, ast.List | ast.Tuple):
                parts = node.elts
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                parts = [node]
            words = [word for part in parts for word in _words(part)]
            if words:
                found.append(words)
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


def is_given(command: str, options: list[str]) -> bool:
    """Whether some test gives one spelling of an option to the command.

    A helper that adds the command by itself is not seen through: one test names both.
    """
    words = command.split(" ")
    return any(
        all(word in call for word in words)
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


@pytest.mark.parametrize(("command", "options"), OPTIONS, ids=str)
def test_option_is_given_to_its_command_in_a_test(command: str, options: tuple[str, ...]) -> None:
    assert is_given(command, list(options)), f"no test calls `adr {command} {options[0]}`"


def test_every_option_is_looked_for() -> None:
    assert ("lint", ("--strict",)) in OPTIONS
    assert ("lint", ("--no-baseline",)) in OPTIONS
    assert len(OPTIONS) >= 80
    assert not is_given("lint", ["--no-such-option"])
