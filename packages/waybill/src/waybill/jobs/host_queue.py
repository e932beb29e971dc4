"""Our queue in a Celery application that somebody else has: announced through their broker, with
their key prefix and transport, so that their worker finds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from waybill.jobs.messages import QueueKeys
from waybill.jobs.queue import ExportQueue, unavailable

if TYPE_CHECKING:
    from celery import Celery

RUN_EXPORT_HERE: Final = "waybill.run_export"
"""Our task among theirs."""

_queues: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def adopt(app: Celery, queue: str) -> None:
    """Remember that ``app`` is somebody's, and which of its queues is ours."""
    _queues[app] = queue


def queue_of(app: Celery | None) -> str | None:
    """Return which queue of ``app`` is ours; ``None`` where it is no application of theirs."""
    return None if app is None else _queues.get(app)


class HostQueue(ExportQueue):
    """Publishes job ids in somebody's Celery application.

    Args:
        app: theirs.
        queue: which of its queues is ours.
    """

    task = RUN_EXPORT_HERE

    def __init__(self, app: Celery, queue: str) -> None:
        super().__init__(lambda: app)
        self._queue = queue

    def keys(self) -> QueueKeys:
        return QueueKeys(self._queue)

    def _warm_up(self) -> None:
        with unavailable("answer"), self._celery.producer_pool.acquire(block=True):
            pass

    async def set_aside(self) -> int:
        """Return 0: what comes from their broker is theirs to judge."""
        return 0

    def _write(self, client: Any) -> int:
        # Whatever is written by hand would go past their key prefix.
        return int(client.ping())
