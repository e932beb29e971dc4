"""The client's smaller verbs: what may be exported, what became of it, fetch it, stop it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from waybill.cli.connection import TokenOption, UrlOption, connect
from waybill.cli.fetch import ForceOption, OutputOption, ViaOption, fetch, read_via
from waybill.cli.output import moment_text, output_console, print_json
from waybill.cli.target import PIPE, Target
from waybill.storage.disposition import safe_file_name

if TYPE_CHECKING:
    from waybill.api.schemas import ExportDocument
    from waybill.client import ExportClient

_PANEL = "Look after exports"

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The export.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one document.")]


def register(app: typer.Typer) -> None:
    """Add the verbs of this file to ``app``."""
    for name, verb in (
        ("types", types),
        ("list", list_),
        ("status", status),
        ("cancel", cancel),
        ("download", download),
        ("quota", quota),
    ):
        app.command(name, rich_help_panel=_PANEL)(verb)


def types(url: UrlOption = None, token: TokenOption = None, as_json: JsonOption = False) -> None:
    """Show what you may export: types, their columns and filters, and the formats."""
    with connect(url, token) as client:
        offer = client.catalog()
    if as_json:
        typer.echo(offer.model_dump_json(indent=2))
        return
    rows = []
    for each in offer.types:
        columns = [f"{c.name} ({c.scope})" if c.scope else c.name for c in each.columns or ()]
        filters = [f.name for f in each.filters]
        rows.append(
            (
                each.name,
                ", ".join(columns) or "all of the source",
                ", ".join(filters),
                "yes" if each.has_since else "",
            )
        )
    _print_table(("TYPE", "COLUMNS", "FILTERS", "SINCE"), rows, none="You may export no type.")
    typer.echo(f"formats: {', '.join(offer.formats)}", err=True)


def list_(
    status: Annotated[
        str | None,
        typer.Option(help="Only these: queued, running, completed, failed, cancelled, expired."),
    ] = None,
    export_type: Annotated[
        str | None, typer.Option("--type", help="Only exports of this type.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only created since: 2026-05-01T00:00:00Z."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 20,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List your exports, newest first."""
    found: list[ExportDocument] = []
    with connect(url, token) as client:
        for job in client.list(status=status, type=export_type, since=since):
            if len(found) == limit:
                typer.echo(f"There are more; raise --limit from {limit}.", err=True)
                break
            found.append(job)
    if as_json:
        print_json([job.model_dump(mode="json") for job in found])
        return
    rows = [
        (
            str(job.id),
            job.type,
            job.format,
            job.status.value,
            f"{job.progress.rows:,}",
            moment_text(job.created_at),
            moment_text(job.expires_at),
        )
        for job in found
    ]
    _print_table(
        ("ID", "TYPE", "FORMAT", "STATUS", "ROWS", "CREATED", "EXPIRES"),
        rows,
        none="There are no such exports.",
    )


def status(
    export_id: IdArgument,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how an export stands, and what to do next."""
    with connect(url, token) as client:
        job = client.get(export_id)
    if as_json:
        typer.echo(job.model_dump_json(indent=2))
        return
    _print_job(job)


def cancel(export_id: IdArgument, url: UrlOption = None, token: TokenOption = None) -> None:
    """Cancel an export that is not done yet, or delete the file of one that is."""
    with connect(url, token) as client:
        job = client.discard(export_id)
    typer.echo(f"{job.id}: {job.status.value}")


def download(
    export_id: IdArgument,
    output: OutputOption = None,
    via: ViaOption = None,
    force: ForceOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Fetch the file of an export, waiting for it if need be, and verify it.

    Run again to go on where a broken download stopped. `-o -` writes to standard output.
    """
    way = read_via(via)
    with connect(url, token) as client:
        job = client.get(export_id)
        target = None
        if str(output) != PIPE:
            default = Path(_name_of(client, job))
            target = Target.checked(output or default, force=force)
        fetch(client, job, target, via=way, again=f"waybill download {job.id}")


def _name_of(client: ExportClient, job: ExportDocument) -> str:
    name = f"{job.type}.{job.format}"
    if job.links.manifest:
        name = str(client.manifest(job.id).get("file_name") or name)
    return safe_file_name(name)  # whatever a service says, it stays in this folder


def quota(url: UrlOption = None, token: TokenOption = None, as_json: JsonOption = False) -> None:
    """Show how many exports you have left, and when the next comes back."""
    with connect(url, token) as client:
        document = client.quota()
    if as_json:
        typer.echo(document.model_dump_json(indent=2))
        return
    rows = []
    for item in document.items:
        left, back = "any number", ""
        if item.quota is not None:
            left = f"{item.quota.remaining} of {item.quota.limit}"
            back = "" if item.quota.remaining else f"{item.quota.resets_in_seconds} s"
        rows.append((", ".join(item.types), left, back))
    _print_table(("TYPES", "LEFT", "NEXT IN"), rows, none="You may export no type.")


def _print_job(job: ExportDocument) -> None:
    console = output_console()
    console.print(f"Export {job.id}", style="bold", markup=False)
    figures = job.progress
    facts: list[tuple[str, Any]] = [
        ("type", f"{job.type} ({job.format})"),
        ("status", job.status.value),
        ("rows", f"{figures.rows:,}"),
        ("percent", None if figures.percent is None else f"{figures.percent:.0f}"),
        ("created", moment_text(job.created_at)),
        ("finished", moment_text(job.finished_at)),
        ("expires", moment_text(job.expires_at)),
        ("bytes", None if job.bytes is None else f"{job.bytes:,}"),
        ("SHA-256", job.sha256),
        ("why", f"{job.error.detail} ({job.error.code})" if job.error else None),
        ("fetch it", f"waybill download {job.id}" if job.links.download else None),
    ]
    for name, value in facts:
        if value:
            console.print(f"  {name:<9} {value}", markup=False, soft_wrap=True)


def _print_table(titles: Sequence[str], rows: Sequence[Sequence[str]], *, none: str) -> None:
    if not rows:
        typer.echo(none, err=True)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        # Names may hold brackets, which are no markup here.
        table.add_row(*(_plain(cell) for cell in row))
    output_console().print(table)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
