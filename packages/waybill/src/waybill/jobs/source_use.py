"""How many exports read a source at the moment, by the table of jobs: streams as well as what
workers run, whichever process does.

A job counts until it ends or its lease is taken from it, so a dead worker's share and place come
free as its job does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy import Text, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncEngine

from waybill.catalog import Catalog, ExportType
from waybill.jobs.job import ExportStatus
from waybill.jobs.rows import COMMITS_ALONE, alone
from waybill.jobs.tables import export_jobs as jobs

# The few that run have an index of their own.
_RUNNING: Final = select(func.count()).where(
    jobs.c.status == ExportStatus.RUNNING.value,
    jobs.c.export_type == func.any(bindparam("types", type_=ARRAY(Text))),
)

Count = Callable[[], Awaitable[int]]


class SourceUse:
    """Counts who reads.

    Args:
        engine: waybill's own database.
        catalog: says which types are read from which source.
    """

    def __init__(self, engine: AsyncEngine, catalog: Catalog) -> None:
        self._engine = alone(engine).execution_options(**{COMMITS_ALONE: True})
        self._catalog = catalog

    def sharing(self, export_type: ExportType) -> Count | None:
        """Return what counts the exports among which the type's source shares its rate out;
        ``None`` where it has none to share."""
        if not export_type.together.rate.limits_rate:
            return None
        return lambda: self.readers_of(export_type)

    async def has_room(self, export_type: ExportType) -> bool:
        """Say whether one more export may read the type's source. It is no promise: only a claim
        counts and takes at once."""
        most = export_type.together.max_running
        return most is None or await self.readers_of(export_type) < most

    async def readers_of(self, export_type: ExportType) -> int:
        """Return how many exports read the type's source."""
        types = list(self._catalog.shared_by(export_type.source_name))
        async with self._engine.connect() as connection:
            return await connection.scalar(_RUNNING, {"types": types}) or 0
