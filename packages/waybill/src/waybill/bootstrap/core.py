"""What every role has. Each part connects to nothing before it is used itself."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from celery import Celery
from sqlalchemy import text

from waybill.audit.audit import AuditLog
from waybill.audit.sink import AnnouncingEngine, load_audit_sink
from waybill.bootstrap.own_engine import create_engine
from waybill.clock import Clock, SystemClock
from waybill.config import Settings
from waybill.jobs.broker import read_address
from waybill.jobs.celery_app import create_celery
from waybill.jobs.host_queue import HostQueue, itself, queue_of
from waybill.jobs.queue import ExportQueue
from waybill.jobs.queue_name import read_queue_name
from waybill.jobs.repository import ExportRepository
from waybill.jobs.rows import JobListener
from waybill.notify.delivery import NotificationChannel
from waybill.notify.notifications import build_outbox
from waybill.notify.registry import create_channels


class CoreParts:
    """What every role has: the jobs, the queue, the audit trail.

    Args:
        settings: the process's.
        clock: the time; the system's unless given.
        celery: the application that messages go through, if there is one already.
        channels: by which an application that embeds us tells people besides.

    Raises:
        ConfigurationError: the broker's address, a channel or the audit sink does not hold.
    """

    is_audited = True
    """Whether anything it does is in the audit trail: then it needs an application's own sink."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        celery: Celery | None = None,
        channels: Sequence[NotificationChannel] = (),
    ) -> None:
        self.settings = settings
        self.clock = clock or SystemClock(settings.clock_offset_seconds)
        self.engine = create_engine(settings)
        sink = load_audit_sink(settings.audit_sink) if self.is_audited else None
        if sink is not None:
            self.engine = AnnouncingEngine(self.engine.sync_engine)
        self.audit = AuditLog(self.engine, sink)
        # Told of every job that ends, in the transaction that ends it.
        self.channels = create_channels(settings, channels)
        self.outbox = build_outbox(settings, self.channels, self.engine, clock=self.clock)
        self._listeners: list[JobListener] = (
            [self.outbox.enqueue] if self.outbox.has_subscriptions else []
        )
        self.repository = ExportRepository(self.engine, listeners=self._listeners)
        # A wrong address ends the command; the queue's name is in the database, which may be away.
        read_address(settings.redis_url.get_secret_value(), settings.redis_master_name)
        theirs = queue_of(celery)
        if celery is not None and theirs is not None:
            self.queue: ExportQueue = HostQueue(itself(celery), theirs)
        else:
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
        await self.audit.close()
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
