"""What is found out about a request, kept in its scope under names of our own.

``request.state`` is the application's that embeds us: its ``session`` is one of a database, and
whatever we wrote there would be found by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar, cast

from starlette._utils import get_route_path
from starlette.requests import HTTPConnection
from starlette.types import Scope

from waybill.principal import Principal

T = TypeVar("T")


@dataclass(frozen=True)
class OfRequest(Generic[T]):
    """A value of one request; ``name`` begins with ``waybill.``, which no other program's does."""

    name: str

    def keep(self, request: HTTPConnection, value: T) -> None:
        """Keep ``value`` for whatever answers this request from here on."""
        request.scope[self.name] = value

    def find(self, request: HTTPConnection) -> T | None:
        """Return the value, or ``None`` where none was kept."""
        return cast("T | None", request.scope.get(self.name))


AUTHENTICATED: Final = OfRequest[Principal]("waybill.authenticated")
"""Who sent it by the head alone, before the body is read."""
PRINCIPAL: Final = OfRequest[Principal]("waybill.principal")
"""Whose request it is, whoever decided."""


def is_of_api(scope: Scope) -> bool:
    """Return whether the request is for the API and for no page. Where this application is mounted
    has no say in it: that may be below an ``/api/`` of another one."""
    return get_route_path(scope).startswith("/api/")
