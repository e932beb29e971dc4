"""All roles in one process: rehearsals, profiles and tests."""

from __future__ import annotations

from waybill.bootstrap.api import ApiParts
from waybill.bootstrap.scheduler import DeliveryParts, SchedulerParts
from waybill.bootstrap.worker import WorkerParts


class Services(ApiParts, SchedulerParts, WorkerParts, DeliveryParts):
    """One set of parts for every role."""
