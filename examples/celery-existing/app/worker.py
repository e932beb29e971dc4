"""The application's Celery, as it was; what waybill needs is marked."""

from __future__ import annotations

import os

from celery import Celery

import waybill.celery  # + waybill

app = Celery("app", broker=os.environ["BROKER_URL"], backend=os.environ["BROKER_URL"])
app.conf.update(
    task_acks_late=True,
    task_time_limit=300,
    broker_transport_options={"global_keyprefix": "shop:", "visibility_timeout": 3600},
    result_backend_transport_options={"global_keyprefix": "shop:"},
    imports=["app.tasks.reports"],
)

waybill.celery.install(app)  # + waybill
