"""Whether everything that exports need answers, told as figures."""

from __future__ import annotations

import contextlib

from waybill.bootstrap.scheduler import SchedulerParts
from waybill.doctor.readiness import readiness
from waybill.errors import QueueUnavailable
from waybill.metrics.definitions import DEPENDENCY_UP, SET_ASIDE
from waybill.metrics.recording import record


async def probe_dependencies(parts: SchedulerParts) -> None:
    """Ask each dependency as ``/readyz`` does, and the broker for what was set aside."""
    found = await readiness(parts)
    for name, word in found.checks.items():
        record(DEPENDENCY_UP, 1 if word == "ok" else 0, dependency=name)
    with contextlib.suppress(QueueUnavailable):
        record(SET_ASIDE, await parts.queue.set_aside())
