"""Places in a list that is ordered by creation time and id, newest first."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Protocol, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Query, Request

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST: Final = datetime(1, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9999, 12, 31, tzinfo=UTC)
_FORMAT: Final = struct.Struct(">q16s")
"""Microseconds since 1970 and the id: 24 bytes, so that each cursor is 32 characters and every 32
characters of the alphabet are a cursor."""

Cursor = Annotated[
    str | None,
    Query(
        pattern=r"^[A-Za-z0-9_-]{32}$",
        description="Where the page begins: copied from `next`.",
    ),
]


class Listed(Protocol):
    """What such a list is of."""

    @property
    def id(self) -> UUID: ...
    @property
    def created_at(self) -> datetime: ...


L = TypeVar("L", bound=Listed)


def cut_page(
    found: Sequence[L], limit: int, request: Request, address: str
) -> tuple[Sequence[L], str | None]:
    """Return a page of at most ``limit``, and the address of the next one if there is any.

    Args:
        found: one more than ``limit``, if there are so many: it tells whether there is a next page.
        limit: how many a page holds.
        request: whose filters the next page keeps.
        address: of the list, without a query.
    """
    page = found[:limit]
    if len(found) <= limit:
        return page, None
    place = write_cursor(page[-1].created_at, page[-1].id)
    query = dict(request.query_params) | {"limit": str(limit), "cursor": place}
    return page, f"{address}?{urlencode(query)}"


def write_cursor(at: datetime, export_id: UUID) -> str:
    """Return the place after one job."""
    microseconds = (at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(_FORMAT.pack(microseconds, export_id.bytes)).decode()


def read_cursor(cursor: str | None) -> tuple[datetime, UUID] | None:
    """Return the place that a cursor of the right form names. One beyond all dates is their end."""
    if cursor is None:
        return None
    microseconds, export_id = _FORMAT.unpack(base64.urlsafe_b64decode(cursor))
    try:
        at = _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        at = _LATEST if microseconds > 0 else _EARLIEST
    return at, UUID(bytes=export_id)
