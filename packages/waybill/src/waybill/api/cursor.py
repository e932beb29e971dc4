"""Places in a list that is ordered by creation time and id, newest first."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query

from waybill.errors import InvalidOption

Cursor = Annotated[
    str | None,
    Query(max_length=100, description="Where the page begins: copied from `next`."),
]


def write_cursor(at: datetime, export_id: UUID) -> str:
    """Return the place after one job."""
    return f"{at.isoformat()}_{export_id}"


def read_cursor(cursor: str | None) -> tuple[datetime, UUID] | None:
    """Return the place a cursor names.

    Raises:
        InvalidOption: it is not one of ours.
    """
    if cursor is None:
        return None
    at, _, export_id = cursor.partition("_")
    try:
        place = datetime.fromisoformat(at), UUID(export_id)
    except ValueError:
        raise InvalidOption("cursor", "copy it from `next` as it is.") from None
    if place[0].tzinfo is None:
        raise InvalidOption("cursor", "copy it from `next` as it is.")
    return place
