"""The client's verbs: export a type to a file, verify a file against its manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from waybill.cli.progress import download_progress, export_progress, verify_progress
from waybill.errors import ConfigurationError
from waybill.exports.manifest import Manifest
from waybill.exports.unguard import restore_unguarded

_PANEL = "Export and verify"


def register(app: typer.Typer) -> None:
    """Add the verbs of this file to ``app``."""
    app.command(rich_help_panel=_PANEL)(export)
    app.command(rich_help_panel=_PANEL)(verify)


def manifest_path(file: Path) -> Path:
    """Return where the manifest of ``file`` is kept: beside it."""
    return file.with_name(f"{file.name}.manifest.json")


def export(
    export_type: Annotated[str, typer.Argument(metavar="TYPE", help="What to export: users.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where to write; TYPE.FORMAT by default."),
    ] = None,
    format: Annotated[
        str, typer.Option("--format", "-f", help="csv, json, ndjson or parquet.")
    ] = "csv",
    column: Annotated[
        list[str] | None,
        typer.Option("--column", "-c", help="Only this column; may be given again, in order."),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", help="An option of the format: delimiter=';' or bom=true."),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(envvar="WAYBILL_URL", help="The service; a running `waybill local` if unset."),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(envvar="WAYBILL_TOKEN", help="Bearer token (better in the environment)."),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Fetch this existing export instead of a new one."),
    ] = None,
) -> None:
    """Export TYPE to a file: request, watch, download, verify.

    A download that breaks goes on where it stopped; run again with --resume ID to go on after an
    interruption. The manifest is written beside the file.
    """
    from waybill.client import ExportClient
    from waybill.local.endpoint import find_running

    if url is None:
        running = find_running()
        if running is None:
            raise ConfigurationError(
                "No service to talk to: give --url and --token (or WAYBILL_URL and "
                "WAYBILL_TOKEN), or start one with `waybill local`."
            )
        url, token = running.url, token or running.token
    if not token:
        raise ConfigurationError("Give a bearer token with --token, or set WAYBILL_TOKEN.")
    target = output or Path(f"{export_type}.{format}")
    if not target.parent.is_dir():
        raise ConfigurationError(f"The folder {target.parent} does not exist. Create it first.")
    console = Console(stderr=True, highlight=False)
    with ExportClient(url, token) as client:
        if resume is None:
            job = client.request(
                export_type, format=format, columns=column, options=_options(option or [])
            )
            console.print(f"Export {job.id}", markup=False)
        else:
            job = client.get(resume)
        job = export_progress(client, job, console)
        manifest = client.manifest(job.id)
        manifest_path(target).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        download_progress(client, job, target, console)
    verify_progress(target, manifest, console)
    typer.echo(f"{target}: {job.progress.rows} rows, {job.bytes} bytes, verified")


def verify(
    file: Annotated[Path, typer.Argument(help="The downloaded file.")],
    manifest: Annotated[
        Path | None,
        typer.Argument(help="Its manifest; FILE.manifest.json by default."),
    ] = None,
    unguard: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT",
            help="Also write the file as it would be without the formula guard (CSV only).",
        ),
    ] = None,
) -> None:
    """Prove FILE whole: its length, its SHA-256, every part and every row.

    Exit status 0 when everything agrees, 1 when anything does not, with what and where.
    """
    where = manifest or manifest_path(file)
    for path in (file, where):
        if not path.is_file():
            raise ConfigurationError(f"There is no file {path}.")
    try:
        document: Any = json.loads(where.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as exc:
        raise ConfigurationError(
            f"{where} is not a manifest: it is not JSON. Fetch it again from "
            "/api/exports/ID/manifest."
        ) from exc
    report = verify_progress(file, document, Console(stderr=True, highlight=False))
    typer.echo(f"{file}: {report.rows} rows, {report.bytes} bytes, verified")
    if unguard is not None:
        restored = restore_unguarded(file, Manifest.load(document), unguard)
        typer.echo(f"{unguard}: {restored} cells restored")


def _options(pairs: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator:
            raise ConfigurationError(f"--option {pair!r} must look like NAME=VALUE.")
        options[name] = {"true": True, "false": False}.get(value, value)
    return options
