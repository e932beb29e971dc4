"""Portal links: what a host's back end hands to one person, to open the pages once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from waybill.jobs.rows import seconds
from waybill.principal import Principal
from waybill.sessions.person import digest, new_secret, person_json, person_of
from waybill.sessions.tables import portal_links as links


@dataclass(frozen=True, slots=True)
class Opened:
    """Whom a link was for, and where they go first."""

    person: Principal
    target: str


class PortalLinks:
    """Mints links and redeems each of them once.

    Args:
        engine: waybill's own database, whose clock decides.
        seconds: how long a link may wait for its person.
    """

    def __init__(self, engine: AsyncEngine, *, seconds: float) -> None:
        self._engine = engine
        self._seconds = seconds

    async def mint(self, person: Principal, target: str) -> tuple[str, datetime]:
        """Return a new link's secret, which is kept nowhere, and until when it opens."""
        secret = new_secret()
        statement = (
            insert(links)
            .values(
                token_hash=digest(secret),
                person=person_json(person),
                target=target,
                expires_at=func.now() + seconds(self._seconds),
            )
            .returning(links.c.expires_at)
        )
        async with self._engine.begin() as connection:
            expires_at: datetime = (await connection.execute(statement)).scalar_one()
        return secret, expires_at

    async def forget(self) -> None:
        """Delete links that nobody came by: they hold whom they were for."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(links).where(links.c.expires_at < func.now()))

    async def redeem(self, secret: str) -> Opened | None:
        """Use a link up. ``None`` for one that was used, is too old or never was: the three look
        the same. Of two at once one gets it, as the row is deleted by it."""
        statement = (
            delete(links)
            .where(links.c.token_hash == digest(secret), links.c.expires_at > func.now())
            .returning(links.c.person, links.c.target)
        )
        async with self._engine.begin() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else Opened(person_of(row.person), row.target)
