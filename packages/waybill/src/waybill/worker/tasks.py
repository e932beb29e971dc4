"""The worker's Celery task: the runner is told that there is work, and nothing else happens here.

It is not ``shared``, as Celery's are by default: every other application of the process would have
it too, and one with exports of its own would run those of the first.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from celery import Celery
from celery.exceptions import Reject

from waybill.bootstrap.worker import WorkerParts
from waybill.jobs.queue import RUN_EXPORT
from waybill.log import get_logger
from waybill.run.shutdown import ChildTermination, ShutdownFlag
from waybill.worker.runtime import ProcessRuntime

log = get_logger(__name__)


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
