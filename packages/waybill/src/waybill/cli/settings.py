"""``waybill settings``: every variable, its default and its meaning, as the code has them."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

_PANEL = "Run the service"
_FAMILIES = {"source_dsns": "source_dsn_<name>"}
"""Settings of which there may be any number, each a variable."""


def register(app: typer.Typer) -> None:
    """Add the verb of this file to ``app``."""
    app.command(rich_help_panel=_PANEL)(settings)


def settings(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="As docs/configuration.md has it.")
    ] = False,
) -> None:
    """List every setting: its variable, its default, what it is for."""
    rows = reference()
    if markdown:
        typer.echo(as_markdown(rows), nl=False)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("variable", "default", "meaning", show_lines=True)
    for variable, default, meaning in rows:
        table.add_row(variable, default, meaning)
    Console().print(table, markup=False)


def reference() -> list[tuple[str, str, str]]:
    """Return (variable, default, meaning) of every setting, in the order of the code."""
    from waybill.api.jwt_settings import JwtSettings
    from waybill.api.oidc_settings import OidcSettings
    from waybill.config import Settings

    models: tuple[type[BaseSettings], ...] = (Settings, JwtSettings, OidcSettings)
    return [
        (
            f"{model.model_config.get('env_prefix', '')}{_FAMILIES.get(name, name)}".upper(),
            "unset" if name in _FAMILIES else _default(field),
            " ".join((field.description or "").split()),
        )
        for model in models
        for name, field in model.model_fields.items()
    ]


def as_markdown(rows: list[tuple[str, str, str]]) -> str:
    """Return the whole of docs/configuration.md."""
    lines = [
        "# Configuration",
        "",
        "Every setting is a variable of the environment, or a line of `.env` in the working",
        "directory; all are read and checked at start. `waybill local` and `make demo` need none.",
        "",
        "This page is what `waybill settings --markdown` prints; a test holds the two equal.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    lines += [f"| `{v}` | {_cell(d)} | {_cell(m)} |" for v, d, m in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("``", "`")


def _default(field: FieldInfo) -> str:
    value: Any = field.get_default(call_default_factory=False)
    if value is PydanticUndefined or field.is_required():
        return "required"
    if value is None:
        return "unset"
    if isinstance(value, tuple | list | frozenset):
        return ",".join(str(each) for each in value) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    # A secret with a default has nothing to hide: it is in the code.
    shown = value.get_secret_value() if hasattr(value, "get_secret_value") else value
    return str(shown) or "empty"
