"""Dry runs: what an export would be, without making it. Nothing is stored, no quota is spent.

Rows come from the same count that a run shows as its progress; bytes from writing a sample with
the real encoder; time from the rates of earlier exports of the type, or of the sample.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from psycopg import sql
from sqlalchemy import extract, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from waybill.catalog import ExportType
from waybill.catalog.resolved import ResolvedColumn
from waybill.errors import (
    Cancelled,
    ComputedColumnFailed,
    DeadlineExceeded,
    FileTooLarge,
    InvalidOption,
    RunError,
    SourceUnreadable,
    ValueNotRepresentable,
)
from waybill.formats.computed import with_computed
from waybill.formats.ndjson import NdjsonEncoder
from waybill.formats.plan import ExportPlan, FormatOptions
from waybill.jobs.job import ExportStatus
from waybill.jobs.reach import Reach
from waybill.jobs.tables import export_jobs as jobs
from waybill.log import get_logger
from waybill.principal import Principal
from waybill.requests.plan import Requester, open_plan
from waybill.requests.request import ExportRequest
from waybill.source.snapshot import EXACT_COUNT_ROWS, PostgresSnapshot, RowCount, shown_count
from waybill.source.source import PostgresSource

log = get_logger(__name__)

FIRST_ROWS: Final = 5
SAMPLE_ROWS: Final = 1_000
MOST_ROWS: Final = SAMPLE_ROWS + FIRST_ROWS
"""What one dry run reads at most."""
_EARLIER_JOBS: Final = 20


@dataclass(frozen=True, slots=True)
class Preview:
    """What an export would be.

    ``bytes`` are before compression. ``seconds_from`` says what the time was estimated by.
    ``first_rows`` are as JSON has them; ``None`` when they could not be had in time.
    """

    columns: tuple[ResolvedColumn, ...]
    rows: RowCount
    bytes: int
    seconds: float
    seconds_from: Literal["earlier exports", "sample"]
    first_rows: Sequence[dict[str, Any]] | None
    rows_read: int
    """How many rows were read for it, beside counting."""


class ExportPreviewer:
    """Makes previews.

    Args:
        source: where exports read from.
        engine: waybill's own database, for the rates of earlier jobs.
        timeout_seconds: how long one preview may ask the source.
    """

    def __init__(
        self, *, source: PostgresSource, engine: AsyncEngine, timeout_seconds: float
    ) -> None:
        self._source = source
        self._engine = engine
        self._timeout_seconds = timeout_seconds

    async def preview(
        self, principal: Principal, request: ExportRequest, export_type: ExportType
    ) -> Preview:
        """Return the preview of a canonical request. Cancelled, it ends its statement first.

        Raises:
            SourceUnreadable: the source refuses, or takes too long.
            InvalidOption: the format cannot hold so many rows, or one of the values, with these
                options, or a column could not be computed.
        """
        rate = await self._rows_per_second(principal, request)
        is_left = threading.Event()
        reading = asyncio.ensure_future(
            asyncio.to_thread(self._read, principal, request, export_type, rate, is_left)
        )
        try:
            return await asyncio.shield(reading)
        except asyncio.CancelledError:
            is_left.set()
            await asyncio.wait({reading})
            if not reading.cancelled():
                reading.exception()  # looked at, so that nobody complains that it was not
            raise
        except FileTooLarge as exc:
            raise InvalidOption("sheet_rows", str(exc)) from exc
        except ValueNotRepresentable as exc:
            raise InvalidOption("format", str(exc)) from exc
        except ComputedColumnFailed as exc:
            raise exc.for_who_asked() from exc
        except RunError as exc:
            log.warning("preview.failed", type=export_type.name, error=exc.code)
            raise SourceUnreadable(exc.code) from exc

    async def _rows_per_second(self, principal: Principal, request: ExportRequest) -> float | None:
        """Return the rate of the tenant's last jobs of the type in this format; ``None`` when there
        are none. Of other tenants' it would tell that there are some, and how large."""
        recent = (
            select(
                jobs.c.rows_done,
                extract("epoch", jobs.c.finished_at - jobs.c.started_at).label("seconds"),
            )
            .where(
                Reach((("tenant", principal.tenant),)).condition(),
                jobs.c.export_type == request.export_type,
                jobs.c.format == request.format,
                jobs.c.status.in_(
                    [
                        ExportStatus.COMPLETED.value,
                        ExportStatus.EXPIRED.value,
                        ExportStatus.DELETED.value,
                    ]
                ),
                jobs.c.rows_done > 0,
            )
            .order_by(jobs.c.created_at.desc())
            .limit(_EARLIER_JOBS)
            .subquery()
        )
        async with self._engine.connect() as connection:
            rows, seconds = (
                await connection.execute(
                    select(func.sum(recent.c.rows_done), func.sum(recent.c.seconds))
                )
            ).one()
        return float(rows) / float(seconds) if rows and seconds else None

    def _read(
        self,
        principal: Principal,
        request: ExportRequest,
        export_type: ExportType,
        rate: float | None,
        is_left: threading.Event,
    ) -> Preview:
        ends_at = time.monotonic() + self._timeout_seconds

        def check() -> None:
            if is_left.is_set():
                raise Cancelled("The client went away.")
            if time.monotonic() >= ends_at:
                raise DeadlineExceeded(self._timeout_seconds)

        with open_plan(
            self._source,
            request,
            export_type,
            Requester(principal.tenant, principal.subject),
            check,
            application_name="waybill preview",
            statement_timeout_seconds=self._timeout_seconds,
        ) as (snapshot, plan):
            rows = shown_count(export_type, snapshot.count_rows(export_type, plan.where))
            if rows is not None and rows.is_exact:
                plan.encoder.check_rows(rows.rows, plan.options)
            # Nothing is resumed behind a sample, so it needs no order.
            unordered = replace(export_type, order="none", consistency="snapshot")
            began_at = time.monotonic()
            sample_rows, sample_bytes, frame_bytes = _measure(
                # In the order of the key it could mean sorting everything first.
                replace(plan, export_type=unordered, limit=SAMPLE_ROWS),
                snapshot,
                check,
            )
            sample_seconds = max(time.monotonic() - began_at, 0.001)
            first_rows = _first_rows(plan, snapshot, check)
            if sample_rows < SAMPLE_ROWS:
                rows = RowCount(sample_rows, is_exact=True)
            elif rows is None:
                rows = _own_rows(export_type, plan.where, snapshot)
            elif rows.rows < sample_rows:
                # The planner's guess; this many there are.
                rows = RowCount(sample_rows, is_exact=False)
            per_row = sample_bytes / sample_rows if sample_rows else 0.0
            return Preview(
                columns=plan.columns,
                rows=rows,
                bytes=frame_bytes + round(per_row * rows.rows),
                seconds=_seconds(rows.rows, rate or max(sample_rows, 1) / sample_seconds),
                seconds_from="sample" if rate is None else "earlier exports",
                first_rows=first_rows,
                rows_read=sample_rows + len(first_rows or ()),
            )


def _own_rows(
    export_type: ExportType, where: sql.Composable | None, snapshot: PostgresSnapshot
) -> RowCount:
    """Count a person's own rows as far as that takes no longer than a preview may."""
    try:
        return snapshot.count_up_to(EXACT_COUNT_ROWS, export_type, where)
    except RunError as exc:
        log.info("preview.without_count", type=export_type.name, error=exc.code)
        return RowCount(SAMPLE_ROWS, is_exact=False, is_least=True)


def _measure(
    plan: ExportPlan, snapshot: PostgresSnapshot, check: Callable[[], None]
) -> tuple[int, int, int]:
    """Write the plan's rows to nowhere. Returns rows, their bytes, and those of head and foot."""
    nothing = plan.encoder.open(plan)
    frame = len(nothing.header()) + len(nothing.footer())
    encoding = plan.encoder.open(plan)
    size = len(encoding.header())
    chunks = with_computed(plan, snapshot.copy(encoding.statement), check)
    size += sum(len(encoding.encode(chunk)) for chunk in chunks)
    # Some formats write their rows only with the footer.
    size += len(encoding.footer())
    return encoding.rows, max(0, size - frame), frame


def _first_rows(
    plan: ExportPlan, snapshot: PostgresSnapshot, check: Callable[[], None]
) -> list[dict[str, Any]] | None:
    """Return the rows that the file would begin with; ``None`` when sorting takes too long."""
    plan = replace(plan, encoder=NdjsonEncoder(), options=FormatOptions(), limit=FIRST_ROWS)
    encoding = plan.encoder.open(plan)
    try:
        chunks = with_computed(plan, snapshot.copy(encoding.statement), check)
        lines = b"".join(encoding.encode(chunk) for chunk in chunks)
    except RunError as exc:
        log.info("preview.without_rows", type=plan.export_type.name, error=exc.code)
        return None
    try:
        return [
            json.loads(line, parse_float=_exact, parse_int=_exact_int)
            for line in lines.split(b"\n")
            if line
        ]
    except RecursionError:  # json nested by the thousands
        return None


def _exact_int(text: str) -> int | str:
    """Return a whole number, or its text where it has more digits than Python reads."""
    return int(text) if len(text) <= sys.int_info.default_max_str_digits else text


def _exact(text: str) -> float | str:
    """Return a number that is what ``text`` says, or the text where a float is not."""
    number = float(text)
    return number if math.isfinite(number) and repr(number) == text else text


def _seconds(rows: int, rows_per_second: float) -> float:
    return round(rows / rows_per_second, 1)
