"""About how many rows each export type has, for a list of types. Nobody waits for a source that is
away: then the list says nothing of rows.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from waybill.catalog import Catalog
from waybill.catalog.model import TableSource
from waybill.errors import DeadlineExceeded, RunError
from waybill.log import get_logger
from waybill.source.source import PostgresSource, RowCount, shown_count

log = get_logger(__name__)

_FRESH_SECONDS: Final = 60.0
"""How long an answer serves; and how long a source is let be that gave none."""
_PATIENCE_SECONDS: Final = 0.5
TASK: Final = "waybill row estimates"
_READING_SECONDS: Final = 5.0
"""How long the source is asked, with nobody waiting; the next list has what it says."""


class RowEstimates:
    """What PostgreSQL says of its tables without counting, asked once for all types and everybody.

    Of types that give each tenant or person their own rows nothing is asked, as the number would
    be everybody's (``shown_count``). Views and queries have no such number.

    Args:
        source: where exports read from.
        catalog: the types.
        patience_seconds: how long the lists of one asking wait for it, all together.
    """

    def __init__(
        self,
        source: PostgresSource,
        catalog: Catalog,
        *,
        patience_seconds: float = _PATIENCE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._tables: dict[str, dict[str, TableSource]] = {}
        """Of each source, its types' tables by their names."""
        for each in map(catalog.get_type, catalog):
            is_told = shown_count(each, RowCount(0, is_exact=False)) is not None
            if is_told and isinstance(each.source, TableSource):
                self._tables.setdefault(each.source_name, {})[each.name] = each.source
        self._patience_seconds = patience_seconds
        self._monotonic = monotonic
        self._known: Mapping[str, int] = {}
        self._asking: asyncio.Task[None] | None = None
        self._asked_at = -_FRESH_SECONDS

    async def by_type(self) -> Mapping[str, int]:
        """Return the rows of those types of which something is known and may be told."""
        now = self._monotonic()
        if self._tables and self._asking is None and now - self._asked_at >= _FRESH_SECONDS:
            self._asked_at = now
            self._asking = asyncio.create_task(self._ask(), name=TASK)
        if self._asking is not None:
            # Whoever comes later finds that most of the patience is spent.
            left = max(0.0, self._asked_at + self._patience_seconds - now)
            await asyncio.wait({self._asking}, timeout=left)
        return self._known

    async def _ask(self) -> None:
        self._known = {}
        try:
            for source, tables in self._tables.items():
                try:
                    found = await asyncio.to_thread(self._read, source, tables)
                except RunError as exc:
                    log.warning("types.rows_unknown", error=exc.code)
                else:
                    self._known = {**self._known, **found}
        finally:
            self._asking = None

    def _read(self, source: str, tables: Mapping[str, TableSource]) -> Mapping[str, int]:
        ends_at = time.monotonic() + _READING_SECONDS

        def check() -> None:
            if time.monotonic() >= ends_at:
                raise DeadlineExceeded(_READING_SECONDS)

        with self._source.of(source).open_snapshot(
            check,
            application_name="waybill estimates",
            statement_timeout_seconds=_READING_SECONDS,
        ) as snapshot:
            found = snapshot.estimate_rows(tuple(dict.fromkeys(tables.values())))
        return {name: found[table] for name, table in tables.items() if table in found}
