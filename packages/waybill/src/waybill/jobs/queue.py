"""The notification of workers: Celery messages that carry a job's id and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from waybill.errors import QueueUnavailable
from waybill.jobs.messages import QUEUE_NAME, RUN_EXPORT, SET_ASIDE_COUNT_KEY

if TYPE_CHECKING:
    from celery import Celery

__all__ = ["QUEUE_NAME", "RUN_EXPORT", "ExportQueue"]


class ExportQueue:
    """Publishes job ids. Losing a message loses nothing: the sweeper publishes again."""

    def __init__(self, celery: Celery) -> None:
        self._celery: Any = celery

    async def publish(self, export_id: UUID) -> None:
        """Announce a committed job.

        Raises:
            QueueUnavailable: the broker did not take the message.
        """
        # Celery's producer blocks (up to socket_connect_timeout), so it gets a thread.
        await asyncio.to_thread(self._publish, export_id)

    def _publish(self, export_id: UUID) -> None:
        from kombu.exceptions import OperationalError
        from redis.exceptions import RedisError

        try:
            self._celery.send_task(
                RUN_EXPORT,
                args=[str(export_id)],
                queue=QUEUE_NAME,
                # The row is committed and the sweeper is the retry: the caller must not wait.
                retry=False,
                ignore_result=True,
            )
        except (OperationalError, RedisError) as exc:
            raise QueueUnavailable("The broker does not take messages.") from exc

    async def warm_up(self) -> None:
        """Connect now, so that the first request does not wait for it.

        Raises:
            QueueUnavailable: the broker does not answer.
        """
        await asyncio.to_thread(self._warm_up)

    def _warm_up(self) -> None:
        from kombu.exceptions import OperationalError

        try:
            with self._celery.producer_pool.acquire(block=True) as producer:
                producer.maybe_declare(self._celery.amqp.queues[QUEUE_NAME])
        except OperationalError as exc:
            raise QueueUnavailable("The broker does not answer.") from exc

    async def set_aside(self) -> int:
        """Return how many foreign messages were set aside since the broker was last empty.

        Raises:
            QueueUnavailable: the broker does not answer.
        """
        return await asyncio.to_thread(
            self._ask, lambda client: int(client.get(SET_ASIDE_COUNT_KEY) or 0)
        )

    async def depth(self) -> int:
        """Return how many messages wait in the broker.

        Raises:
            QueueUnavailable: the broker does not answer.
        """
        return await asyncio.to_thread(self._ask, lambda client: int(client.llen(QUEUE_NAME)))

    def _ask(self, question: Callable[[Any], int]) -> int:
        from kombu.exceptions import OperationalError
        from redis.exceptions import RedisError

        try:
            with self._celery.connection_for_write() as connection:
                return question(connection.default_channel.client)
        except (OperationalError, RedisError, OSError, ValueError) as exc:
            raise QueueUnavailable("The broker does not answer.") from exc
