"""What the verbs that list and show have in common."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from datetime import UTC, datetime
from typing import Any, Final

import typer
from rich.console import Console

_WIDE: Final = 240


def output_console() -> Console:
    """Return the console of standard output: wide enough for ids when it is piped."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDE)


def people_console() -> Console:
    """Return the console of standard error, as wide as its terminal is: a dumb one, too."""
    console = Console(stderr=True, highlight=False)
    if console.is_terminal and console.is_dumb_terminal:
        with contextlib.suppress(OSError):
            size = os.get_terminal_size(sys.stderr.fileno())
            # Without both, Rich takes 80 by 25 for whatever is dumb.
            return Console(stderr=True, highlight=False, width=size.columns, height=size.lines)
    return console


def moment_text(moment: datetime | None) -> str:
    """Return an instant for people, to the second in UTC; empty for none."""
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def print_json(document: Any) -> None:
    """Print one JSON document."""
    typer.echo(json.dumps(document, indent=2))
