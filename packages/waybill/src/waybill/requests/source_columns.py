"""The columns of types that declare none, as the source has them, remembered for a minute."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from waybill.catalog import Column, ExportType
from waybill.errors import DeadlineExceeded, RunError, UnknownColumn
from waybill.log import get_logger
from waybill.source.source import PostgresSource

log = get_logger(__name__)

_FRESH_SECONDS: Final = 60.0
_PATIENCE_SECONDS: Final = 5.0


class SourceColumns:
    """Checks the columns of requests against the source.

    Args:
        source: where exports read from.
    """

    def __init__(self, source: PostgresSource) -> None:
        self._source = source
        self._known: dict[str, tuple[float, tuple[str, ...]]] = {}

    async def check(self, export_type: ExportType, columns: Sequence[Column]) -> None:
        """Make sure that the source has the columns.

        A source that does not answer is no reason to refuse a request that will wait for it: then
        its run says what is wrong.

        Raises:
            UnknownColumn: it has not.
        """
        if export_type.columns or not columns:
            return
        wanted = {column.name for column in columns}
        read_at, names = self._known.get(export_type.name, (-_FRESH_SECONDS, ()))
        if time.monotonic() - read_at >= _FRESH_SECONDS or not wanted.issubset(names):
            try:
                names = await asyncio.to_thread(self._read, export_type)
            except RunError as exc:
                log.warning("request.columns_unchecked", type=export_type.name, error=exc.code)
                return
            self._known[export_type.name] = (time.monotonic(), names)
        for column in columns:
            if column.name not in names:
                raise UnknownColumn(column.name, export_type.name, names)

    def _read(self, export_type: ExportType) -> tuple[str, ...]:
        ends_at = time.monotonic() + _PATIENCE_SECONDS

        def check() -> None:
            if time.monotonic() >= ends_at:
                raise DeadlineExceeded(_PATIENCE_SECONDS)

        with self._source.open_snapshot(
            check,
            application_name="waybill columns",
            statement_timeout_seconds=_PATIENCE_SECONDS,
        ) as snapshot:
            return tuple(column.name for column in snapshot.resolve(export_type))
