"""The notification of workers: Celery messages that carry a job's id and nothing else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from waybill.errors import QueueUnavailable
from waybill.jobs.messages import QUEUE_NAME, RUN_EXPORT, QueueKeys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from celery import Celery

__all__ = ["QUEUE_NAME", "RUN_EXPORT", "ExportQueue"]

_WRITTEN_SECONDS: Final = 60


class ExportQueue:
    """Publishes job ids. Losing a message loses nothing: the sweeper publishes again.

    Args:
        make: makes the Celery application, in a thread and at first use: the queue's name is in
            waybill's database.
    """

    task: str = RUN_EXPORT

    def __init__(self, make: Callable[[], Celery]) -> None:
        self._make = make
        self._made: Any = None
        self._lock = threading.Lock()

    @property
    def _celery(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def keys(self) -> QueueKeys:
        """Return the names of this queue's keys. May ask the database."""
        return QueueKeys(self._celery.conf.task_default_queue)

    async def publish(self, export_id: UUID) -> None:
        """Announce a committed job.

        Raises:
            QueueUnavailable: the broker did not take the message.
        """
        # Celery's producer blocks (up to socket_connect_timeout), so it gets a thread.
        await asyncio.to_thread(self._publish, export_id)

    def _publish(self, export_id: UUID) -> None:
        with unavailable("take messages"):
            app = self._celery
            queue = self.keys().queue
            with app.producer_pool.acquire(block=True) as producer:
                try:
                    app.send_task(
                        self.task,
                        args=[str(export_id)],
                        queue=queue,
                        # Said as well: a route of somebody's application (``task_routes``) fills in
                        # what is left out, and has the message go elsewhere.
                        exchange="",
                        routing_key=queue,
                        serializer="json",
                        producer=producer,
                        # The row is committed and the sweeper is the retry: the caller must not
                        # wait.
                        retry=False,
                        ignore_result=True,
                    )
                except Exception:
                    # A connection to a master that was demoted answers READONLY for ever, while
                    # the address may lead to the new one already.
                    with suppress(Exception):
                        producer.connection.collect()
                    raise

    async def warm_up(self) -> None:
        """Connect now, so that the first request does not wait for it.

        Raises:
            QueueUnavailable: the broker does not answer.
        """
        await asyncio.to_thread(self._warm_up)

    def _warm_up(self) -> None:
        with unavailable("answer"), self._celery.producer_pool.acquire(block=True) as producer:
            producer.maybe_declare(self._celery.amqp.queues[self.keys().queue])

    async def check(self) -> None:
        """Find out whether the broker takes messages: by writing, as a replica, a full broker and
        one whose disk is full answer every question.

        Raises:
            QueueUnavailable: it does not.
        """
        await asyncio.to_thread(self._ask, self._write)

    def _write(self, connection: Any) -> int:
        client = connection.default_channel.client
        with client.pipeline() as pipe:
            # The command of a message's way into the queue, for whose right it stands too.
            pipe.lpush(self.keys().written, "")
            pipe.ltrim(self.keys().written, 0, 0)
            pipe.expire(self.keys().written, _WRITTEN_SECONDS)
            return len(pipe.execute())

    async def set_aside(self) -> int:
        """Return how many foreign messages were set aside since the broker was last empty.

        Raises:
            QueueUnavailable: the broker does not answer.
        """
        return await asyncio.to_thread(
            self._ask,
            lambda broker: int(broker.default_channel.client.get(self.keys().set_aside_count) or 0),
        )

    async def depth(self) -> int:
        """Return how many messages wait in the broker.

        Raises:
            QueueUnavailable: the broker does not answer.
        """
        return await asyncio.to_thread(self._ask, self._depth)

    def _depth(self, connection: Any) -> int:
        return int(connection.default_channel.client.llen(self.keys().queue))

    def _ask(self, question: Callable[[Any], int]) -> int:
        with unavailable("answer"), self._celery.connection_for_write() as connection:
            return question(connection)


@contextmanager
def unavailable(what: str) -> Iterator[None]:
    """Raise ``QueueUnavailable`` for whatever goes wrong inside the block.

    Whatever it is, and whichever of kombu, redis-py and the system raises it: the row is committed
    and the sweeper publishes it, so that no caller's request may fail of it.
    """
    try:
        yield
    except Exception as exc:
        raise QueueUnavailable(f"The broker does not {what} ({_reason(exc)}).") from exc


def _reason(error: BaseException) -> str:
    """Return what is wrong in a word: Redis' own (``MISCONF``), else the class that stands for it
    (``ReadOnlyError``). The rest of its answer is prose, and may quote what was sent."""
    while error.__cause__ is not None:
        error = error.__cause__
    word = str(error).split(" ", 1)[0]
    is_redis = word.isalpha() and word.isupper() and len(word) < 20
    return word if is_redis else type(error).__name__
