"""Starts the scheduler: Celery beat, with one change: the sweeper runs in beat's own process.

A sweeper that travels through the broker cannot mend a broker that lost its messages, and would
queue behind the very exports it watches. What asks storage has a lane of its own: an S3 that hangs
(its read timeout is 60 s) must not keep lost jobs from being found.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from celery import Celery
from celery.beat import ScheduleEntry, Scheduler

from waybill.bootstrap.parts import parts_factory
from waybill.bootstrap.scheduler import DeliveryParts, SchedulerParts
from waybill.config import Settings
from waybill.jobs.celery_app import create_celery, keep_our_logging, refuse_cluster
from waybill.log import get_logger
from waybill.metrics.definitions import FALLBACK_LIMIT
from waybill.metrics.recording import record
from waybill.metrics.serving import serve_metrics
from waybill.notify.notifications import Notifications
from waybill.notify.thread import DeliveryThread
from waybill.worker.runtime import ProcessRuntime
from waybill.worker.sweeper_tasks import (
    CLEAN,
    MONITOR,
    PROBE,
    STORAGE_TASKS,
    SWEEP,
    SWEEP_STORAGE,
    register_sweeper_tasks,
)

log = get_logger(__name__)

_CLEAN_SECONDS = 30
_STORAGE_SECONDS = 30


def run_scheduler(settings: Settings) -> None:
    """Run the sweeper until told to stop."""
    SchedulerParts(settings)  # as the worker
    app = create_celery(settings)
    refuse_cluster(app)
    build = parts_factory(SchedulerParts, settings)
    runtime = ProcessRuntime(build)
    register_sweeper_tasks(app, runtime, ProcessRuntime(build), ProcessRuntime(build))
    serve_metrics(settings)
    record(FALLBACK_LIMIT, settings.fallback_total_bytes)
    schedule_sweeper(app, settings)
    keep_our_logging()
    # In a thread of their own: a slow receiver takes up to half a minute, a sweep may not.
    deliveries = DeliveryThread(
        lambda: _notifications(settings), interval_seconds=settings.notify_seconds
    )
    deliveries.start()
    log.info("scheduler.ready")
    try:
        app.Beat(
            scheduler_cls=InProcessScheduler,
            loglevel=settings.log_level,
            max_interval=settings.sweep_seconds,
            quiet=True,
            redirect_stdouts=False,
        ).run()
    finally:
        deliveries.stop()
        runtime.close()


@asynccontextmanager
async def _notifications(settings: Settings) -> AsyncIterator[Notifications]:
    async with DeliveryParts(settings) as parts:
        yield parts.notifications


def schedule_sweeper(app: Celery, settings: Settings) -> None:
    """Tell beat what to run how often."""
    app.conf.beat_schedule = {
        name: {"task": task, "schedule": timedelta(seconds=seconds)}
        for name, task, seconds in (
            ("sweep", SWEEP, settings.sweep_seconds),
            ("clean", CLEAN, _CLEAN_SECONDS),
            # A share of a search each time, so that sweeps are not held up by a large bucket.
            ("sweep-storage", SWEEP_STORAGE, min(_STORAGE_SECONDS, settings.storage_sweep_seconds)),
            ("monitor", MONITOR, settings.monitor_seconds),
            ("probe", PROBE, settings.monitor_seconds),
        )
    }


class _Lane:
    """Runs tasks one after the other in a thread. A task that still waits is not queued twice."""

    def __init__(self, name: str) -> None:
        self._waiting: set[str] = set()
        self._tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
        # A daemon: whatever it does can be broken off and done again.
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def put(self, task: Any) -> None:
        if task.name not in self._waiting:
            self._waiting.add(task.name)
            self._tasks.put(task)

    def _work(self) -> None:
        while True:
            task = self._tasks.get()
            self._waiting.discard(task.name)
            _run(task)


def _run(task: Any) -> None:
    """Run a task to its end; a failure is logged, and its next turn tries again."""
    result = task.apply()
    if result.failed():
        # The class alone: a database's message may quote the row it is about.
        log.error("sweeper.failed", task=task.name, error=type(result.result).__name__)


class InProcessScheduler(Scheduler):  # type: ignore[misc]
    """Runs due tasks here and now instead of sending them."""

    # Beat would otherwise wait for a broker before every tick.
    producer = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._lanes = {task: _Lane(task) for task in STORAGE_TASKS}
        super().__init__(*args, **kwargs)

    def apply_async(
        self, entry: ScheduleEntry, producer: Any = None, advance: bool = True, **_: Any
    ) -> None:
        """Run ``entry``'s task: here to its end, or in the lane of what waits for storage."""
        due = self.reserve(entry) if advance else entry
        task = self.app.tasks[due.task]
        if due.task in self._lanes:
            self._lanes[due.task].put(task)
        else:
            _run(task)
