"""Help that fits the terminal: panels where there is room for them, plain text where there is not.

Panels cut words that are longer than their column, and a name that was cut cannot be typed.
"""

from __future__ import annotations

import inspect
from typing import Any, Final

import typer

PANELS_FROM_COLUMNS: Final = 110
"""From here on no word of any help is cut."""

# The context that commands make, which Typer brings along unnamed.
_Context: Any = typer.Context.__base__
_Formatter: Any = _Context.formatter_class


class NarrowFormatter(_Formatter):  # type: ignore[misc]
    """Plain help as wide as the terminal, with three quarters of it for meanings."""

    columns = 80

    def __init__(self, *_arguments: Any, **_options: Any) -> None:
        super().__init__(width=min(self.columns, 80) - 1)

    def write_dl(self, rows: Any, col_max: int = 30, col_spacing: int = 2) -> None:
        """Write names and meanings in two columns; a longer name has a line of its own."""
        super().write_dl(rows, min(col_max, max(self.width // 4, 6)), col_spacing)


def fit_help(app: typer.Typer, columns: int) -> None:
    """Let the help of ``app`` fit so many columns. To be called before it runs."""
    wide = columns >= PANELS_FROM_COLUMNS
    app.rich_markup_mode = "rich" if wide else None
    NarrowFormatter.columns = columns
    _Context.formatter_class = _Formatter if wide else NarrowFormatter
    _join_lines(app)


def _join_lines(app: typer.Typer) -> None:
    """Make each paragraph one line: panels keep the breaks that a paragraph has in the code."""
    for command in app.registered_commands:
        text = inspect.cleandoc(command.help or inspect.getdoc(command.callback) or "")
        paragraphs = [each.replace("\n", " ") for each in text.split("\n\n")]
        command.help = "\n\n".join(paragraphs)
        command.short_help = paragraphs[0]  # else a list of commands cuts it
    for group in app.registered_groups:
        if group.typer_instance is not None:
            group.short_help = str(group.typer_instance.info.help)
            _join_lines(group.typer_instance)
