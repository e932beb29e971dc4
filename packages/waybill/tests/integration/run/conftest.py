"""The runner in this process, on real services; only its line to the database can be spoiled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from waybill.bootstrap import Services
from waybill.jobs.job import ExportJob
from waybill.jobs.leases import LeaseRepository


class SpoiledLeases(LeaseRepository):
    """The real repository, whose answers can get lost, or never come."""

    def __init__(self, real: LeaseRepository, services: Services) -> None:
        super().__init__(services.engine, listeners=real._listeners)
        self.lose_answer: set[str] = set()
        """Methods whose next call takes effect, but fails for the caller."""
        self.lose_request: set[str] = set()
        """Methods whose next call fails before it takes effect."""
        self.stall: set[str] = set()
        """Methods that never answer."""
        self.calls: list[str] = []

    async def _spoiled(self, name: str, work: Awaitable[Any]) -> Any:
        self.calls.append(name)
        if name in self.stall:
            work.close()  # type: ignore[attr-defined]
            await asyncio.Event().wait()
        if name in self.lose_request:
            self.lose_request.discard(name)
            work.close()  # type: ignore[attr-defined]
            raise OperationalError(name, None, Exception("connection reset"))
        result = await work
        if name in self.lose_answer:
            self.lose_answer.discard(name)
            raise OperationalError(name, None, Exception("connection reset"))
        return result


def _spoil(name: str) -> Any:
    real = getattr(LeaseRepository, name)

    async def call(self: SpoiledLeases, *args: Any, **kwargs: Any) -> Any:
        return await self._spoiled(name, real(self, *args, **kwargs))

    return call


for _name in ("claim", "renew", "complete", "retry", "fail", "give_back", "find_attempt"):
    setattr(SpoiledLeases, _name, _spoil(_name))


@pytest.fixture
def leases(services: Services) -> SpoiledLeases:
    """The runner's repository, spoiled on demand."""
    spoiled = SpoiledLeases(services.leases, services)
    services.runner._leases = spoiled
    services.runner._settlement._leases = spoiled
    return spoiled


@pytest.fixture
def add(services: Services) -> Callable[..., Awaitable[ExportJob]]:
    """Add a queued job of Ann's."""

    async def add(**values: Any) -> ExportJob:
        defaults: dict[str, Any] = {
            "export_type": "users",
            "format": "csv",
            "options": {},
            "requested_by": "ann",
            "tenant": None,
            "max_attempts": 3,
        }
        return await services.repository.add(**(defaults | values))

    return add
