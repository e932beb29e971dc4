"""Where a job's time goes: one run of the worker's own code under cProfile, in this process."""

from __future__ import annotations

import asyncio
import cProfile
import os
import pstats
import time
from pathlib import Path
from typing import Any

from house import House

from waybill.bootstrap.everything import Services
from waybill.local.service_stack import settings_of
from waybill.principal import Principal
from waybill.requests.request import ExportRequest
from waybill.run.produce import ExportProducer

_FUNCTIONS = 12


def profile_job(house: House, rows: int) -> dict[str, Any]:
    """Return the functions of the reading thread that took most time themselves, and the CPU
    seconds of the whole process. The worker sleeps meanwhile: the job never reaches its queue."""
    house.table(rows)
    profile = cProfile.Profile()
    original = ExportProducer.produce

    def produce(self: ExportProducer, *arguments: Any) -> Any:
        profile.enable()
        try:
            return original(self, *arguments)
        finally:
            profile.disable()

    async def run() -> tuple[float, float]:
        settings = settings_of(
            house.stack,
            catalog=str(house.directory / "waybill.toml"),
            redis_url=house.stack.valkey.url(9),
            log_level="ERROR",
        )
        async with Services(settings) as services:
            admission = await services.exports.request(
                Principal("profile"), ExportRequest(f"users-{rows}")
            )
            started, before = time.perf_counter(), time.process_time()
            await services.runner.run(admission.job.id)
            figures = time.perf_counter() - started, time.process_time() - before
            await services.exports.discard(Principal("profile"), admission.job.id)
            return figures

    ExportProducer.produce = produce  # type: ignore[method-assign]
    try:
        seconds, cpu = asyncio.run(run())
    finally:
        ExportProducer.produce = original  # type: ignore[method-assign]
    return {
        "rows": rows,
        "format": "csv",
        "seconds": round(seconds, 3),
        "process_cpu_seconds": round(cpu, 3),
        "note": "under cProfile, which slows Python's own calls",
        "reading_thread": _top(profile),
    }


def _top(profile: cProfile.Profile) -> list[dict[str, Any]]:
    found = []
    stats: Any = pstats.Stats(profile)
    for (file, _line, function), (_cc, calls, own, _cumulative, _callers) in stats.stats.items():
        place = Path(file).name if os.sep in file else ""
        found.append({"function": f"{place}:{function}" if place else function,
                      "calls": calls, "seconds": round(own, 3)})  # fmt: skip
    return sorted(found, key=lambda each: -each["seconds"])[:_FUNCTIONS]
