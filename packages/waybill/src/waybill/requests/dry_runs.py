"""What dry runs may cost: a budget of calls and rows for each person, and a bounded wait for one of
a few places, in which nobody stands in front of everybody.

The budget is counted in the database, like quotas and apart from them, under a lock of the
person's own. A dry run is charged the most it can read before it begins, and what it has read
when it ends; one that ends in any other way stays charged in full, as the work was done.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import delete, extract, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from waybill.catalog.model import Quota
from waybill.errors import DryRunsExceeded, TooManyDryRuns
from waybill.principal import Principal
from waybill.requests.admission import lock_number
from waybill.requests.dry_run_tables import dry_runs
from waybill.requests.quota import WINDOW_SECONDS

_WINDOW: Final = timedelta(seconds=WINDOW_SECONDS)
_FORGET_BATCH: Final = 1_000

Person = tuple[str | None, str]


class FairPlaces:
    """A few places, taken in turns by persons: each has at most one, and waits a bounded time.

    Args:
        places: how many there are in this process.
        wait_seconds: how long to wait for one.
    """

    def __init__(self, places: int, wait_seconds: float) -> None:
        self._free = places
        self._wait_seconds = wait_seconds
        self._busy: set[Person] = set()
        # In the order in which persons are served.
        self._waiting: OrderedDict[Person, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def hold(self, person: Person) -> AsyncIterator[None]:
        """Hold a place for the block.

        Raises:
            TooManyDryRuns: none was free in time.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(person, deque()).append(turn)
        self._give()
        try:
            async with asyncio.timeout(self._wait_seconds):
                await turn
        except BaseException as exc:
            self._leave(person, turn)
            if isinstance(exc, TimeoutError):
                raise TooManyDryRuns from exc
            raise
        try:
            yield
        finally:
            self._release(person)

    def _give(self) -> None:
        while self._free:
            person = next((each for each in self._waiting if each not in self._busy), None)
            if person is None:
                return
            turns = self._waiting.pop(person)
            turn = turns.popleft()
            if turns:
                self._waiting[person] = turns
            if not turn.done():
                self._free -= 1
                self._busy.add(person)
                turn.set_result(None)

    def _leave(self, person: Person, turn: asyncio.Future[None]) -> None:
        if turn.done() and not turn.cancelled():
            self._release(person)  # given in the very moment
            return
        turns = self._waiting.get(person)
        with contextlib.suppress(ValueError):
            if turns is not None:
                turns.remove(turn)
                if not turns:
                    del self._waiting[person]

    def _release(self, person: Person) -> None:
        self._busy.discard(person)
        self._free += 1
        if person in self._waiting:
            self._waiting.move_to_end(person)
        self._give()


@dataclass(slots=True)
class Charge:
    """A dry run's entry. ``rows`` is what it has read, once it is known."""

    id: int
    rows: int | None = None


class DryRunBudget:
    """Calls and rows that a person may have in any 24 hours.

    Args:
        engine: waybill's own database.
        calls, rows: how many.
    """

    def __init__(self, engine: AsyncEngine, *, calls: Quota, rows: Quota) -> None:
        self._engine = engine
        self._calls = calls
        self._rows = rows

    @asynccontextmanager
    async def spend(self, principal: Principal, most_rows: int) -> AsyncIterator[Charge]:
        """Charge ``most_rows`` for the block; what it sets ``rows`` to when it ends well.

        Raises:
            DryRunsExceeded: there is nothing left; says when there will be.
        """
        async with self._engine.begin() as connection:
            await connection.execute(
                select(func.pg_advisory_xact_lock(lock_number("dry runs", principal)))
            )
            await self._check(connection, principal)
            statement = (
                insert(dry_runs)
                .values(
                    tenant=principal.tenant or "",
                    requested_by=principal.subject,
                    rows=most_rows,
                )
                .returning(dry_runs.c.id)
            )
            charge = Charge((await connection.execute(statement)).scalar_one())
        yield charge
        if charge.rows is not None:
            async with self._engine.begin() as connection:
                await connection.execute(
                    update(dry_runs)
                    .where(dry_runs.c.id == charge.id)
                    .values(rows=min(charge.rows, most_rows))
                )

    async def charge(self, principal: Principal) -> None:
        """Count a call that read no rows, whatever is left."""
        async with self._engine.begin() as connection:
            await connection.execute(
                insert(dry_runs).values(
                    tenant=principal.tenant or "", requested_by=principal.subject, rows=0
                )
            )

    async def check(self, principal: Principal) -> None:
        """Raise ``DryRunsExceeded`` when there is nothing left; spends nothing."""
        async with self._engine.connect() as connection:
            await self._check(connection, principal)

    async def forget(self) -> None:
        """Delete what no budget counts any more."""
        old = (
            select(dry_runs.c.id)
            .where(dry_runs.c.started_at < func.now() - _WINDOW)
            .limit(_FORGET_BATCH)
        )
        async with self._engine.begin() as connection:
            await connection.execute(delete(dry_runs).where(dry_runs.c.id.in_(old)))

    async def _check(self, connection: AsyncConnection, principal: Principal) -> None:
        statement = select(
            func.count(),
            func.coalesce(func.sum(dry_runs.c.rows), 0),
            extract("epoch", func.min(dry_runs.c.started_at) + _WINDOW - func.now()),
        ).where(
            dry_runs.c.tenant == (principal.tenant or ""),
            dry_runs.c.requested_by == principal.subject,
            dry_runs.c.started_at > func.now() - _WINDOW,
        )
        calls, rows, resets = (await connection.execute(statement)).one()
        for policy, used, limit in (
            ("dry-runs", calls, self._calls),
            ("dry-run-rows", rows, self._rows),
        ):
            if limit != "unlimited" and used >= limit:
                raise DryRunsExceeded(
                    policy,
                    limit=limit,
                    window_seconds=WINDOW_SECONDS,
                    # When the oldest is forgotten: the first moment at which there may be room.
                    retry_after_seconds=max(1, math.ceil(resets)),
                )
