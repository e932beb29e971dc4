"""The application: its Celery, and its web, in processes of their own.

    celery -A waybill.local.faults.shared.application worker
    uvicorn waybill.local.faults.shared.application:web

``SHOP_WITHOUT`` leaves waybill out: what its Celery does by itself.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Final

from celery import Celery, signals
from fastapi import Depends, FastAPI

import waybill
import waybill.celery
from waybill.local.faults.shared.diary import note

WORK: Final = "shop.work"
TICK: Final = "shop.tick"
QUEUE: Final = "waybill"
UPKEEP: Final = "waybill.upkeep"
TICK_SECONDS: Final = 7.0
VISIBILITY_SECONDS: Final = 240.0
"""Theirs, above the longest deadline of an export as ``install`` asks, and above their tasks."""

BROKER_VARIABLE: Final = "SHOP_BROKER_URL"
DIARY_VARIABLE: Final = "SHOP_DIARY"
WITHOUT_VARIABLE: Final = "SHOP_WITHOUT"

app = Celery(
    "shop",
    broker=os.environ.get(BROKER_VARIABLE, "memory://"),
    backend=os.environ.get(BROKER_VARIABLE),
    set_as_current=False,
)
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={"visibility_timeout": VISIBILITY_SECONDS},
    beat_schedule={"tick": {"task": TICK, "schedule": TICK_SECONDS}},
)
_diary = Path(os.environ.get(DIARY_VARIABLE, os.devnull))


@app.task(name=WORK, bind=True)  # type: ignore[untyped-decorator]
def work(self: Any, seconds: float) -> str:
    """Take a while."""
    note(_diary, "begun", self.request.id)
    time.sleep(seconds)
    note(_diary, "ended", self.request.id)
    return str(self.request.id)


@app.task(name=TICK, bind=True)  # type: ignore[untyped-decorator]
def tick(self: Any) -> None:
    """What their beat schedules: over at once."""
    note(_diary, "begun", self.request.id)
    note(_diary, "ended", self.request.id)


def _on_received(request: Any, **_: Any) -> None:
    if request.name in {WORK, TICK}:
        note(_diary, "received", request.id)


def _on_published(sender: Any, headers: Any, **_: Any) -> None:
    if sender in {WORK, TICK}:
        note(_diary, "sent", headers["id"])


signals.task_received.connect(_on_received, weak=False)
signals.after_task_publish.connect(_on_published, weak=False)


def _visitor() -> waybill.Principal:
    return waybill.Principal("ann")


web = FastAPI()
if BROKER_VARIABLE in os.environ and WITHOUT_VARIABLE not in os.environ:
    waybill.celery.install(app, queue=QUEUE)
    web.include_router(waybill.router(principal=Depends(_visitor), celery=app))
