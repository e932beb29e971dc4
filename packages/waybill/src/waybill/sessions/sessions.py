"""Sessions: a secret in a cookie that stands for a person until it is over.

The secret changes while the session goes on, so that a stolen one is worth little: the one before
holds for a minute more, for requests that were under way and for other tabs. Whoever comes with it
later has a copy, or had the answer lost; either way the session ends, and the person signs in anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from waybill.jobs.rows import seconds as interval
from waybill.log import get_logger
from waybill.principal import Principal
from waybill.sessions.person import digest, new_secret, person_json, person_of
from waybill.sessions.tables import page_sessions as sessions

log = get_logger(__name__)

GRACE_SECONDS: Final = 60
"""How long the secret before the present one is taken."""
ROTATION_SECONDS: Final = 900
"""How old a secret becomes before the next page brings another."""
_SEEN_SECONDS: Final = 60
"""How exactly it is written down when somebody was last seen."""


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody's session, as one request sees it."""

    id: UUID
    person: Principal
    expires_at: datetime
    is_due_to_rotate: bool


class Sessions:
    """Begins, finds, renews and ends sessions, all by the database's clock.

    Args:
        engine: waybill's own database.
        seconds: how long a session lasts, whatever is done in it.
        idle_seconds: how long it lasts without a word.
    """

    def __init__(self, engine: AsyncEngine, *, seconds: float, idle_seconds: float) -> None:
        self._engine = engine
        self._seconds = seconds
        self._idle_seconds = idle_seconds

    async def begin(self, person: Principal) -> str:
        """Begin a session and return its secret. The sign-in is of now, unless it is known."""
        secret = await self.begin_once(person, uuid4())
        assert secret is not None  # noqa: S101 - nobody else has that id
        return secret

    async def begin_once(self, person: Principal, session_id: UUID) -> str | None:
        """Begin the session of an id, and return its secret; ``None`` when it has begun already:
        a sign-in that knows its session's id can be used one time."""
        secret = new_secret()
        statement = (
            insert(sessions)
            .values(
                id=session_id,
                token_hash=digest(secret),
                person=person_json(person),
                expires_at=_in(self._seconds),
            )
            .on_conflict_do_nothing(index_elements=[sessions.c.id])
            .returning(sessions.c.id)
        )
        async with self._engine.begin() as connection:
            begun = (await connection.execute(statement)).one_or_none()
        return None if begun is None else secret

    async def find(self, secret: str) -> Session | None:
        """Return the session that a secret stands for; ``None`` when it is over, or never was."""
        given = digest(secret)
        is_previous = sessions.c.previous_hash == given
        statement = select(
            sessions.c.id,
            sessions.c.person,
            sessions.c.expires_at,
            is_previous.label("is_previous"),
            (sessions.c.rotated_at < _in(-GRACE_SECONDS)).label("is_past_grace"),
            (sessions.c.rotated_at < _in(-ROTATION_SECONDS)).label("is_due"),
            (sessions.c.seen_at < _in(-_SEEN_SECONDS)).label("is_unseen"),
        ).where(or_(sessions.c.token_hash == given, is_previous), self._is_alive())
        async with self._engine.connect() as connection:
            row = (await connection.execute(statement)).one_or_none()
        if row is None:
            return None
        if row.is_previous and row.is_past_grace:
            log.warning("session.old_secret", session=str(row.id))
            await self._end(sessions.c.id == row.id)
            return None
        if row.is_unseen:
            async with self._engine.begin() as connection:
                await connection.execute(
                    update(sessions).where(sessions.c.id == row.id).values(seen_at=func.now())
                )
        return Session(
            row.id,
            person_of(row.person, expires_at=row.expires_at),
            row.expires_at,
            is_due_to_rotate=row.is_due and not row.is_previous,
        )

    async def rotate(self, secret: str) -> str | None:
        """Give a session another secret; ``None`` when another tab was faster, or it is over."""
        fresh, given = new_secret(), digest(secret)
        statement = (
            update(sessions)
            .where(
                sessions.c.token_hash == given,
                sessions.c.rotated_at < _in(-ROTATION_SECONDS),
                self._is_alive(),
            )
            .values(token_hash=digest(fresh), previous_hash=given, rotated_at=func.now())
            .returning(sessions.c.id)
        )
        async with self._engine.begin() as connection:
            changed = (await connection.execute(statement)).one_or_none()
        return None if changed is None else fresh

    async def end(self, secret: str) -> None:
        """End a session; harmless for one that is over."""
        given = digest(secret)
        await self._end(or_(sessions.c.token_hash == given, sessions.c.previous_hash == given))

    async def forget(self) -> None:
        """Delete sessions that are over: they hold who somebody was."""
        await self._end(~self._is_alive())

    async def _end(self, which: ColumnElement[bool]) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(delete(sessions).where(which))

    def _is_alive(self) -> ColumnElement[bool]:
        return (sessions.c.expires_at > func.now()) & (
            sessions.c.seen_at > _in(-self._idle_seconds)
        )


def _in(seconds: float) -> ColumnElement[datetime]:
    return func.now() + interval(seconds)
