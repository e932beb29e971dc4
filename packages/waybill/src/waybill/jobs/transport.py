"""kombu's Redis transport, which hands on messages of ours alone (see ``jobs.messages``).

Everything that comes out of the broker passes here before kombu looks at it: what is popped from
the queue, and what comes back from the list of unacknowledged messages. What is not ours is set
aside in a bounded list, counted and logged, and the worker goes on with the next message.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import redis
from kombu.transport import redis as kombu_redis
from pydantic import SecretStr
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelManagedConnection, SentinelManagedSSLConnection

from waybill.jobs.messages import (
    QUEUE_NAME,
    ForeignMessage,
    QueueKeys,
    compose,
    read_export_id,
    read_export_id_of,
)
from waybill.log import get_logger

log = get_logger(__name__)

_KEPT_MESSAGES: Final = 1_000
_KEPT_BYTES: Final = 2_048
_KEPT_SECONDS: Final = 7 * 24 * 3600
_LOG_SECONDS: Final = 1.0
_SENTINEL_SECONDS: Final = 2.0

_T = TypeVar("_T")


class GuardedQoS(kombu_redis.QoS):
    """Brings unacknowledged messages back, if they are ours."""

    def append(self, message: Any, delivery_tag: Any) -> None:
        self._on_sound_keys(partial(super().append, message, delivery_tag))

    def ack(self, delivery_tag: Any) -> None:
        self._on_sound_keys(partial(super().ack, delivery_tag))

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:
        # Comes first when a worker connects: what it raises would keep the worker from its queue.
        self._on_sound_keys(partial(super().restore_visible, *args, **kwargs))

    def _on_sound_keys(self, change: Callable[[], None]) -> None:
        self.channel.on_sound_keys(change)

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        foreign: list[tuple[bytes, str]] = []

        def restore(pipe: Any) -> None:
            foreign.clear()
            kept = pipe.hget(self.unacked_key, tag)
            pipe.multi()
            self._remove_from_indices(tag, pipe)  # type: ignore[no-untyped-call]
            if not kept:
                return
            try:
                message = compose(
                    read_export_id_of(_unacked_message(kept)), self.channel.queue_name
                )
            except ForeignMessage as exc:
                foreign.append((kept, exc.reason))
                return
            (pipe.lpush if leftmost else pipe.rpush)(self.channel.queue_name, message)

        with self.channel.conn_or_acquire(client) as connection:
            connection.transaction(restore, self.unacked_key)
        for raw, reason in foreign:
            self.channel.set_aside(raw, reason)


def _unacked_message(kept: bytes) -> Any:
    # [message, exchange, routing key], as kombu's QoS.append writes it.
    try:
        message, _exchange, _routing_key = json.loads(kept)
    except (ValueError, TypeError, RecursionError) as exc:
        raise ForeignMessage("not_json") from exc
    return message


class GuardedChannel(kombu_redis.Channel):
    """Replaces each popped message by one of our own with the same id, or sets it aside."""

    QoS = GuardedQoS

    from_transport_options: tuple[str, ...] = (  # type: ignore[assignment]
        *kombu_redis.Channel.from_transport_options,
        "queue_name",
    )
    queue_name = QUEUE_NAME
    # So that a Redis user needs no keys but those that begin as ours do.
    keyprefix_queue = f"{QUEUE_NAME}.binding.%s"
    keyprefix_binding_deadlines = f"{QUEUE_NAME}.binding-deadlines"
    keyprefix_binding_permanent = f"{QUEUE_NAME}.binding-permanent.%s"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._logged_at = 0.0
        self._unlogged = 0
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]

    def _get_client(self) -> Callable[..., redis.Redis]:
        super()._get_client()  # type: ignore[no-untyped-call]  # checks redis-py's version
        return partial(_GuardedRedis, channel=self)

    def accept(self, raw: bytes) -> str | None:
        """Return the message to go on with in place of ``raw``; ``None`` if it is not ours."""
        try:
            return compose(read_export_id(raw), self.queue_name)
        except ForeignMessage as exc:
            self.set_aside(raw, exc.reason)
            return None

    def set_aside(self, raw: bytes, reason: str) -> None:
        """Keep the beginning of a foreign message where a person can look at it."""
        note = json.dumps(
            {
                "at": time.time(),
                "reason": reason,
                "bytes": len(raw),
                "head": base64.b64encode(raw[:_KEPT_BYTES]).decode(),
            }
        )
        self.on_sound_keys(partial(self._keep, note))
        self._unlogged += 1
        now = time.monotonic()
        if now - self._logged_at >= _LOG_SECONDS:  # a flood of messages is no flood of lines
            # Not the text itself: it may be anything.
            log.error(
                "queue.message_set_aside",
                reason=reason,
                bytes=len(raw),
                sha256=hashlib.sha256(raw).hexdigest(),
                messages=self._unlogged,
            )
            self._logged_at, self._unlogged = now, 0

    def on_sound_keys(self, ask: Callable[[], _T]) -> _T:
        """Ask the broker, once more if keys that hold another type were in the way."""
        try:
            return ask()
        except ResponseError:
            if not self.move_foreign_keys():
                raise
            return ask()

    def _size(self, queue: str) -> int:
        # Asked when a worker declares its queue, before it waits for messages.
        size: int = self.on_sound_keys(partial(super()._size, queue))
        return size

    def _keep(self, note: str) -> None:
        with self.conn_or_acquire() as client, client.pipeline() as pipe:
            pipe.lpush(self.keys.set_aside, note)
            pipe.ltrim(self.keys.set_aside, 0, _KEPT_MESSAGES - 1)
            pipe.expire(self.keys.set_aside, _KEPT_SECONDS)
            pipe.incr(self.keys.set_aside_count)
            pipe.execute()

    @property
    def keys(self) -> QueueKeys:
        return QueueKeys(self.queue_name)

    def _queue_keys(self) -> list[str]:
        # One for each of kombu's priorities.
        return [self._q_for_pri(self.queue_name, each) for each in self.priority_steps]  # type: ignore[no-untyped-call]

    def move_foreign_keys(self) -> bool:
        """Take keys of ours that hold another type (``SET waybill.exports …``) out of the way.

        Returns whether there were any. Each is kept under another name, at most once.
        """
        types = {
            **dict.fromkeys(self._queue_keys(), b"list"),
            self.unacked_key: b"hash",
            self.unacked_index_key: b"zset",
            self.keys.set_aside: b"list",
            self.keys.set_aside_count: b"string",
        }
        moved = False
        with self.conn_or_acquire() as client:
            for key, wanted in types.items():
                found = client.type(key)
                if found not in (wanted, b"none"):
                    client.rename(key, f"{key}.foreign")
                    client.expire(f"{key}.foreign", _KEPT_SECONDS)
                    log.error("queue.key_set_aside", key=key, type=found.decode())
                    moved = True
            count = client.get(self.keys.set_aside_count)
            if count is not None and not (count.isdigit() and len(count) < 19):
                client.delete(self.keys.set_aside_count)
                moved = True
        return moved


class _GuardedRedis(redis.Redis):
    """The client of a channel: answers to BRPOP, by which messages come, pass the guard."""

    def __init__(self, *args: Any, channel: GuardedChannel, **kwargs: Any) -> None:
        self._channel = channel
        super().__init__(*args, **kwargs)

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        try:
            answer = super().parse_response(  # type: ignore[no-untyped-call]
                connection, command_name, **options
            )
        except ResponseError:
            if command_name == "BRPOP" and self._channel.move_foreign_keys():
                return None  # as when nothing came in time
            raise
        if command_name != "BRPOP" or not answer:
            return answer
        key, raw = answer
        message = self._channel.accept(raw)
        return None if message is None else (key, message)


class GuardedTransport(kombu_redis.Transport):
    """The transport of our queue."""

    Channel = GuardedChannel

    # Whatever the broker answers (out of memory, read-only, a key of another type, nothing that
    # could be read) is a reason to come back. As a "channel error" it would end the worker.
    connection_errors = (*kombu_redis.Transport.connection_errors, RedisError)


class GuardedSentinelChannel(GuardedChannel):
    """The same on the master that Sentinels name. kombu's own takes their addresses from a list of
    fail-overs, by which a connection comes to a transport without the guard."""

    from_transport_options = (
        *GuardedChannel.from_transport_options,
        "sentinels",
        "master_name",
        "sentinel_username",
        "sentinel_password",
    )
    sentinels: Sequence[tuple[str, int]] = ()
    master_name = ""
    sentinel_username: str | None = None
    sentinel_password: SecretStr | None = None
    connection_class = SentinelManagedConnection  # type: ignore[assignment]
    connection_class_ssl = SentinelManagedSSLConnection  # type: ignore[assignment]

    def _get_pool(self, asynchronous: bool = False) -> redis.ConnectionPool:
        arguments = self._connparams(asynchronous=asynchronous)  # type: ignore[no-untyped-call]
        for name in ("host", "port"):
            del arguments[name]
        self.keyprefix_fanout = self.keyprefix_fanout.format(db=arguments["db"])
        # One that is away is no reason to wait: there are others, and whoever asks comes back.
        asking: dict[str, Any] = {
            "username": self.sentinel_username,
            "password": self.sentinel_password and self.sentinel_password.get_secret_value(),
            "socket_timeout": _SENTINEL_SECONDS,
            "socket_connect_timeout": _SENTINEL_SECONDS,
            "retry": Retry(NoBackoff(), 0),
            # redis-py's names for it; TLS is spoken to all of them or to none.
            **{name: value for name, value in arguments.items() if name.startswith("ssl_")},
            "ssl": bool(self.connection.client.ssl),
        }
        manager = Sentinel(self.sentinels, sentinel_kwargs=asking, **arguments)  # type: ignore[no-untyped-call]
        # Where kombu looks for what it closes with the channel.
        if asynchronous:
            self._async_sentinel_manager = manager
        else:
            self._sentinel_manager = manager
        master: redis.Redis = manager.master_for(self.master_name, redis.Redis)  # type: ignore[no-untyped-call]
        return master.connection_pool


class GuardedSentinelTransport(GuardedTransport):
    """The transport of our queue where Sentinels say which server is the master."""

    Channel = GuardedSentinelChannel
