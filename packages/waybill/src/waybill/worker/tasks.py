"""Celery tasks: a job's id goes to the runner, and nothing else happens here."""

from __future__ import annotations

from uuid import UUID

from celery import Celery

from waybill.exports.queue import RUN_EXPORT
from waybill.worker.runtime import ProcessRuntime

SWEEP = "sweeper.sweep"
CLEAN = "sweeper.clean"
CLEAN_UPLOADS = "sweeper.clean_uploads"


def register_export_task(app: Celery, runtime: ProcessRuntime) -> None:
    """Let ``app`` run exports (the worker)."""

    @app.task(name=RUN_EXPORT)  # type: ignore[untyped-decorator]
    def run_export(export_id: str) -> None:
        identifier = UUID(export_id)
        runtime.run(lambda services: services.runner.run(identifier))


def register_sweeper_tasks(app: Celery, runtime: ProcessRuntime) -> None:
    """Let ``app`` sweep (the scheduler)."""

    @app.task(name=SWEEP)  # type: ignore[untyped-decorator]
    def sweep() -> None:
        runtime.run(lambda services: services.sweeper.sweep())

    @app.task(name=CLEAN)  # type: ignore[untyped-decorator]
    def clean() -> None:
        runtime.run(lambda services: services.sweeper.clean())

    @app.task(name=CLEAN_UPLOADS)  # type: ignore[untyped-decorator]
    def clean_uploads() -> None:
        runtime.run(lambda services: services.sweeper.clean_uploads())
