"""Each command that is sent to the broker, tried on keys that are not there or are gone afterwards.

What is sent, by which name, is what the broker itself said of a service at work (``MONITOR``):
clients call ``INCR`` what they send as ``INCRBY``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

import kombu
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from waybill.doctor.findings import Finding, Report
from waybill.jobs.messages import QUEUE_NAME

REMEDY: Final = (
    "Allow its user what is enough: ACL SETUSER … ~waybill.exports* +@all -@admin -@dangerous."
)
_SCRIPT: Final = "return redis.call('EXISTS', KEYS[1])"
# What kombu looks for messages by that no worker has acknowledged.
_BY_SCORE: Final = (
    ("ZRANGE", "{key}.z", "0", "0", "BYSCORE")
    if kombu.VERSION >= (5, 7)
    else ("ZREVRANGEBYSCORE", "{key}.z", "0", "0")
)
_COMMANDS: Final[tuple[tuple[str, ...], ...]] = (
    ("LPUSH", "{key}.l", ""),
    ("RPUSH", "{key}.l", ""),
    ("LTRIM", "{key}.l", "0", "0"),
    ("EXPIRE", "{key}.l", "60"),
    ("TYPE", "{key}.l"),
    ("RENAME", "{key}.l", "{key}.l.foreign"),
    ("LLEN", "{key}.l"),
    ("BRPOP", "{key}.l", "0.01"),
    ("HSET", "{key}.h", "a", "b"),
    ("HGET", "{key}.h", "a"),
    ("HDEL", "{key}.h", "a"),
    ("ZADD", "{key}.z", "1", "a"),
    _BY_SCORE,
    ("ZREM", "{key}.z", "a"),
    # Its key is called after all queues, not after this one.
    ("SADD", "{bound}", "a"),
    ("SMEMBERS", "{bound}"),
    ("SET", "{key}.v", "1", "NX", "PX", "60000"),
    ("GET", "{key}.v"),
    ("INCRBY", "{key}.v", "1"),
    ("WATCH", "{key}.v"),
    ("UNWATCH",),
    ("MULTI",),
    ("EXEC",),
    ("DEL", "{key}.l", "{key}.l.foreign", "{key}.h", "{key}.z", "{key}.v", "{bound}"),
)
_LOCK: Final = ("SCRIPT LOAD", "EVALSHA")

TRIED: Final = frozenset({*(name for name, *_ in _COMMANDS), *_LOCK})
"""Their names. A test holds them to what a queue at work sends."""


def examine(report: Report, client: Any, key: str) -> Iterator[Finding]:
    """Say which commands the broker's user may not use, or the broker does not have."""
    bound = f"{QUEUE_NAME}.binding.{key}"
    refused, missing = [], []
    connection = client.connection_pool.get_connection()
    try:
        for name, *arguments in (*_COMMANDS, *_lock(connection, key)):
            said = _sent(
                connection, name, *(each.format(key=key, bound=bound) for each in arguments)
            )
            # Within a transaction the refusal is the reason that it was given up for.
            if isinstance(said, NoPermissionError) or "no permissions" in str(said):
                refused.append(name)
            elif "unknown command" in str(said):
                missing.append(name)
    finally:
        client.connection_pool.release(connection)
    if refused:
        yield report.error(
            "commands", f"The broker's user may not use {', '.join(refused)}: workers take no "
            "messages.",
            REMEDY,
        )  # fmt: skip
    if missing:
        yield report.error(
            "commands", f"The broker does not have {', '.join(missing)}: workers take no messages.",
            "Take its `rename-command` back, or give waybill a Redis or Valkey that has it.",
        )  # fmt: skip
    if not refused and not missing:
        yield report.ok("commands", "The broker's user may use what workers need.")


def _lock(connection: Any, key: str) -> Iterator[tuple[str, ...]]:
    """Yield the commands of a lock that comes free by a script of ours alone."""
    load, run = _LOCK
    yield load, _SCRIPT
    with contextlib.suppress(RedisError):
        connection.send_command(load, _SCRIPT)
        digest = connection.read_response()
        yield run, digest.decode() if isinstance(digest, bytes) else str(digest), "1", key


def _sent(connection: Any, *command: str) -> Any:
    """Return the answer to a command, or the refusal. Whether it could be done is another's to
    say (a broker that is full, or a replica)."""
    try:
        connection.send_command(*command)
        return connection.read_response()
    except ResponseError as exc:
        return exc
