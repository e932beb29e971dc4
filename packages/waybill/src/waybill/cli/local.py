"""Everything on one machine: the service in the foreground, and the demo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from waybill.cli.output import people_console
from waybill.cli.source_dsn import AskPassword, DsnFile, read_dsn
from waybill.errors import ConfigurationError

_PANEL = "Try it on this machine"


def register(app: typer.Typer) -> None:
    """Add the verbs of this file to ``app``."""
    app.command(rich_help_panel=_PANEL)(local)
    app.command(rich_help_panel=_PANEL)(demo)


def local(
    catalog: Annotated[
        str | None,
        typer.Option(help="waybill.toml or package.module:catalog; sample users if there is none."),
    ] = None,
    source_dsn: Annotated[
        str | None,
        typer.Option(
            help="Export from this database instead of the own one; WAYBILL_SOURCE_DSN if unset. "
            "No password here.",
        ),
    ] = None,
    source_dsn_file: DsnFile = None,
    ask_password: AskPassword = False,
    host: Annotated[str, typer.Option(help="Address of the API.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the API; a free one if unset.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Exports at a time.")] = 2,
    data_dir: Annotated[Path, typer.Option(help="Where everything is kept.")] = Path(".waybill"),
) -> None:
    """Run the whole service in the foreground: PostgreSQL, Valkey, S3, API, worker, scheduler.

    Needs no Docker and no configuration. Data stay in .waybill between runs; Ctrl-C stops all.
    """
    with _installed():
        from waybill.local.foreground import run_in_foreground

    run_in_foreground(
        catalog=catalog,
        source_dsn=read_dsn(
            "--source-dsn", source_dsn, file=source_dsn_file, ask_password=ask_password
        ),
        host=host,
        port=port,
        concurrency=concurrency,
        data_dir=data_dir,
        console=people_console(),
    )


def demo(
    users: Annotated[int, typer.Option(min=0, help="How many users to make.")] = 100_000,
    format: Annotated[
        str, typer.Option("--format", "-f", help="csv, json, ndjson, parquet or xlsx.")
    ] = "csv",
    data_dir: Annotated[Path, typer.Option(help="Where everything is kept.")] = Path(".waybill"),
) -> None:
    """Export made-up users end to end: request, watch, download, verify.

    Starts real PostgreSQL, Valkey and S3 and the service's real processes, and stops what it
    started. The file and its manifest stay in the data directory.
    """
    with _installed():
        from waybill.local.demo import next_lines, run_demo

    console = people_console()
    done = run_demo(users=users, format=format, data_dir=data_dir, console=console)
    typer.echo(done.line)
    for line in next_lines(done.file):
        console.print(line, markup=False, soft_wrap=True)


@contextmanager
def _installed() -> Iterator[None]:
    """Say what brings the embedded services where they, or what they need, are not installed."""
    try:
        yield
    except ModuleNotFoundError as exc:
        raise ConfigurationError(
            "The embedded services are not installed here: pip install 'waybill[local]' brings "
            "them."
        ) from exc
