"""What happens beside the pipeline: the lease is renewed, progress recorded, orders passed on."""

from __future__ import annotations

import asyncio
import time

from waybill.config import Settings
from waybill.errors import DeadlineExceeded, LeaseLost, RunStopped
from waybill.jobs.job import Lease
from waybill.jobs.leases import LeaseRepository
from waybill.jobs.source_use import Count
from waybill.log import get_logger
from waybill.run.control import AttemptControl
from waybill.run.settlement import DATABASE_ERRORS, WRITE_TIMEOUT_SECONDS
from waybill.run.shutdown import ShutdownFlag

log = get_logger(__name__)

_TICK_SECONDS = 0.25
_LEASE_SHARE = 0.8
"""A worker trusts its lease for this share of it: by the time another may have the job, with the
servers' clocks running at slightly different speeds, this attempt is over."""
_SHARE_SECONDS = 2.0
"""How often it is asked among how many a source's rate is shared."""
UNWIND_SECONDS = 15.0
"""How long a pipeline may take to end after it was told to. Its own waits look every 0.25 s; what
takes longer is a single request to a storage that does not answer."""


class Heartbeat:
    """Keeps one attempt alive, or ends it. ``count`` says how many exports read its source, where
    that is how many share its rate."""

    def __init__(
        self,
        leases: LeaseRepository,
        lease: Lease,
        control: AttemptControl,
        settings: Settings,
        shutdown: ShutdownFlag | None,
        count: Count | None = None,
    ) -> None:
        self._count = count
        self._counted_at = 0.0
        self._leases = leases
        self._lease = lease
        self._control = control
        self._settings = settings
        self._shutdown = shutdown

    async def run(self) -> None:
        """Beat until cancelled; return when the pipeline was told to stop and does not end."""
        renewed_at = time.monotonic()
        recorded = self._control.snapshot()
        stop_at: float | None = None
        stopped_at: float | None = None
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = time.monotonic()
            if self._control.seconds_left() == 0:
                self._control.stop(DeadlineExceeded(self._control.deadline_seconds))
            if self._shutdown is not None and self._shutdown.is_set():
                grace = 0.0 if self._shutdown.is_urgent() else self._settings.shutdown_grace_seconds
                stop_at = min(now + grace, now + grace if stop_at is None else stop_at)
                if now >= stop_at:
                    self._control.stop(RunStopped("The worker was told to stop."))
            reason = self._control.stopped_because()
            if reason is not None:
                stopped_at = stopped_at or now
                if now - stopped_at >= UNWIND_SECONDS:
                    return
                if isinstance(reason, LeaseLost):
                    continue  # nothing left to renew
            if now - self._counted_at >= _SHARE_SECONDS:
                await self.share()
            progress = self._control.snapshot()
            idle = now - renewed_at
            moved = progress != recorded and idle >= self._settings.progress_seconds
            if not moved and idle < self._settings.heartbeat_seconds:
                continue
            try:
                async with asyncio.timeout(WRITE_TIMEOUT_SECONDS):
                    held = await self._leases.renew(
                        self._lease, progress, lease_seconds=self._settings.lease_seconds
                    )
            except DATABASE_ERRORS as exc:
                # Tried again at the next tick; the control ends the attempt when the lease would.
                log.warning("export.heartbeat_failed", error=type(exc).__name__)
                continue
            if not held:
                self._control.stop(LeaseLost("The lease was lost."))
                continue
            renewed_at, recorded = now, progress
            self._control.hold_until(trusted_until(now, self._settings.lease_seconds))

    async def share(self) -> None:
        """Find out among how many the source's rate is shared."""
        self._counted_at = time.monotonic()
        if self._count is None:
            return
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_SECONDS):
                self._control.share_with(await self._count())
        except DATABASE_ERRORS as exc:
            # As many as there were: where the database stays away, the lease ends the attempt.
            log.warning("export.sharers_unknown", error=type(exc).__name__)


def trusted_until(asked_at: float, lease_seconds: float) -> float:
    """Return until when to trust a lease asked for at ``asked_at`` of ``time.monotonic``."""
    return asked_at + lease_seconds * _LEASE_SHARE
