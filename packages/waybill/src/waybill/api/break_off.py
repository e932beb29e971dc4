"""How an answer under way ends that is not whole, whatever an application has around a mount.

ASGI has no message for it: an application raises, and a server that sees it closes the connection
without the end. Starlette's ``BaseHTTPMiddleware`` (every ``@app.middleware("http")``) sends the
end first, as if the answer were whole, and raises afterwards. So a piece of the body goes ahead
that is handed on and that nobody can send: whoever tries raises in the right place, which is the
server itself, or what gathers the body.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final, NoReturn

from starlette.types import Scope, Send

from waybill.api.own_app import HOST_APP
from waybill.api.problems import AnswerBroken

# Of a client that reads nothing any more; what the answer was made from is closed by then.
_MOST_SECONDS: Final = 900.0


class _Unsendable:
    """Is something, and has neither bytes nor a length."""

    def __bool__(self) -> bool:
        return True

    def _refuse(self) -> NoReturn:
        raise AnswerBroken("the answer broke off midway")

    __len__ = __iter__ = __bytes__ = _refuse


async def break_off(scope: Scope, send: Send) -> None:
    """Have nobody in front of this application end the answer under way. Takes as long as the
    client takes to read what it was sent."""
    if HOST_APP not in scope:
        return  # a server is in front, which is told by what comes next: an exception, or nothing
    with contextlib.suppress(Exception):  # the server's own objection, should one be in front
        async with asyncio.timeout(_MOST_SECONDS):
            await send({"type": "http.response.body", "body": _Unsendable(), "more_body": True})
