"""Help can be read, and copied from, on a terminal of any width."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import typer

from waybill.cli.app import app, main
from waybill.cli.help import PANELS_FROM_COLUMNS, fit_help

_FRAME = re.compile(r"[╭╮╰╯│─]")


def commands(group: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield above, group
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*above, name))
        else:
            yield (*above, name), command


def help_of(group: Any, path: tuple[str, ...], columns: int) -> str:
    said = io.StringIO()
    with (
        mock.patch.dict(os.environ, {"COLUMNS": str(columns)}),
        contextlib.redirect_stdout(said),
    ):
        group([*path, "--help"], prog_name="waybill", standalone_mode=False)
    return said.getvalue()


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    fit_help(app, 200)


def words_of(path: tuple[str, ...], command: Any) -> set[str]:
    """Return every word of a command's help: what it says, and the names that one types."""
    texts = [command.help or "", *(getattr(each, "help", "") or "" for each in command.params)]
    if hasattr(command, "commands"):
        texts += [each.help.partition("\n\n")[0] for each in command.commands.values()]
        texts += command.commands
    texts += [option for each in command.params for option in each.opts if option[0] == "-"]
    return {word for text in texts for word in text.split()}


@pytest.mark.parametrize("columns", [40, 60, PANELS_FROM_COLUMNS - 1, PANELS_FROM_COLUMNS, 200])
def test_help_fits_the_terminal_and_cuts_no_word(columns: int) -> None:
    fit_help(app, columns)
    group = typer.main.get_command(app)
    for path, command in commands(group):
        text = help_of(group, path, columns)
        assert max(map(len, text.splitlines())) <= columns, path
        shown = _FRAME.sub(" ", text).split()
        # A word that is longer than its column goes on in the next line.
        together = "".join(shown)
        lost = {
            word
            for word in words_of(path, command)
            if not any(word in each for each in shown)
            and (len(word) < columns // 2 or word not in together)
        }
        assert lost == set(), path


def test_command_fits_its_help_to_the_terminal_that_it_finds() -> None:
    for columns, has_panels in ((40, False), (200, True)):
        said = io.StringIO()
        with (
            mock.patch.dict(os.environ, {"COLUMNS": str(columns)}),
            mock.patch.object(sys, "argv", ["waybill", "token", "--help"]),
            contextlib.redirect_stdout(said),
            pytest.raises(SystemExit) as end,
        ):
            main()
        assert end.value.code == 0
        assert ("╭" in said.getvalue()) is has_panels
