"""Live progress on a terminal; a line now and then elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from waybill.api.schemas import ExportDocument
from waybill.client import ExportClient
from waybill.client.calls import Via
from waybill.client.flows import completed
from waybill.jobs.job import ExportStatus
from waybill.manifest import Manifest
from waybill.results.verify import VerificationReport, verify_file


def export_progress(client: ExportClient, job: ExportDocument, console: Console) -> ExportDocument:
    """Watch a job until it is over; returns it completed.

    Raises:
        ExportEnded: it failed or was cancelled.
    """
    columns = (
        TextColumn("{task.description:>11}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:>11,} rows"),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[eta]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("queued", total=100, rows=0, rate="", eta="")
        for current in client.watch(job.id):
            job = current
            figures = job.progress
            rate, eta = figures.rows_per_second, figures.eta_seconds
            progress.update(
                task,
                description=_describe(job),
                completed=figures.percent or 0,
                rows=figures.rows,
                rate=f"{rate:,.0f} rows/s" if rate else "",
                eta=f"{eta:.0f} s left" if eta is not None else "",
            )
    return completed(job)


def _describe(job: ExportDocument) -> str:
    if job.status is ExportStatus.QUEUED and job.attempt:
        return f"retry {job.attempt + 1}/{job.max_attempts}"
    return job.status.value


def download_progress(
    client: ExportClient,
    job: ExportDocument,
    target: Path,
    console: Console,
    *,
    via: Via | None = None,
) -> None:
    """Download a completed job's file to ``target``."""
    with _bytes_bar(console) as progress:
        task = progress.add_task("download", total=job.bytes)
        client.download(
            job.id,
            target,
            via=via,
            on_bytes=lambda done, _size: progress.update(task, completed=done),
        )
        progress.update(task, completed=job.bytes)


def verify_progress(file: Path, manifest: dict[str, Any], console: Console) -> VerificationReport:
    """Verify ``file``; raises with every finding when it is not what the manifest says."""
    document = Manifest.load(manifest)
    with _bytes_bar(console) as progress:
        task = progress.add_task("verify", total=document.bytes)
        report = verify_file(
            file, document, on_progress=lambda done: progress.update(task, completed=done)
        )
    report.raise_if_failed()
    return report


def _bytes_bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:>11}"),
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
        console=console,
    )
