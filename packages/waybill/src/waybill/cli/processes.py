"""The service's own processes: api, worker, scheduler, and migrate."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from waybill.cli.startup import refuse_unknown_variables, settings_to_start
from waybill.config import load_settings

_PANEL = "Run the service"

MetricsPort = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        help="Serve figures for Prometheus there (0: a free one); WAYBILL_METRICS_PORT if unset.",
    ),
]


def _metrics(port: int | None) -> dict[str, Any]:
    return {} if port is None else {"metrics_port": port}


def register(app: typer.Typer) -> None:
    """Add the verbs of this file to ``app``."""
    app.command(rich_help_panel=_PANEL)(api)
    app.command(rich_help_panel=_PANEL)(worker)
    app.command(rich_help_panel=_PANEL)(scheduler)
    app.command(rich_help_panel=_PANEL)(migrate)


def api(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    metrics_port: MetricsPort = None,
) -> None:
    """Serve the HTTP API.

    Settings come from WAYBILL_… in the environment or .env; see docs/configuration.md.
    """
    from waybill.api.serve import serve

    settings = settings_to_start(**_metrics(metrics_port))
    if settings.pages:
        from waybill.web.pages import install

        serve(settings, host=host, port=port, extend=install)
    else:
        serve(settings, host=host, port=port)


def worker(
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, help="Exports at a time; WAYBILL_WORKER_CONCURRENCY by default."),
    ] = None,
    metrics_port: MetricsPort = None,
) -> None:
    """Run exports (a Celery worker).

    SIGTERM is kind: exports that do not finish within the grace period go back to the queue and
    no attempt is spent.
    """
    # First, so that the process that looks at the settings need not import it once more.
    from waybill.worker.main import run_worker

    given: dict[str, Any] = {"worker_concurrency": concurrency} if concurrency else {}
    settings = settings_to_start(forks=True, **given, **_metrics(metrics_port))
    run_worker(settings)


def scheduler(metrics_port: MetricsPort = None) -> None:
    """Run the sweeper (Celery beat): lost jobs, retries, expiry. Run one; two do no harm."""
    from waybill.worker.scheduler import run_scheduler

    settings = settings_to_start(reads_sources=False, **_metrics(metrics_port))
    run_scheduler(settings)


def migrate(
    revision: Annotated[
        str, typer.Argument(help="The revision to go to, if not this version's own: 0012.")
    ] = "head",
) -> None:
    """Bring waybill's database to this version's schema. Safe to run again, and by several at once.

    It never goes back: that would throw data away. Restore a backup instead.
    """
    from waybill.migrations.run import migrate as apply

    settings = load_settings()
    refuse_unknown_variables()
    typer.echo(f"The database is at {apply(settings, revision)}.")
