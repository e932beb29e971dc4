"""Idempotency keys (draft-ietf-httpapi-idempotency-key-header): one answer for one request.

A key belongs to the person who sent it. While a request with it is being answered it is locked in
the database, so a crash frees it at once; the answer is kept with the job, in the transaction that
made the job, and given again to whoever repeats the request.

What is kept of a key is its digest, and of the request a digest keyed by the key. So who reads the
table, long after what the request filtered by was forgotten, cannot try which values it was: keys
are a client's random numbers, and are nowhere.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import TypeAdapter
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from waybill.errors import IdempotencyKeyReused, InvalidHeader, TooManyIdempotencyKeys
from waybill.jobs.forgetting import without_values
from waybill.jobs.job import ExportJob
from waybill.principal import Principal
from waybill.requests.admission_tables import idempotency_keys as keys

_MAX_CHARACTERS: Final = 255
# The draft wants a Structured Field String (RFC 9651, section 3.3.3); bare keys are what most
# clients send, so both are taken, and "a" is the same key as a.
_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")

_JOB = TypeAdapter(ExportJob)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered: the job as it was then, and whether the request had made it."""

    job: ExportJob
    is_new: bool
    answered_at: datetime


def read_key(header: str) -> str:
    """Return the key in an ``Idempotency-Key`` header.

    Raises:
        InvalidHeader: it is none.
    """
    text = header.strip()
    quoted = _QUOTED.fullmatch(text)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text
    if not key or len(key) > _MAX_CHARACTERS or not (quoted or _BARE.fullmatch(text)):
        raise InvalidHeader(
            "Idempotency-Key",
            f"give 1 to {_MAX_CHARACTERS} visible ASCII characters, a UUID for example",
        )
    return key


async def find_answer(
    connection: AsyncConnection,
    principal: Principal,
    key: str,
    fingerprint: str,
    retention: timedelta,
) -> Answer | None:
    """Return what the key was answered with, or ``None`` if it is new or forgotten.

    Raises:
        IdempotencyKeyReused: it came with another request.
    """
    row = (
        await connection.execute(
            select(keys.c.fingerprint, keys.c.answer, keys.c.is_new, keys.c.created_at).where(
                *_is(principal, key), keys.c.created_at > func.now() - retention
            )
        )
    ).one_or_none()
    if row is None:
        return None
    # Rows of before version 0.2 hold the fingerprint itself.
    if row.fingerprint not in {_keyed(key, fingerprint), fingerprint}:
        raise IdempotencyKeyReused
    return Answer(_JOB.validate_python(row.answer), row.is_new, row.created_at)


async def check_room(
    connection: AsyncConnection, principal: Principal, retention: timedelta, *, most: int
) -> None:
    """See that a person who brings a new key has fewer than ``most``. Taken under their turn.

    Raises:
        TooManyIdempotencyKeys: they have not; says when the first of them is forgotten.
    """
    oldest_first = (
        select(keys.c.created_at)
        .where(
            keys.c.requested_by == principal.subject,
            keys.c.tenant == (principal.tenant or ""),
            keys.c.created_at > func.now() - retention,
        )
        .order_by(keys.c.created_at.desc())
        .offset(most - 1)
        .limit(1)
        .subquery()
    )
    wait = select(func.extract("epoch", oldest_first.c.created_at + retention - func.now()))
    seconds = (await connection.execute(wait)).scalar_one_or_none()
    if seconds is not None:
        raise TooManyIdempotencyKeys(most, retry_after_seconds=max(1.0, float(seconds)))


async def keep_answer(
    connection: AsyncConnection,
    principal: Principal,
    key: str,
    fingerprint: str,
    job: ExportJob,
    *,
    is_new: bool,
) -> None:
    """Remember the answer, in place of one that is past its time."""
    # The lease is a worker's secret, and an unfinished job has no manifest.
    answer: dict[str, Any] = _JOB.dump_python(job, mode="json", exclude={"lease_token", "manifest"})
    answer["options"] = without_values(job.options)  # no answer shows them, so none keeps them
    values = {
        "fingerprint": _keyed(key, fingerprint),
        "export_id": job.id,
        "answer": answer,
        "is_new": is_new,
        "created_at": func.now(),
    }
    await connection.execute(
        insert(keys)
        .values(
            requested_by=principal.subject,
            tenant=principal.tenant or "",
            key=_digest(key),
            **values,
        )
        .on_conflict_do_update(constraint="uq_idempotency_keys_key", set_=values)
    )


async def forget_keys(connection: AsyncConnection, retention: timedelta, *, limit: int) -> int:
    """Delete keys past their time. Returns how many."""
    old = select(keys.c.id).where(keys.c.created_at <= func.now() - retention).limit(limit)
    result = await connection.execute(delete(keys).where(keys.c.id.in_(old)))
    return result.rowcount


def _is(principal: Principal, key: str) -> tuple[Any, ...]:
    return (
        keys.c.requested_by == principal.subject,
        # No tenant is stored as "", since NULL would not be unique.
        keys.c.tenant == (principal.tenant or ""),
        keys.c.key == _digest(key),
    )


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _keyed(key: str, fingerprint: str) -> str:
    return hmac.new(key.encode(), fingerprint.encode(), hashlib.sha256).hexdigest()
