"""What every role has. Each part connects to nothing before it is used itself."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from celery import Celery
from sqlalchemy import Connection, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from waybill.audit.audit import AuditLog
from waybill.clock import Clock, SystemClock
from waybill.config import Settings
from waybill.jobs.broker import read_address
from waybill.jobs.celery_app import create_celery
from waybill.jobs.checkpoints import forget_checkpoint
from waybill.jobs.queue import ExportQueue
from waybill.jobs.queue_name import read_queue_name
from waybill.jobs.repository import ExportRepository
from waybill.jobs.rows import JobListener
from waybill.notify.notifications import build_outbox
from waybill.own_database import connection_arguments, opening


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
        # A wrong address ends the command; the queue's name is in the database, which may be away.
        read_address(settings.redis_url.get_secret_value(), settings.redis_master_name)
        self.queue = ExportQueue(
            lambda: (
                celery
                or create_celery(
                    settings, read_queue_name(settings.database_dsn, settings.own_schema)
                )
            )
        )

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
    engine = create_async_engine(
        # What SQLAlchemy reads of a URL is less than libpq does: several hosts, for one.
        "postgresql+psycopg://",
        pool_size=10,
        max_overflow=10,
        # A restart of the database must not fail the first request after it.
        pool_pre_ping=True,
        connect_args=connection_arguments(settings.database_dsn, application_name="waybill"),
    )
    # Our own statements are small; one that waits is a fault to see, not to sit out.
    begin = opening(
        settings.database_dsn,
        settings.own_schema,
        statement_timeout_ms=15_000,
        lock_timeout_ms=5_000,
    )

    def prepare(connection: Connection) -> None:
        # Without a transaction nothing would last; what is said there names its schema.
        if begin and connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "begin", prepare)
    return engine
