"""How many exports read a source at the moment, by the table of jobs: streams as well as what
workers run, whichever process does.

A job counts until it ends or its lease is taken from it, so a dead worker's share and place come
free as its job does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy import BigInteger, Text, bindparam, case, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from waybill.catalog import Catalog, ExportType
from waybill.errors import SourceFull
from waybill.jobs.job import ExportStatus
from waybill.jobs.rows import alone
from waybill.jobs.tables import export_jobs as jobs

# The few that run have an index of their own.
_RUNNING: Final = select(func.count()).where(
    jobs.c.status == ExportStatus.RUNNING.value,
    jobs.c.export_type == func.any(bindparam("types", type_=ARRAY(Text))),
)

_CLAIMS_LOCK: Final = 0x7761796C636C6D
"""The advisory lock under which claims count and take, as the migrations have it."""
_HELD_MS: Final = 2_000
_full: Final = func.export_types_of_full_sources(
    bindparam("per_source", type_=JSONB), type_=ARRAY(Text)
)
# CASE makes sure that nothing is counted before the lock is had. The function looks anew by itself:
# at what was committed meanwhile, and at the row that this transaction has entered.
_IS_ONE_TOO_MANY: Final = select(
    func.set_config("idle_in_transaction_session_timeout", str(_HELD_MS), True),
    case(
        (
            cast(func.pg_advisory_xact_lock(cast(_CLAIMS_LOCK, BigInteger)), Text).is_not(None),
            bindparam("export_type", type_=Text) == func.any(_full),
        )
    ),
)

Count = Callable[[], Awaitable[int]]
Place = Callable[[AsyncConnection], Awaitable[None]]


class SourceUse:
    """Counts who reads.

    Args:
        engine: waybill's own database.
        catalog: says which types are read from which source.
    """

    def __init__(self, engine: AsyncEngine, catalog: Catalog) -> None:
        self._engine = alone(engine)
        self._catalog = catalog

    def sharing(self, export_type: ExportType) -> Count | None:
        """Return what counts the exports among which the type's source shares its rate out;
        ``None`` where it has none to share."""
        if not export_type.together.rate.limits_rate:
            return None
        return lambda: self.readers_of(export_type)

    async def has_room(self, export_type: ExportType) -> bool:
        """Say whether one more export may read the type's source. It is no promise: only
        ``place`` and a claim count and take at once."""
        most = export_type.together.max_running
        return most is None or await self.readers_of(export_type) < most

    def place(self, export_type: ExportType) -> Place | None:
        """Return what makes sure of a place for the export whose running row its transaction has
        entered, or raises ``SourceFull``; ``None`` where there are as many as anybody likes.

        It is the last statement before the commit: from there to the commit all claims wait. A
        process that is stopped in between loses its connection, and with it the lock.
        """
        most = export_type.together.max_running
        if most is None:
            return None
        types = list(self._catalog.shared_by(export_type.source_name))
        values = {
            "export_type": export_type.name,
            # With the row that is entered there may be one more than before it.
            "per_source": [{"types": types, "most": most + 1}],
        }

        async def take(connection: AsyncConnection) -> None:
            _, is_one_too_many = (await connection.execute(_IS_ONE_TOO_MANY, values)).one()
            if is_one_too_many:
                raise SourceFull(most)

        return take

    async def readers_of(self, export_type: ExportType) -> int:
        """Return how many exports read the type's source."""
        types = list(self._catalog.shared_by(export_type.source_name))
        async with self._engine.connect() as connection:
            return await connection.scalar(_RUNNING, {"types": types}) or 0
