"""The broker: reachable, writable, no cluster, and what it does with what it holds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import psycopg
from kombu.exceptions import KombuError
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from waybill.doctor import broker_commands
from waybill.doctor.findings import Finding, Patient, Report
from waybill.errors import ConfigurationError
from waybill.jobs.celery_app import create_celery
from waybill.jobs.messages import QUEUE_NAME, QueueKeys
from waybill.jobs.queue_name import read_queue_name

AREA: Final = "broker"
_VARIABLE: Final = "WAYBILL_REDIS_URL"
_OLDEST: Final = (6, 0)
_LOOKED_AT_KEYS: Final = 1_000
_CONNECTIONS_PER_POOL: Final = 10
"""How many a process keeps to announce by: Celery's ``broker_pool_limit``."""
_SHORTEST_REST_SECONDS: Final = 60
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
            yield from _server(client, settings.worker_concurrency)
            yield from _idle_timeout(client)
            yield from _writes(client, QueueKeys(queue).written)
            yield from broker_commands.examine(
                _report, client, f"{QueueKeys(queue).written}.doctor"
            )
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
    if isinstance(cause, NoPermissionError) or said.startswith("NOPERM"):
        return _report.error(
            "reachable", "The broker lets us in, and its user may not even PING.",
            broker_commands.REMEDY,
        )  # fmt: skip
    if "max number of clients" in said:
        return _report.error(
            "reachable", "The broker takes no more connections: as many as it allows are open.",
            "Raise maxclients in its configuration, or find out who holds them (CLIENT LIST).",
        )  # fmt: skip
    if isinstance(cause, AuthenticationError) or said.startswith(
        ("NOAUTH", "WRONGPASS", "invalid username-password")
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


def _server(client: Any, places: int) -> Iterator[Finding]:
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
    yield from _connections(facts, places)


def _connections(facts: Mapping[str, Any], places: int) -> Iterator[Finding]:
    """Hold the limit of connections against what one API, one worker and one scheduler open."""
    limit = int(facts.get("maxclients", 0))  # said since Redis 7.0
    needed = 2 * _CONNECTIONS_PER_POOL + places + 1
    if limit and limit < needed:
        yield _report.warning(
            "connections",
            f"The broker takes {limit} connections at a time; an API, a worker and a scheduler "
            f"open up to {needed}.",
            "Raise maxclients in its configuration; each further process opens up to "
            f"{_CONNECTIONS_PER_POOL}.",
        )  # fmt: skip


def _idle_timeout(client: Any) -> Iterator[Finding]:
    """Look whether the broker ends connections at rest. Few users may ask for that."""
    try:
        seconds = int(client.config_get("timeout").get("timeout", 0))
    except (RedisError, ValueError):
        return
    if 0 < seconds < _SHORTEST_REST_SECONDS:
        # Tried with 2 s: what was ended is made anew, and who waits for messages is not idle.
        yield _report.note(
            "idle_timeout",
            f"The broker ends connections that rest for {seconds} s (timeout); they are made anew, "
            "and nothing is lost.",
            f"CONFIG SET timeout 0, or {_SHORTEST_REST_SECONDS} and more, spares the way.",
        )  # fmt: skip


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
            "eviction", f"The broker uses {min(used / limit, 1):.0%} of the memory it may use.",
            "Raise maxmemory, or find out what fills it.",
        )  # fmt: skip
    else:
        yield _report.ok("eviction", "The broker throws nothing away.")


def _writes(client: Any, key: str) -> Iterator[Finding]:
    try:
        client.lpush(key, "")
        client.expire(key, 60)
    except NoPermissionError:
        yield _report.error(
            "writable", "The broker's user may not write to keys that begin with waybill.exports.",
            broker_commands.REMEDY,
        )  # fmt: skip
    except RedisError as exc:
        word = str(exc).split(" ", 1)[0]
        word = word if word.isalpha() and word.isupper() else type(exc).__name__
        yield _report.error(
            "writable", f"The broker takes no messages ({word}).", _WRITE_REMEDIES.get(word, _SEE)
        )
    else:
        yield _report.ok("writable", "The broker takes messages.")


_SEE: Final = "See its log."
_WRITE_REMEDIES: Final = {
    "OOM": "Its memory is full: raise maxmemory, or find out what fills it.",
    "READONLY": f"It is a replica: name the master in {_VARIABLE}, or its Sentinels.",
    "ReadOnlyError": f"It is a replica: name the master in {_VARIABLE}, or its Sentinels.",
    "MISCONF": "It cannot save to its disk: make room there.",
    "NOREPLICAS": "It takes writes only while replicas follow it (min-replicas-to-write), and too "
    "few do: look after them.",
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
