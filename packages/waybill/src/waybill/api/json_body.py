"""Bodies that say one thing twice are refused: two programs may read them differently, and one of
them may be what checked the request before it came here."""

from __future__ import annotations

import json
from typing import Any

from fastapi import Request

from waybill.errors import AmbiguousBody


def _unambiguous(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise AmbiguousBody


async def require_unambiguous_json(request: Request) -> None:
    """FastAPI dependency of routes with a body.

    Raises:
        AmbiguousBody: an object in it has the same name twice.
    """
    body = await request.body()
    if not body:
        return
    try:
        json.loads(body, object_pairs_hook=_unambiguous)
    except (ValueError, RecursionError):
        return  # no JSON at all: FastAPI has an answer to that
