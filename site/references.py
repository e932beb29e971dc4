"""The references that the site has and the repository has not: made from the code at each build."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import typer

from waybill.api.app import create_app
from waybill.bootstrap.api import ApiParts
from waybill.catalog import Catalog, ExportType, TableSource
from waybill.cli.app import app
from waybill.config import Settings


def write(folder: Path) -> None:
    """Write every reference into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "commands.md").write_text(commands(), encoding="utf-8")
    (folder / "api.md").write_text(api(), encoding="utf-8")


# -- commands -----------------------------------------------------------------------------------


def commands() -> str:
    """Every command of ``waybill``, with its arguments and options."""
    group: Any = typer.main.get_command(app)
    return "\n\n".join(["# Commands of `waybill`", *_commands(group, ())]) + "\n"


def _commands(group: Any, above: tuple[str, ...]) -> list[str]:
    parts: list[str] = []
    for name, command in sorted(group.commands.items()):
        path = (*above, name)
        if hasattr(command, "commands"):
            parts += _commands(command, path)
            continue
        parts.append(f"## waybill {' '.join(path)}")
        parts.append(inspect.cleandoc(command.help or ""))
        rows = [_parameter(each) for each in command.params if not getattr(each, "hidden", False)]
        if rows:
            parts.append("\n".join(["| argument or option | meaning |", "|---|---|", *rows]))
    return parts


def _parameter(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        name = f"`{parameter.metavar or parameter.name.upper()}`"
    else:
        name = ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))
    meaning = " ".join(str(parameter.help or "").split())
    return f"| {name} | {_cell(meaning)} |"


# -- the API ------------------------------------------------------------------------------------


def api() -> str:
    """Every operation of the OpenAPI document, with its parameters and answers."""
    document = _openapi()
    parts = [
        "# Operations of the API",
        f"Version {document['info']['version']}. The document itself is at `/openapi.json` of "
        "every service.",
    ]
    for path, item in sorted(document["paths"].items()):
        for method, operation in item.items():
            if method in {"get", "post", "delete", "put", "patch"}:
                parts += _operation(f"{method.upper()} {path}", operation)
    return "\n\n".join(parts) + "\n"


def _openapi() -> dict[str, Any]:
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        database_url="postgresql://nobody@127.0.0.1:9/none",
        redis_url="redis://127.0.0.1:9/0",
        s3_bucket="none",
        development_token="none",  # type: ignore[arg-type]  # noqa: S106 - opens nothing
    )
    catalog = Catalog([ExportType("users", TableSource("public", "users"), key=("id",))])
    return dict(create_app(ApiParts(settings, catalog=catalog)).openapi())


def _operation(title: str, operation: dict[str, Any]) -> list[str]:
    parts = [f"## `{title}`", operation.get("summary", "")]
    parts.append(re.sub(r"^#", "###", operation.get("description", ""), flags=re.MULTILINE))
    rows = [
        f"| `{each['name']}` | {each['in']} | {_cell(each.get('description', ''))} |"
        for each in operation.get("parameters", ())
    ]
    if rows:
        parts.append("\n".join(["| parameter | in | meaning |", "|---|---|---|", *rows]))
    rows = [
        f"| {status} | {_cell(answer.get('description', ''))} |"
        for status, answer in sorted(operation["responses"].items())
    ]
    parts.append("\n".join(["| answer | meaning |", "|---|---|", *rows]))
    return [part for part in parts if part]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
