"""Starts the worker: the process that takes messages, and the children that run exports."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from celery import Celery, signals

from waybill.bootstrap.parts import parts_factory
from waybill.bootstrap.worker import WorkerParts
from waybill.config import Settings
from waybill.errors import WorkerFailed
from waybill.formats import missing
from waybill.jobs.celery_app import create_celery, keep_our_logging, refuse_cluster
from waybill.jobs.queue_name import wait_for_queue_name
from waybill.log import get_logger
from waybill.metrics.definitions import CONCURRENCY
from waybill.metrics.recording import record, use
from waybill.metrics.serving import serve_family
from waybill.run.shutdown import ChildTermination, ShutdownFlag
from waybill.worker.memory import share_what_is_there
from waybill.worker.runtime import ProcessRuntime
from waybill.worker.tasks import register_export_task
from waybill.worker.temporary import require_temporary_directory

log = get_logger(__name__)

_RELEASE_SECONDS = 10.0


def run_worker(settings: Settings) -> None:
    """Run exports until told to stop."""
    if (lacking := missing()) is not None:
        # The API may have them, and take requests that fail here.
        log.warning("worker.formats_missing", problem=lacking)
    WorkerParts(settings)  # connects to nothing; a wrong catalog or hook ends the command here
    require_temporary_directory()
    app = create_celery(settings, wait_for_queue_name(settings.database_dsn, settings.own_schema))
    refuse_cluster(app)
    # Made before the fork and shared by it: the parent raises it, the children see it.
    shutdown = ShutdownFlag()
    termination = ChildTermination(shutdown)
    build = parts_factory(WorkerParts, settings, celery=app, shutdown=shutdown)
    runtime = ProcessRuntime(build)
    register_export_task(app, runtime, shutdown, termination)

    metrics = serve_family(settings)
    record(CONCURRENCY, settings.worker_concurrency)

    def on_shutdown(**_: Any) -> None:
        shutdown.set()

    def on_process_init(**_: Any) -> None:
        termination.install()
        if metrics is not None:
            family, server = metrics
            server.forget()
            use(family)
        # A child is made when another one ends, so nobody waits for this.
        runtime.run(lambda services: services.warm_up(with_queue=False))
        runtime.run(_release_dead_siblings)

    def on_process_shutdown(**_: Any) -> None:
        runtime.close()

    def on_ready(**_: Any) -> None:
        log.info("worker.ready", concurrency=settings.worker_concurrency)

    keep_our_logging()
    signals.worker_shutting_down.connect(on_shutdown, weak=False)
    signals.worker_before_create_process.connect(share_what_is_there, weak=False)
    signals.worker_process_init.connect(on_process_init, weak=False)
    signals.worker_process_shutdown.connect(on_process_shutdown, weak=False)
    signals.worker_ready.connect(on_ready, weak=False)
    worker = _worker_class(app, shutdown)(
        loglevel=settings.log_level,
        concurrency=settings.worker_concurrency,
        without_gossip=True,
        without_mingle=True,
        # On a shared broker these would be told to an application's own monitor.
        without_heartbeat=True,
        # Queues come from the settings; nobody else's messages are ours.
        queues=[app.conf.task_default_queue],
        quiet=True,
    )
    run_to_end(worker, shutdown)


def run_to_end(worker: Any, shutdown: ShutdownFlag) -> None:
    """Run Celery's worker until it ends.

    Raises:
        WorkerFailed: nobody had asked it to.
    """
    worker.start()
    if worker.exitcode and not shutdown.is_set():
        raise WorkerFailed


async def _release_dead_siblings(services: WorkerParts) -> None:
    # It asks storage, and a child that does not come up in time is replaced itself.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_RELEASE_SECONDS):
            await services.runner.release_dead_siblings()


def _worker_class(app: Celery, shutdown: ShutdownFlag) -> Any:
    """Return Celery's worker, which in a cold shutdown (SIGQUIT, a second Ctrl-C) tells nobody
    before its waiting time is over: exports are to use that time to get back to the queue."""

    class ExportWorker(app.Worker):  # type: ignore[misc]
        def wait_for_soft_shutdown(self) -> None:
            shutdown.set()
            super().wait_for_soft_shutdown()

    return ExportWorker
