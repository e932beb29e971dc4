"""The thread of the scheduler that delivers, beside the one that sweeps.

A receiver may take half a minute to answer; exports are swept every second. The thread has an
event loop and connections of its own, because neither may be shared.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from waybill.log import get_logger
from waybill.notify.notifications import Notifications

log = get_logger(__name__)

_HOUSEKEEPING_SECONDS = 30.0


class DeliveryThread:
    """Delivers due notifications until it is stopped.

    Args:
        open_notifications: opens the thread's own services, on the thread's own loop.
        interval_seconds: how long it rests when nothing is due.
        housekeeping_seconds: how often it announces expiring files and clears what is over.
    """

    def __init__(
        self,
        open_notifications: Callable[[], AbstractAsyncContextManager[Notifications]],
        *,
        interval_seconds: float,
        housekeeping_seconds: float = _HOUSEKEEPING_SECONDS,
    ) -> None:
        self._open = open_notifications
        self._interval_seconds = interval_seconds
        self._housekeeping_seconds = housekeeping_seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._started = threading.Event()
        # A daemon: an unanswered webhook never keeps a stopped scheduler alive. Whatever it was
        # sending is claimed again when its lease has passed.
        self._thread = threading.Thread(target=self._main, name="notifications", daemon=True)

    def start(self) -> None:
        """Start delivering."""
        self._thread.start()
        self._started.wait()

    def stop(self, *, grace_seconds: float = 5.0) -> bool:
        """Let the batch in hand end, within ``grace_seconds``. Returns whether it did."""
        if self._loop is not None and self._stopping is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(grace_seconds)
        return not self._thread.is_alive()

    def _main(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            self._stopping = asyncio.Event()
            self._started.set()
            runner.run(self._run(self._stopping))

    async def _run(self, stopping: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        next_housekeeping = loop.time()
        async with self._open() as notifications:
            while not stopping.is_set():
                tried = 0
                try:
                    if loop.time() >= next_housekeeping:
                        await notifications.housekeep()
                        next_housekeeping = loop.time() + self._housekeeping_seconds
                    tried = await notifications.dispatcher.deliver_due()
                except Exception as exc:
                    # The database may be away for a while; the next round tries again. The class
                    # alone: its message may quote a row.
                    log.error(  # noqa: TRY400
                        "notification.round_failed", error=type(exc).__name__
                    )
                if not tried:
                    await _rest(stopping, self._interval_seconds)


async def _rest(stopping: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return
