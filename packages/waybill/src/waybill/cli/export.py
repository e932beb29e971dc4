"""The client's verbs: export a type to a file, verify a file against its manifest."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from waybill.cli.connection import TokenOption, UrlOption, connect
from waybill.cli.exits import NoInput, UsageMistake
from waybill.cli.export_options import read_columns, read_filters, read_options
from waybill.cli.fetch import ForceOption, OutputOption, ViaOption, fetch, read_via
from waybill.cli.output import people_console
from waybill.cli.target import PIPE, Target, manifest_path
from waybill.client.progress import verify_progress
from waybill.manifest import Manifest
from waybill.results.unguard import restore_unguarded
from waybill.storage.disposition import safe_file_name

if TYPE_CHECKING:
    from waybill.api.schemas import ExportDocument
    from waybill.client.calls import RequestOptions

_PANEL = "Export and verify"


def register(app: typer.Typer) -> None:
    """Add the verbs of this file to ``app``."""
    app.command(rich_help_panel=_PANEL)(export)
    app.command(rich_help_panel=_PANEL)(verify)


def export(
    export_type: Annotated[str, typer.Argument(metavar="TYPE", help="What to export: users.")],
    output: OutputOption = None,
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
    url: UrlOption = None,
    token: TokenOption = None,
    force: ForceOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what the export would be, as JSON; make none.")
    ] = False,
    resume: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Fetch this existing export instead of a new one."),
    ] = None,
    via: ViaOption = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="The same key makes the same export once (24 hours)."),
    ] = None,
) -> None:
    """Export TYPE to a file: request, watch, download, verify.

    A download that breaks goes on where it stopped; when it is interrupted, the command to go on
    with is shown. The manifest is written beside the file. `-o -` writes the proven file to
    standard output.

    Exit status, after sysexits.h: 0 the file is here and whole; 1 there is no such file, as the
    message says; 64 the command line or the request is wrong; 73 the file cannot be written there;
    74 the disk or the pipe failed; 75 try again later (quota used up, service busy or out of
    reach); 77 not allowed; 78 a setting is missing; 130 interrupted.
    """
    request: RequestOptions = {
        "format": format,
        "columns": read_columns(column or []),
        "filters": read_filters(filter or []),
        "since": since,
        "compression": compression,
        "options": read_options(option or []),
    }
    way = read_via(via)
    with connect(url, token) as client:
        if dry_run:
            typer.echo(client.preview(export_type, **request).model_dump_json(indent=2))
            return
        # Before the request: one that cannot be written is spent for nothing.
        target = None
        if str(output) != PIPE:
            default = Path(_default_name(export_type, format, compression))
            target = Target.checked(output or default, force=force)
        if resume is None:
            job = client.request(export_type, idempotency_key=idempotency_key, **request)
            typer.echo(f"Export {job.id}", err=True)
        else:
            job = client.get(resume)
            _require_same(job, export_type, format)
        where = ["-o", PIPE if target is None else str(target.path)]
        again = ["waybill", "export", export_type, "--format", format, *where]
        fetch(client, job, target, via=way, again=shlex.join([*again, "--resume", str(job.id)]))


def _require_same(job: ExportDocument, export_type: str, format: str) -> None:
    if (job.type, job.format) != (export_type, format):
        raise UsageMistake(
            f"Export {job.id} is of {job.type!r} as {job.format}, and you ask for {export_type!r} "
            f"as {format}. Go on with it: waybill export {job.type} --format {job.format} "
            f"--resume {job.id}"
        )


def _default_name(export_type: str, format: str, compression: str | None) -> str:
    suffix = {"gzip": ".gz", "zstd": ".zst"}.get(compression or "", "")
    return safe_file_name(f"{export_type}.{format}{suffix}")


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
            raise NoInput(f"There is no file {path}.")
    try:
        document: Any = json.loads(where.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as exc:
        raise NoInput(
            f"{where} is not a manifest: it is not JSON. Fetch it again from "
            "/api/exports/ID/manifest."
        ) from exc
    report = verify_progress(file, document, people_console())
    typer.echo(f"{file}: {report.rows} rows, {report.bytes} bytes, verified")
    if unguard is not None:
        restored = restore_unguarded(file, Manifest.load(document), unguard)
        typer.echo(f"{unguard}: {restored} cells restored")
