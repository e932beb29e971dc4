"""The broker: reachable, writable, no cluster, and what it does with what it holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import psycopg
from kombu.exceptions import KombuError
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from waybill.doctor.findings import Finding, Patient, Report
from waybill.errors import ConfigurationError
from waybill.jobs.celery_app import create_celery
from waybill.jobs.messages import QUEUE_NAME, QueueKeys
from waybill.jobs.queue_name import read_queue_name

AREA: Final = "broker"
_VARIABLE: Final = "WAYBILL_REDIS_URL"
_OLDEST: Final = (6, 0)
_LOOKED_AT_KEYS: Final = 1_000
_OTHERS: Final = re.compile(rb"^(celery$|_kombu\.|unacked|celery-task-meta)")

_report = Report(AREA)


def examine(patient: Patient) -> Iterator[Finding]:
    """Look at the broker."""
    settings = patient.settings
    try:
        queue = read_queue_name(settings.database_dsn, settings.own_schema)
    except psycopg.Error:
        queue = QUEUE_NAME  # the database's own area says so
    try:
        app = create_celery(settings, queue)
        with app.connection_for_write() as connection:
            client = connection.default_channel.client
            client.ping()
            yield _report.ok("reachable", "The broker answers.")
            yield from _server(client)
            yield from _writes(client, QueueKeys(queue).written)
            yield from _commands(client, f"{QueueKeys(queue).written}.doctor")
            yield from _neighbours(client)
    except ConfigurationError as exc:
        yield _report.error("address", str(exc), f"Correct {_VARIABLE}.")
    except (KombuError, RedisError, OSError) as exc:
        yield _not_reached(exc)


def _not_reached(exc: BaseException) -> Finding:
    cause: BaseException = exc
    while cause.__cause__ is not None:
        cause = cause.__cause__
    said = str(cause)
    if isinstance(cause, AuthenticationError | NoPermissionError) or said.startswith(
        ("NOAUTH", "WRONGPASS", "NOPERM", "invalid username-password")
    ):
        return _report.error(
            "reachable", "The broker refuses our name or password.", f"Correct {_VARIABLE}."
        )
    if "DB index is out of range" in said:
        return _report.error(
            "reachable", "The broker has no database of that number.",
            f"Name another at the end of {_VARIABLE} (/0), or raise `databases` in its "
            "configuration.",
        )  # fmt: skip
    return _report.away(
        "reachable",
        f"The broker does not answer ({type(cause).__name__}); jobs are kept in the database "
        "until it does.",
        f"Start it, or correct {_VARIABLE}.",
    )


def _server(client: Any) -> Iterator[Finding]:
    try:
        facts: Mapping[str, Any] = client.info()
    except ResponseError:  # a user without the right to INFO
        yield _report.note(
            "version", "The broker's user may not ask for its version and memory (INFO).",
            "Allow +info, so that this can be looked at.",
        )  # fmt: skip
        return
    name = "Valkey" if "valkey_version" in facts else "Redis"
    shown = str(facts.get("valkey_version") or facts.get("redis_version") or "0")
    version = tuple(int(part) for part in re.findall(r"\d+", shown)[:2])
    if version < _OLDEST:
        yield _report.error(
            "version", f"The broker is {name} {shown}, which is older than 6.0.", "Upgrade it."
        )
    else:
        yield _report.ok("version", f"The broker is {name} {shown}.")
    if int(facts.get("cluster_enabled", 0)):
        yield _report.error(
            "cluster", "The broker is a Redis Cluster, on which no queue of Celery's works.",
            "Give waybill one server, or one with replicas behind Sentinel (sentinel://…).",
        )  # fmt: skip
    yield from _memory(facts)


def _memory(facts: Mapping[str, Any]) -> Iterator[Finding]:
    policy = str(facts.get("maxmemory_policy", "noeviction"))
    limit, used = int(facts.get("maxmemory", 0)), int(facts.get("used_memory", 0))
    if policy != "noeviction":
        when = "When its memory is full" if limit else "Once it has a limit on memory (it has none)"
        yield _report.error(
            "eviction",
            f"{when}, the broker throws messages away (maxmemory-policy {policy}); exports wait "
            "until the sweeper has noticed.",
            "CONFIG SET maxmemory-policy noeviction, and in its configuration too.",
        )  # fmt: skip
    elif limit and used > 0.9 * limit:
        yield _report.warning(
            "eviction", f"The broker uses {used / limit:.0%} of the memory it may use.",
            "Raise maxmemory, or find out what fills it.",
        )  # fmt: skip
    else:
        yield _report.ok("eviction", "The broker throws nothing away.")


def _writes(client: Any, key: str) -> Iterator[Finding]:
    try:
        client.lpush(key, "")
        client.expire(key, 60)
    except RedisError as exc:
        word = str(exc).split(" ", 1)[0]
        word = word if word.isalpha() and word.isupper() else type(exc).__name__
        yield _report.error(
            "writable", f"The broker takes no messages ({word}).", _WRITE_REMEDIES.get(word, _SEE)
        )
    else:
        yield _report.ok("writable", "The broker takes messages.")


def _commands(client: Any, key: str) -> Iterator[Finding]:
    """Try each command of a worker, on keys that are not there or are gone afterwards."""

    def at_once() -> None:
        with client.pipeline(transaction=True) as pipe:
            pipe.exists(key)
            pipe.execute()

    tries: dict[str, Callable[[], Any]] = {
        "BRPOP": lambda: client.brpop([key], timeout=0.01),
        "LLEN": lambda: client.llen(key),
        "HSET": lambda: client.hset(f"{key}.h", "a", "b"),
        "HGET": lambda: client.hget(f"{key}.h", "a"),
        "HDEL": lambda: client.hdel(f"{key}.h", "a"),
        "ZADD": lambda: client.zadd(f"{key}.z", {"a": 1}),
        "ZREVRANGEBYSCORE": lambda: client.zrevrangebyscore(f"{key}.z", 0, 0),
        "ZREM": lambda: client.zrem(f"{key}.z", "a"),
        "SADD": lambda: client.sadd(f"{key}.s", "a"),
        "SMEMBERS": lambda: client.smembers(f"{key}.s"),
        "SET": lambda: client.set(f"{key}.v", "a", ex=60),
        "GET": lambda: client.get(f"{key}.v"),
        "INCR": lambda: client.incr(f"{key}.n"),
        "DEL": lambda: client.delete(*(f"{key}{each}" for each in (".h", ".z", ".s", ".v", ".n"))),
        "EVAL": lambda: client.eval("return 1", 1, key),
        "MULTI": at_once,
    }
    refused = []
    for name, attempt in tries.items():
        try:
            attempt()
        except NoPermissionError:
            refused.append(name)
        except RedisError:
            pass  # a broker that takes no writes says so above
    if refused:
        yield _report.error(
            "commands", f"The broker's user may not use {', '.join(refused)}: workers take no "
            "messages.",
            "Allow it (`+@all -@admin -@dangerous` is enough).",
        )  # fmt: skip
    else:
        yield _report.ok("commands", "The broker's user may use what workers need.")


_SEE: Final = "See its log; a user of its own needs ~waybill.* and the commands of lists."
_WRITE_REMEDIES: Final = {
    "OOM": "Its memory is full: raise maxmemory, or find out what fills it.",
    "READONLY": f"It is a replica: name the master in {_VARIABLE}, or its Sentinels.",
    "ReadOnlyError": f"It is a replica: name the master in {_VARIABLE}, or its Sentinels.",
    "MISCONF": "It cannot save to its disk: make room there.",
    "OutOfMemoryError": "Its memory is full: raise maxmemory, or find out what fills it.",
}


def _neighbours(client: Any) -> Iterator[Finding]:
    """Look whether other applications of Celery's use the same database of the broker."""
    foreign = 0
    try:
        for count, key in enumerate(client.scan_iter(count=_LOOKED_AT_KEYS)):
            foreign += bool(_OTHERS.match(key))
            if count >= _LOOKED_AT_KEYS:
                break
    except ResponseError:
        yield _report.note("shared", "The broker's user may not list keys, so neighbours hide.")
        return
    if foreign:
        yield _report.note(
            "shared",
            "Another application of Celery's uses the same database of the broker; waybill's keys "
            "are its own (waybill.…), so neither takes the other's messages.",
            "A database of its own (/1 at the end of the address) makes FLUSHDB a smaller mistake.",
        )  # fmt: skip
    else:
        yield _report.ok("shared", "Nobody else's queues are in the broker's database.")
