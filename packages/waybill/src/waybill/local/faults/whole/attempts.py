"""Attempts in processes of their own, which can be killed, on a source of the scenario's."""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import sql

from waybill.bootstrap import Services
from waybill.catalog import Catalog, ExportType
from waybill.config import Settings
from waybill.log import configure_logging
from waybill.pipeline import keyset, readers
from waybill.run import produce

PLANTS = ("gap",)
"""Faults to plant, to see that they are found: ranges that lose rows, and no count to miss them."""

_SMALL: dict[str, Any] = {"smallest_rows": 1, "range_bytes": 200_000, "first_rows": 37}


@dataclass(frozen=True)
class Order:
    """What a process is to run."""

    settings: dict[str, Any]
    export_type: ExportType
    export_id: UUID
    plant: str | None = None


def settings_for(settings: dict[str, Any], dsn: str) -> Settings:
    """Return settings of a service on this scenario's source, in a hurry."""
    return Settings(
        **settings | {
            "source_dsn": dsn, "part_bytes": 5 * 1024 * 1024, "checkpoint_seconds": 0.0,
            "source_readers": 3, "log_level": "CRITICAL", "orphan_grace_seconds": 0.0,
            "retry_backoff_seconds": "0.05",
        }
    )  # fmt: skip


def start(order: Order) -> multiprocessing.Process:
    """Start a process that runs one attempt of an export."""
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=_run, args=(order,), daemon=True)
    process.start()
    return process  # type: ignore[return-value]


def prepare() -> None:
    """Have processes forked from one that has loaded everything."""
    multiprocessing.set_forkserver_preload([__name__, "waybill.bootstrap"])


def _run(order: Order) -> None:
    configure_logging("CRITICAL")
    setattr(produce, "Parallel", functools.partial(readers.Parallel, **_SMALL))
    if order.plant == "gap":
        _plant_gap()

    async def main() -> None:
        settings = Settings(**order.settings)
        async with Services(settings, catalog=Catalog([order.export_type])) as services:
            await services.runner.run(order.export_id)

    asyncio.run(main())


def _plant_gap() -> None:
    real = keyset.rows_behind

    def late(*arguments: Any, **options: Any) -> sql.Composable:
        return sql.SQL("{} AND waybill_source.n % 11 <> 3").format(real(*arguments, **options))

    setattr(readers, "rows_behind", late)
    setattr(readers.ManyReaders, "_prove_whole", lambda _: None)
