"""Watch an export to its end, fetch its file, prove it: what `export` and `download` share."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console

from waybill.cli.exits import UsageMistake
from waybill.cli.output import people_console
from waybill.cli.target import PIPE, Target
from waybill.client.errors import ConnectionLost, ServerUnreachable
from waybill.client.progress import download_progress, export_progress, verify_progress
from waybill.private_files import write_private

if TYPE_CHECKING:
    from waybill.api.schemas import ExportDocument
    from waybill.client import ExportClient
    from waybill.client.calls import Via

OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help=f"Where to write; TYPE.FORMAT by default, {PIPE} for standard output.",
    ),
]
ViaOption = Annotated[
    str | None,
    typer.Option(
        metavar="redirect|stream",
        help="Download by a short-lived link, or through the service; its own choice if unset.",
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")]


def read_via(via: str | None) -> Via | None:
    """Return what ``--via`` says.

    Raises:
        UsageMistake
    """
    if via not in {None, "redirect", "stream"}:
        raise UsageMistake("--via must be redirect or stream.")
    return cast("Via | None", via)


def fetch(
    client: ExportClient,
    job: ExportDocument,
    target: Target | None,
    *,
    via: Via | None,
    again: str,
) -> None:
    """Wait for ``job``, download its file, and verify it; ``None`` as target is standard output.

    Args:
        again: the command that goes on with this export, shown when it is interrupted.

    Raises:
        ExportEnded: there is no file.
        CannotCreate: the disk has no room for it.
        DownloadBroken, VerificationFailed: what arrived is not what was exported.
    """
    console = people_console()
    try:
        job = export_progress(client, job, console)
        if target is None:
            rows, size = _to_pipe(client, job, via, console)
            typer.echo(f"{rows} rows, {size} bytes, verified", err=True)
            return
        target.check_room(job.bytes or 0)
        manifest = client.manifest(job.id)
        # The manifest last: until the file is whole nothing lies here but a part of it, so that
        # the same command goes on with it and replaces nothing.
        download_progress(client, job, target.path, console, via=via)
        write_private(target.manifest, json.dumps(manifest, indent=2) + "\n")
    except (KeyboardInterrupt, ConnectionLost, ServerUnreachable, OSError):
        console.print(f"Go on with it: {again}", markup=False, soft_wrap=True)
        raise
    verify_progress(target.path, manifest, console)
    typer.echo(f"{target.path}: {job.progress.rows} rows, {job.bytes} bytes, verified")


def _to_pipe(
    client: ExportClient, job: ExportDocument, via: Via | None, console: Console
) -> tuple[int | None, int]:
    """Write a proven file to standard output: it is fetched and verified first, so that whoever
    reads the pipe never gets a byte of a file that is not whole."""
    with tempfile.TemporaryDirectory(prefix="waybill-") as folder:
        file = Path(folder) / "export"
        manifest = client.manifest(job.id)
        download_progress(client, job, file, console, via=via)
        report = verify_progress(file, manifest, console)
        with file.open("rb") as source:
            shutil.copyfileobj(source, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    return report.rows, report.bytes
