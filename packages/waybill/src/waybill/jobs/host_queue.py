"""Our queue in a Celery application that somebody else has: announced through their broker, with
their key prefix and transport, so that their worker finds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID
from weakref import WeakKeyDictionary

from celery.local import Proxy

from waybill.jobs.messages import QueueKeys
from waybill.jobs.queue import ExportQueue, unavailable

if TYPE_CHECKING:
    from celery import Celery

_NOT_FOUND: Final = "404"  # of AMQP, and of kombu's transports that speak something else

RUN_EXPORT_HERE: Final = "waybill.run_export"
"""Our task among theirs."""

_queues: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def itself(app: Celery) -> Celery:
    """Return the application that a proxy stands for (``celery.current_app``): signals name it, and
    in another thread the proxy may stand for another one."""
    # Asked of the type: a proxy says that it is what it stands for.
    found: Celery = app._get_current_object() if issubclass(type(app), Proxy) else app
    return found


def adopt(app: Celery, queue: str) -> None:
    """Remember that ``app`` is somebody's, and which of its queues is ours."""
    _queues[app] = queue


def queue_of(app: Celery | None) -> str | None:
    """Return which queue of ``app`` is ours; ``None`` where it is no application of theirs."""
    return None if app is None else _queues.get(itself(app))


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

    def _publish(self, export_id: UUID) -> None:
        know_queue(self._celery, self._queue)
        super()._publish(export_id)

    def _ask(self, question: Callable[[Any], int]) -> int:
        with unavailable("answer"), self._celery.connection_for_write() as connection:
            # Theirs may be set to wait for a broker for ever.
            connection.ensure_connection(max_retries=1, interval_start=0)
            return question(connection)

    def _write(self, connection: Any) -> int:
        # Whatever is written by hand would go past their key prefix.
        return int(connection.default_channel.client.ping()) if _is_redis(connection) else 1

    def _depth(self, connection: Any) -> int:
        # Asked of kombu: theirs may give messages a priority, and Redis has a list for each.
        try:
            return int(
                connection.default_channel.queue_declare(self._queue, passive=True).message_count
            )
        except connection.channel_errors as exc:
            if str(getattr(exc, "code", None) or getattr(exc, "reply_code", "")) != _NOT_FOUND:
                raise
            return 0  # nobody has made the queue yet


def know_queue(app: Celery, name: str) -> None:
    """Make ``name`` a queue of ``app``, which may forbid Celery to make those it is not told of
    (``task_create_missing_queues``)."""
    queues = app.amqp.queues
    if name not in queues:
        queues.add(queues.new_missing(name))


def _is_redis(connection: Any) -> bool:
    return bool(connection.transport.driver_type == "redis")
