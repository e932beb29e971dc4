"""The scheduler's Celery tasks, which beat runs itself. None is ``shared`` (``worker.tasks``)."""

from __future__ import annotations

from celery import Celery

from waybill.bootstrap.scheduler import SchedulerParts
from waybill.worker.probe import probe_dependencies
from waybill.worker.runtime import ProcessRuntime

SWEEP = "sweeper.sweep"
CLEAN = "sweeper.clean"
SWEEP_STORAGE = "sweeper.sweep_storage"
MONITOR = "sweeper.monitor"

PROBE = "sweeper.probe"

STORAGE_TASKS = frozenset({SWEEP_STORAGE, PROBE})
"""What waits for object storage: each run apart from what must not wait."""


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
