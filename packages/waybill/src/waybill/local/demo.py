"""The demo: users from PostgreSQL through HTTP, queue, worker and S3 to a verified file."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from waybill.client import ClientError, ExportClient
from waybill.client.progress import download_progress, export_progress, verify_progress
from waybill.formats import get_encoder
from waybill.local.sample import create_users, sample_catalog_toml
from waybill.local.service_stack import running_service
from waybill.local.signals import orderly_exit
from waybill.local.stack import LocalStack
from waybill.private_files import write_private


@dataclass(frozen=True, slots=True)
class Demonstrated:
    """What the demo did, in one line, and the file that it left."""

    line: str
    file: Path


def run_demo(*, users: int, format: str, data_dir: Path, console: Console) -> Demonstrated:
    """Run the demo.

    Raises:
        WaybillError: anything at all fell short.
    """
    extension = get_encoder(format).extension  # an unknown format ends here, before anything starts
    with orderly_exit():
        console.print("Starting PostgreSQL, Valkey and S3 ...")
        with LocalStack(data_dir) as stack:
            make_users(stack.addresses.postgres_dsn, users, console)
            catalog = write_sample_catalog(stack.data_dir)
            console.print("Starting API, worker and scheduler ...")
            with running_service(stack, catalog=str(catalog)) as service:
                target = data_dir / f"users.{extension}"
                with ExportClient(service.endpoint.url, service.endpoint.token) as client:
                    rows, seconds = _export(client, format, target, console)
            console.print("Stopping everything ...")
    if rows != users:
        raise ClientError(f"The file holds {rows} users instead of {users}.")
    return Demonstrated(
        f"waybill demo: {rows} users, {format}, {seconds:.1f} s, verified, {target}", target
    )


def next_lines(file: Path) -> list[str]:
    """Return what to try next: three commands, each with what it is for."""
    # Where nothing was activated, as behind `make demo`, the name alone would not be found.
    found = shutil.which("waybill")
    command = "waybill" if found else os.path.relpath(Path(sys.executable).with_name("waybill"))
    return [
        "",
        "Next:",
        f"  {command} verify {shlex.quote(str(file))}",
        "      proves the file again, and finds a byte that you change",
        f"  {command} local",
        "      the same service to call and to click, until Ctrl-C",
        f"  {command} init --dsn postgresql://you@host/database",
        "      your own tables instead: docs/tutorial.md",
    ]


def make_users(dsn: str, users: int, console: Console) -> None:
    """Make the sample users, with a progress bar; those already there are kept."""
    columns = (
        TextColumn("{task.description:>11}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed:>11,.0f} users"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("users", total=users)
        create_users(dsn, users, lambda done, _count: progress.update(task, completed=done))
        progress.update(task, completed=users)


def write_sample_catalog(data_dir: Path) -> Path:
    """Write the catalog of the sample users and return where."""
    path = data_dir / "sample.toml"
    write_private(path, sample_catalog_toml())
    return path


def _export(
    client: ExportClient,
    format: str,
    target: Path,
    console: Console,
) -> tuple[int, float]:
    started = time.monotonic()
    job = export_progress(client, client.request("users", format=format), console)
    seconds = time.monotonic() - started
    manifest = client.manifest(job.id)
    write_private(
        target.with_name(f"{target.name}.manifest.json"), json.dumps(manifest, indent=2) + "\n"
    )
    download_progress(client, job, target, console)
    report = verify_progress(target, manifest, console)
    return report.rows or 0, seconds
