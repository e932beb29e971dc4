"""adr template show"""

from __future__ import annotations

from typing import Annotated

import typer

from adrkit.cli.app import app, say, workspace
from adrkit.templates import TemplateValues, render, template_source

template_app = typer.Typer(help="The template of new records.", no_args_is_help=True)
app.add_typer(template_app, name="template")


@template_app.command("show")
def show_template(
    ctx: typer.Context,
    house: Annotated[
        bool, typer.Option("--house", help="The house template, whatever the settings say.")
    ] = False,
    source: Annotated[
        bool, typer.Option("--source", help="Before rendering: a start for a template of your own.")
    ] = False,
) -> None:
    """Print the template that `adr new` uses, with its placeholders.

    Your own: adr template show --source > docs/adr/template.md, edit it, and set
    template = "docs/adr/template.md" in adrkit.toml or [tool.adrkit].
    """
    path = None if house else workspace(ctx).config.template
    text = template_source(path) if source else render(path, TemplateValues())
    say(text.removesuffix("\n"))
