"""Celery beat, with one change: the sweeper runs in beat's own process.

A sweeper that travels through the broker cannot mend a broker that lost its messages, and would
queue behind the very exports it watches.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery import Celery
from celery.beat import ScheduleEntry, Scheduler

from waybill.config import Settings
from waybill.log import get_logger
from waybill.worker.tasks import CLEAN, MONITOR, SWEEP, SWEEP_STORAGE

log = get_logger(__name__)

_CLEAN_SECONDS = 30
_STORAGE_SECONDS = 30


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
        )
    }


class InProcessScheduler(Scheduler):  # type: ignore[misc]
    """Runs due tasks here and now instead of sending them."""

    # Beat would otherwise wait for a broker before every tick.
    producer = None

    def apply_async(
        self, entry: ScheduleEntry, producer: Any = None, advance: bool = True, **_: Any
    ) -> Any:
        """Run ``entry``'s task to its end; a failure is logged and the next tick tries again."""
        due = self.reserve(entry) if advance else entry
        result = self.app.tasks[due.task].apply(args=due.args, kwargs=due.kwargs)
        if result.failed():
            # The class alone: a database's message may quote the row it is about.
            log.error("sweeper.failed", task=due.task, error=type(result.result).__name__)
        return result
