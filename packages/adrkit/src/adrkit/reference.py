"""The command reference, written from the command line application itself.

python -m adrkit.reference > docs/adrkit/commands.md
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import typer

_INTRODUCTION = """# Commands of `adr`

<!-- Written by `python -m adrkit.reference`; edits are lost. -->

Every command takes the global options first: `adr -C PATH --dir PATH COMMAND`. Exit codes: 0 all
well, 1 findings, 2 wrong use or unreadable input.
"""


def command_reference(application: typer.Typer) -> str:
    """Markdown with every command, argument and option of ``application``."""
    group: Any = typer.main.get_command(application)
    parts = [_INTRODUCTION, "## Global options\n\n" + _table(group.params)]
    parts += _commands(group, ())
    return "\n".join(parts).rstrip() + "\n"


def _commands(group: Any, above: tuple[str, ...]) -> list[str]:
    parts: list[str] = []
    for name, command in group.commands.items():
        path = (*above, name)
        if hasattr(command, "commands"):
            parts += _commands(command, path)
            continue
        arguments = " ".join(
            _argument(p) for p in command.params if p.param_type_name == "argument"
        )
        usage = " ".join(filter(None, ("adr", *path, "[OPTIONS]", arguments)))
        text = inspect.cleandoc(command.help or "").replace("\b\n", "")
        text = re.sub(r"^Example: (.+)$", r"Example: `\1`", text, flags=re.MULTILINE)
        parts.append(f"## adr {' '.join(path)}\n\n```\n{usage}\n```\n\n{text}\n")
        if command.params:
            parts.append(_table(command.params))
    return parts


def _argument(parameter: Any) -> str:
    name = str(parameter.metavar or parameter.name.upper())
    if parameter.nargs == -1 and not name.endswith("..."):
        name += "..."
    return name if parameter.required else f"[{name}]"


def _table(parameters: list[Any]) -> str:
    rows = ["| Option or argument | Meaning |", "| --- | --- |"]
    for parameter in parameters:
        if getattr(parameter, "hidden", False):
            continue
        if parameter.param_type_name == "argument":
            name = f"`{_argument(parameter)}`"
        else:
            options = [*parameter.opts, *parameter.secondary_opts]
            name = ", ".join(f"`{option}`" for option in options)
            if not parameter.is_flag and parameter.metavar:
                name += f" `{parameter.metavar}`"
        meaning = " ".join(str(parameter.help or "").split())
        meaning = meaning.replace("|", "\\|")
        rows.append(f"| {name} | {meaning} |")
    return "\n".join(rows) + "\n"


def main() -> None:
    from adrkit.cli.commands import app

    typer.echo(command_reference(app), nl=False)


if __name__ == "__main__":
    main()
