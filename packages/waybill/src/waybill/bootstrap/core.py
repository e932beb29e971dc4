"""What every role has. Each part connects to nothing before it is used itself."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from celery import Celery
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from waybill.audit.audit import AuditLog
from waybill.clock import Clock, SystemClock
from waybill.config import Settings
from waybill.jobs.celery_app import create_celery
from waybill.jobs.checkpoints import forget_checkpoint
from waybill.jobs.queue import ExportQueue
from waybill.jobs.repository import ExportRepository
from waybill.jobs.rows import JobListener
from waybill.keep_alive import keep_alive
from waybill.notify.notifications import build_outbox


class CoreParts:
    """What every role has: the jobs, the queue, the audit trail.

    Args:
        settings: the process's.
        clock: the time; the system's unless given.
        celery: the application that messages go through, if there is one already.
    """

    def __init__(
        self, settings: Settings, *, clock: Clock | None = None, celery: Celery | None = None
    ) -> None:
        self.settings = settings
        self.clock = clock or SystemClock(settings.clock_offset_seconds)
        self.engine = create_engine(settings)
        self.audit = AuditLog(self.engine)
        # Told of every job that ends, in the transaction that ends it.
        self.outbox = build_outbox(settings, self.engine, clock=self.clock)
        self._listeners: list[JobListener] = [self.outbox.enqueue, forget_checkpoint]
        self.repository = ExportRepository(self.engine, listeners=self._listeners)
        self.queue = ExportQueue(celery or create_celery(settings))

    async def ping_database(self) -> None:
        """Raise unless waybill's own database answers, and has its tables."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1 FROM export_jobs LIMIT 1"))

    async def close(self) -> None:
        """Close the connections of this process."""
        await self.engine.dispose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


def create_engine(settings: Settings) -> AsyncEngine:
    """Return the engine of waybill's own database."""
    return create_async_engine(
        settings.sqlalchemy_url,
        pool_size=10,
        max_overflow=10,
        # A restart of the database must not fail the first request after it.
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": 5,
            **keep_alive(),
            "application_name": "waybill",
            # Our own statements are small; one that waits is a fault to see, not to sit out.
            "options": "-c statement_timeout=15000 -c lock_timeout=5000",
        },
    )
