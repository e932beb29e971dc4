"""Attempts in processes of their own, which can be killed, on a source of the scenario's."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import sql

from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog, ExportType
from waybill.catalog.model import Consistency
from waybill.config import Settings
from waybill.jobs.checkpoints import CheckpointLog
from waybill.log import configure_logging
from waybill.pipeline import keyset, ranges, readers
from waybill.run import produce, resumable, resumption
from waybill.source.opening import Opening
from waybill.source.witness import Witness

_CONFIRMED_SECONDS = 20.0
"""How long an attempt that is to die behind a checkpoint lets storage confirm a part."""
_SMALL: dict[str, Any] = {"smallest_rows": 1, "range_bytes": 200_000, "first_rows": 37}


@dataclass(frozen=True)
class Order:
    """What a process is to run. ``dies_behind_checkpoint``: it is killed as soon as it has written
    down a resume point, which a kill at any moment seldom meets."""

    settings: dict[str, Any]
    export_type: ExportType
    export_id: UUID
    plant: str | None = None
    dies_behind_checkpoint: bool = False


def settings_for(settings: dict[str, Any], dsn: str) -> Settings:
    """Return settings of a service on this scenario's source, with short times."""
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
    if order.plant is not None:
        PLANTS[order.plant].sow()
    if order.dies_behind_checkpoint:
        _die_behind_checkpoint()

    async def main() -> None:
        settings = Settings(**order.settings)
        async with Services(settings, catalog=Catalog([order.export_type])) as services:
            await services.runner.run(order.export_id)

    asyncio.run(main())


def _die_behind_checkpoint() -> None:
    real_log, real_place = CheckpointLog.record, resumable._Recorder.record

    def wait_for_storage(self: Any, confirmed: Callable[[], Any], **options: Any) -> None:
        # So small a file is read to its end while storage still takes its first part.
        until = time.monotonic() + _CONFIRMED_SECONDS
        while self._cuts and time.monotonic() < until:
            if any(receipt.number in self._cuts for receipt in confirmed()):
                break
            time.sleep(0.01)
        real_place(self, confirmed, **options)

    def record(*arguments: Any) -> bool:
        if is_kept := real_log(*arguments):
            os.kill(os.getpid(), signal.SIGKILL)
        return is_kept

    setattr(resumable._Recorder, "record", wait_for_storage)
    setattr(CheckpointLog, "record", record)


# -- faults to plant -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plant:
    """A fault, to see that it is found: each takes away one promise and what would notice.

    ``shapes`` of ``sizes`` rows meet it, where what is done to them is one of ``changes`` (all, if
    there is none). ``consistency`` is what exports promise.
    """

    sow: Callable[[], None]
    shapes: tuple[str, ...]
    sizes: tuple[int, ...]
    changes: tuple[str, ...] = ()
    consistency: Consistency = "snapshot"


def _lose_rows_of_ranges() -> None:
    real = keyset.rows_behind

    def late(*arguments: Any, **options: Any) -> sql.Composable:
        return sql.SQL("{} AND waybill_source.n % 11 <> 3").format(real(*arguments, **options))

    real_range = ranges.Range

    def uncounted(*arguments: Any) -> ranges.Range:
        return dataclasses.replace(real_range(*arguments), expected=None)

    setattr(ranges, "rows_behind", late)
    setattr(ranges, "Range", uncounted)
    setattr(readers.ManyReaders, "_prove_whole", lambda _: None)


def _lose_rows_of_segments() -> None:
    real, real_behind = keyset.rows_behind, resumption._behind

    def late(*arguments: Any, **options: Any) -> sql.Composable:
        return sql.SQL("{} AND waybill_source.n % 11 <> 3").format(real(*arguments, **options))

    def uncounted(*arguments: Any) -> resumption.Resumption:
        return dataclasses.replace(real_behind(*arguments), rows_left=None)

    setattr(resumption, "rows_behind", late)
    setattr(resumption, "_behind", uncounted)


def _lock_behind_the_snapshot() -> None:
    def begin(self: Any, holding: contextlib.ExitStack) -> Any:
        # What is planned next takes the locks, as a COPY would by itself.
        self._table = None
        self._session.script(self._opening(self._begin_with))
        return self._start(), frozenset()

    setattr(Opening, "_begin", begin)
    setattr(Witness, "check", lambda _: None)


PLANTS = {
    "gap": Plant(_lose_rows_of_ranges, ("table",), (6_000,)),
    "lock": Plant(_lock_behind_the_snapshot, ("table",), (900,), ("refill", "swap")),
    "segment": Plant(
        _lose_rows_of_segments, ("table",), (14_000,), ("insert", "update"), "resumable"
    ),
}
