"""The runner in this process, on real services; only its line to the database can be spoiled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from waybill.bootstrap.everything import Services
from waybill.errors import SourceUnavailable
from waybill.jobs.job import ExportJob
from waybill.jobs.leases import LeaseRepository
from waybill.source.source import PostgresSnapshot
from waybill.storage.base import PartReceipt
from waybill.storage.directory.upload import DirectoryUpload
from waybill.storage.s3.upload import S3Upload


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


@pytest.fixture
def break_off(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], None]:
    """Have COPY break off behind so many rows, with a part stored; ``None`` for never."""
    real = PostgresSnapshot.copy
    limit: list[int | None] = [None]
    stored = threading.Event()

    def telling(real_write: Callable[..., PartReceipt]) -> Callable[..., PartReceipt]:
        def write_part(*arguments: Any) -> PartReceipt:
            receipt = real_write(*arguments)
            stored.set()
            return receipt

        return write_part

    def copy(self: PostgresSnapshot, statement: Any, **options: Any) -> Iterator[Any]:
        rows = 0
        stored.clear()
        for chunk in real(self, statement, **options):
            rows += chunk.rows
            if limit[0] is not None and rows > limit[0]:
                assert stored.wait(30)
                raise SourceUnavailable("Broken off by the test.")
            yield chunk

    monkeypatch.setattr(PostgresSnapshot, "copy", copy)
    for upload in (S3Upload, DirectoryUpload):
        monkeypatch.setattr(upload, "write_part", telling(upload.write_part))
    return lambda rows: limit.__setitem__(0, rows)
