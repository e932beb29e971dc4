"""Work for an answer that nobody waits for any more is ended."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request
from starlette.types import Receive

T = TypeVar("T")

CLIENT_GONE = 499
"""nginx's number for it; nobody reads it."""


class ClientGone(Exception):
    """Control flow: nobody waits for the answer any more."""


async def wait_until_gone(receive: Receive) -> None:
    """Return when the client has closed its connection; for use once the body was read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def until_client_leaves(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what ``work`` returns. When the client goes it is cancelled, and waited for.

    Raises:
        ClientGone: the client went first.
    """
    working = asyncio.create_task(work)
    gone = asyncio.create_task(wait_until_gone(request.receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return working.result()
    finally:
        gone.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait({working})
