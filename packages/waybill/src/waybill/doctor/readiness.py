"""The cheap ones of the doctor's checks, which a process asks of itself: behind ``/readyz``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from psycopg.errors import UndefinedTable
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from waybill.bootstrap.parts import ProcessParts
from waybill.errors import StorageRejected, WaybillError
from waybill.migrations.run import known_revisions
from waybill.own_database import VERSION_TABLE

_SECONDS: Final = 3.0
_OK: Final = "ok"


class NotMigrated(WaybillError):
    """The database answers, and is at an earlier version's schema."""

    code = "not_migrated"


@dataclass(frozen=True, slots=True)
class Readiness:
    """What was found.

    Attributes:
        checks: each check's name, and ``ok`` or a word that is safe to show.
        is_ready: whether requests should come here: what is accepted can be done, now or when
            somebody else's outage ends. A refusal (a bucket that is missing, rights that are) does
            not end by itself.
    """

    checks: Mapping[str, str]
    is_ready: bool

    @property
    def is_whole(self) -> bool:
        """Whether everything answers."""
        return self.is_ready and set(self.checks.values()) == {_OK}


async def readiness(parts: ProcessParts) -> Readiness:
    """Ask each dependency, all at once, and none for longer than a load balancer waits."""
    results = await asyncio.gather(
        *(asyncio.wait_for(check(parts), _SECONDS) for check in CHECKS.values()),
        return_exceptions=True,
    )
    found = dict(zip(CHECKS, results, strict=True))
    is_ready = (
        not isinstance(found["database"], BaseException)
        and not isinstance(found["migrations"], NotMigrated)
        and not isinstance(found["storage"], StorageRejected)
    )
    return Readiness({name: _word(result) for name, result in found.items()}, is_ready)


async def _database(parts: ProcessParts) -> None:
    await parts.ping_database()


async def _migrations(parts: ProcessParts) -> None:
    async with parts.engine.connect() as connection:
        # Our own name of the table, of which nobody else makes a part.
        statement = text(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608
        try:
            found = (await connection.execute(statement)).scalar()
        except ProgrammingError as exc:
            if not isinstance(exc.orig, UndefinedTable):
                raise
            found = None  # another database than there was: an empty one, or another's
    if found is None:
        raise NotMigrated("The database has no tables of waybill. Run `waybill migrate`.")
    if found in _earlier_revisions():
        raise NotMigrated(f"The database is at {found}. Run `waybill migrate`.")


async def _broker(parts: ProcessParts) -> None:
    await parts.queue.check()


async def _storage(parts: ProcessParts) -> None:
    await asyncio.to_thread(parts.storage.check)


CHECKS: Final[Mapping[str, Callable[[ProcessParts], Awaitable[None]]]] = {
    "database": _database,
    "migrations": _migrations,
    "broker": _broker,
    "storage": _storage,
}


@cache
def _earlier_revisions() -> frozenset[str]:
    return frozenset(known_revisions()[:-1])


def _word(result: object) -> str:
    if isinstance(result, TimeoutError):
        return "does not answer"
    if isinstance(result, WaybillError):
        return result.code
    return "unavailable" if isinstance(result, BaseException) else _OK
