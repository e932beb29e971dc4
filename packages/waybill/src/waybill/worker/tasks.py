"""Celery tasks: the runner is told that there is work, and nothing else happens here.

None is ``shared``, as Celery's are by default: every other application of the process would have
them too, and one with exports of its own would run those of the first.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from celery import Celery
from celery.exceptions import Reject

from waybill.bootstrap.scheduler import SchedulerParts
from waybill.bootstrap.worker import WorkerParts
from waybill.jobs.queue import RUN_EXPORT
from waybill.log import get_logger
from waybill.run.shutdown import ChildTermination, ShutdownFlag
from waybill.worker.probe import probe_dependencies
from waybill.worker.runtime import ProcessRuntime

log = get_logger(__name__)

SWEEP = "sweeper.sweep"
CLEAN = "sweeper.clean"
SWEEP_STORAGE = "sweeper.sweep_storage"
MONITOR = "sweeper.monitor"

PROBE = "sweeper.probe"

STORAGE_TASKS = frozenset({SWEEP_STORAGE, PROBE})
"""What waits for object storage: each run apart from what must not wait."""


def register_export_task(
    app: Celery,
    runtime: ProcessRuntime[WorkerParts],
    shutdown: ShutdownFlag,
    termination: ChildTermination,
    *,
    name: str = RUN_EXPORT,
    **options: Any,
) -> None:
    """Let ``app`` run exports (the worker); ``options`` are those of a Celery task."""

    @app.task(name=name, shared=False, **options)  # type: ignore[untyped-decorator]
    def run_export(export_id: str) -> None:
        try:
            identifier = UUID(export_id)
        except ValueError:
            # Nobody of ours sent this. Not echoed: it may be anything.
            log.error("export.bad_message")  # noqa: TRY400
            return
        with termination.postponed():
            if shutdown.is_set():
                # Came in while the worker was being told to stop: another worker's, unclaimed.
                raise Reject("The worker is stopping.", requeue=True)
            runtime.run(lambda services: services.runner.run(identifier))


def register_sweeper_tasks(
    app: Celery,
    runtime: ProcessRuntime[SchedulerParts],
    storage_runtime: ProcessRuntime[SchedulerParts],
    probe_runtime: ProcessRuntime[SchedulerParts],
) -> None:
    """Let ``app`` sweep (the scheduler); ``storage_runtime`` and ``probe_runtime`` are for
    ``STORAGE_TASKS`` alone, which run in threads of their own."""

    @app.task(name=SWEEP, shared=False)  # type: ignore[untyped-decorator]
    def sweep() -> None:
        runtime.run(lambda services: services.sweeper.sweep())

    @app.task(name=CLEAN, shared=False)  # type: ignore[untyped-decorator]
    def clean() -> None:
        runtime.run(lambda services: services.sweeper.clean())

    @app.task(name=SWEEP_STORAGE, shared=False)  # type: ignore[untyped-decorator]
    def sweep_storage() -> None:
        storage_runtime.run(lambda services: services.sweeper.sweep_storage())

    @app.task(name=PROBE, shared=False)  # type: ignore[untyped-decorator]
    def probe() -> None:
        probe_runtime.run(probe_dependencies)

    @app.task(name=MONITOR, shared=False)  # type: ignore[untyped-decorator]
    def monitor() -> None:
        runtime.run(lambda services: services.monitor.watch())
