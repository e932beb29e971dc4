"""The client's verbs: export a type to a file, verify a file against its manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console

from waybill.cli.export_options import read_columns, read_filters, read_options
from waybill.client.errors import ConnectionLost, ServerUnreachable
from waybill.client.progress import download_progress, export_progress, verify_progress
from waybill.errors import ConfigurationError
from waybill.manifest import Manifest
from waybill.private_files import write_private
from waybill.results.unguard import restore_unguarded

if TYPE_CHECKING:
    from waybill.client.calls import RequestOptions, Via

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
        str, typer.Option("--format", "-f", help="csv, json, ndjson, parquet or xlsx.")
    ] = "csv",
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            "-c",
            metavar="NAME[=HEADER]",
            help="Only this column, under this header; again for more, in order.",
        ),
    ] = None,
    filter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[.OP]=VALUE",
            help="Only rows like this: country=DE, age.gte=18, country.in=DE,FR, "
            'left_at.is_null=true, zip="04109".',
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only rows changed since: 2026-05-01T00:00:00Z."),
    ] = None,
    compression: Annotated[
        str | None, typer.Option(metavar="gzip|zstd", help="Compress the file.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="An option of the format: delimiter=';' or bom=true."
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(envvar="WAYBILL_URL", help="The service; a running `waybill local` if unset."),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(envvar="WAYBILL_TOKEN", help="Bearer token (better in the environment)."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what the export would be, as JSON; make none.")
    ] = False,
    resume: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Fetch this existing export instead of a new one."),
    ] = None,
    via: Annotated[
        str | None,
        typer.Option(
            metavar="redirect|stream",
            help="Download by a short-lived link, or through the service; its own choice if unset.",
        ),
    ] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="The same key makes the same export once (24 hours)."),
    ] = None,
) -> None:
    """Export TYPE to a file: request, watch, download, verify.

    A download that breaks goes on where it stopped; run again with --resume ID to go on after an
    interruption. The manifest is written beside the file.

    Exit status: 0 the file is here and whole; 1 it cannot be had, as the message says; 2 the
    command line is wrong; 75 try again later (quota used up, service busy or out of reach); 130
    interrupted.
    """
    from waybill.client import ExportClient

    request: RequestOptions = {
        "format": format,
        "columns": read_columns(column or []),
        "filters": read_filters(filter or []),
        "since": since,
        "compression": compression,
        "options": read_options(option or []),
    }
    if via not in {None, "redirect", "stream"}:
        raise ConfigurationError("--via must be redirect or stream.")
    with ExportClient(*_service(url, token)) as client:
        if dry_run:
            typer.echo(client.preview(export_type, **request).model_dump_json(indent=2))
            return
        target = output or Path(_default_name(export_type, format, compression))
        if not target.parent.is_dir():
            raise ConfigurationError(f"The folder {target.parent} does not exist. Create it first.")
        console = Console(stderr=True, highlight=False)
        if resume is None:
            job = client.request(export_type, idempotency_key=idempotency_key, **request)
            console.print(f"Export {job.id}", markup=False)
        else:
            job = client.get(resume)
        try:
            job = export_progress(client, job, console)
            manifest = client.manifest(job.id)
            write_private(manifest_path(target), json.dumps(manifest, indent=2) + "\n")
            download_progress(client, job, target, console, via=cast("Via | None", via))
        except (KeyboardInterrupt, ConnectionLost, ServerUnreachable):
            console.print(f"Resume it: waybill export {export_type} --resume {job.id}")
            raise
    verify_progress(target, manifest, console)
    typer.echo(f"{target}: {job.progress.rows} rows, {job.bytes} bytes, verified")


def _service(url: str | None, token: str | None) -> tuple[str, str]:
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
    return url, token


def _default_name(export_type: str, format: str, compression: str | None) -> str:
    suffix = {"gzip": ".gz", "zstd": ".zst"}.get(compression or "", "")
    return f"{export_type}.{format}{suffix}"


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
