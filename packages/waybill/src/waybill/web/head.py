"""HEAD, answered as GET is and by the same rights (RFC 9110, section 9.3.2), which the framework
leaves to each route."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class HeadRoute(APIRoute):
    """A route that answers HEAD where it answers GET."""

    answers_head = True

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        methods = self.methods or set()
        if self.answers_head and "GET" in methods:
            methods.add("HEAD")

    def get_route_handler(self) -> Handler:
        """Return the handler, as the framework asks for it."""
        answer = self.answering(super().get_route_handler())

        async def handler(request: Request) -> Response:
            response = await answer(request)
            if request.method == "HEAD":
                response.body = b""  # its length stays in the header
            return response

        return handler

    def answering(self, answer: Handler) -> Handler:
        """Return what answers by ``answer``; for routes that do more."""
        return answer
