"""The columns of types that declare none, as the source has them, remembered for a minute."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from waybill.catalog import ExportType
from waybill.errors import DeadlineExceeded, RunError, UnknownColumn
from waybill.formats import get_encoder
from waybill.log import get_logger
from waybill.requests.request import ExportRequest
from waybill.source.source import PostgresSource, Reads

log = get_logger(__name__)

_FRESH_SECONDS: Final = 60.0
_PATIENCE_SECONDS: Final = 5.0
"""For a request that names columns, of which one may be misspelt."""
_SHORT_PATIENCE_SECONDS: Final = 1.0
"""For one that wants them all: hardly ever is anything wrong with those."""
_SILENT_SECONDS: Final = 10.0
"""How long a source is let be that did not answer."""


class SourceColumns:
    """Checks the columns of requests against the source.

    Args:
        source: where exports read from.
    """

    def __init__(self, source: PostgresSource) -> None:
        self._source = source
        self._known: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._silent_until: dict[str, float] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    async def check(self, export_type: ExportType, request: ExportRequest) -> None:
        """Make sure that the source has the columns of a canonical request, and that the format can
        have them.

        A source that does not answer is no reason to refuse a request that will wait for it: then
        its run says what is wrong.

        Raises:
            UnknownColumn: the source has no such column.
            InvalidOption: the format cannot have the columns with these options.
        """
        if export_type.columns:
            return
        wanted = {column.name for column in request.columns}
        # One question at a time: of many requests the first asks for all.
        async with self._turns.setdefault(export_type.name, asyncio.Lock()):
            names = await self._names(export_type, wanted)
        if names is None:
            return
        for column in request.columns:
            if column.name not in names:
                raise UnknownColumn(column.name, export_type.name, names)
        if not wanted:
            encoder = get_encoder(request.format)
            options = encoder.parse_options(request.format_options)
            encoder.check_columns({name: name for name in names}, options)

    async def _names(self, export_type: ExportType, wanted: set[str]) -> tuple[str, ...] | None:
        """Return the names of the source's columns; ``None`` where it does not tell."""
        name, now = export_type.name, time.monotonic()
        read_at, names = self._known.get(name, (-_FRESH_SECONDS, ()))
        if now - read_at < _FRESH_SECONDS and wanted.issubset(names):
            return names
        if not wanted and now < self._silent_until.get(name, 0.0):
            return None
        patience_seconds = _PATIENCE_SECONDS if wanted else _SHORT_PATIENCE_SECONDS
        try:
            names = await asyncio.to_thread(self._read, export_type, patience_seconds)
        except RunError as exc:
            log.warning("request.columns_unchecked", type=name, error=exc.code)
            self._silent_until[name] = time.monotonic() + _SILENT_SECONDS
            return None
        self._known[name] = (time.monotonic(), names)
        return names

    def _read(self, export_type: ExportType, patience_seconds: float) -> tuple[str, ...]:
        ends_at = time.monotonic() + patience_seconds

        def check() -> None:
            if time.monotonic() >= ends_at:
                raise DeadlineExceeded(patience_seconds)

        with self._source.open_snapshot(
            check,
            application_name="waybill columns",
            statement_timeout_seconds=patience_seconds,
            # Says too which schemas are searched for the names of a query.
            reads=Reads(export_type),
        ) as snapshot:
            return tuple(column.name for column in snapshot.resolve(export_type))
