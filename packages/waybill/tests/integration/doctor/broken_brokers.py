"""Brokers that are broken on purpose; see ``broken``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from urllib.parse import urlsplit

from waybill.local.faults.brokers import Broker

from .broken import Break, House, Settings, broker_with
from .more_broken import asking


def broker_user(*rules: str) -> Break:
    """A user of the broker who may everything, but for these rules."""

    @contextlib.contextmanager
    def broken(house: House) -> Iterator[Settings]:
        port = urlsplit(house.broker.url()).port
        with house.broker.client() as client:
            client.execute_command(
                "ACL", "SETUSER", "somebody", "on", ">doctor", "~*", "&*", "+@all", *rules
            )
        try:
            yield {"WAYBILL_REDIS_URL": f"redis://somebody:doctor@127.0.0.1:{port}/0"}
        finally:
            with house.broker.client() as client:
                client.execute_command("ACL", "DELUSER", "somebody")

    return broken


def broker_set(name: str, value: str, otherwise: str) -> Break:
    """A broker with another value of its own setting than it has ``otherwise``."""
    return broker_with(("CONFIG", "SET", name, value), undo=(("CONFIG", "SET", name, otherwise),))


@contextlib.contextmanager
def without_a_command(house: House) -> Iterator[Settings]:
    with Broker(house.folder / "without", {"rename-command": 'EVALSHA ""'}) as broker:
        yield {"WAYBILL_REDIS_URL": broker.url()}


@contextlib.contextmanager
def taken(house: House) -> Iterator[Settings]:
    """Every connection that it allows is open."""
    with (
        Broker(house.folder / "taken", {"maxclients": 2}) as broker,
        broker.client() as one,
        broker.client() as other,
    ):
        one.ping()
        other.ping()
        yield {"WAYBILL_REDIS_URL": broker.url()}


def broker_database(house: House) -> str:
    return urlsplit(house.broker.url())._replace(path="/99").geturl()


BROKERS: dict[str, tuple[str, str, Break]] = {
    "broker whose user may not take messages": (
        "broker.commands", "error", broker_user("-brpop"),
    ),
    "broker whose user may not lock": (
        "broker.commands", "error", broker_user("-eval", "-evalsha"),
    ),
    "database of the broker that is not there": (
        "broker.reachable", "error", asking(broker_database, "WAYBILL_REDIS_URL"),
    ),
    "broker whose user may not even PING": ("broker.reachable", "error", broker_user("-ping")),
    "broker whose user may not write to our keys": (
        "broker.writable", "error", broker_user("resetkeys", "%R~*"),
    ),
    "broker whose user may not use our keys": (
        "broker.commands", "error", broker_user("resetkeys", "~others*"),
    ),
    "broker whose user may not begin transactions": (
        "broker.commands", "error", broker_user("-multi"),
    ),
    "broker whose user may not end transactions": (
        "broker.commands", "error", broker_user("-exec"),
    ),
    "broker whose user may not give messages back": (
        "broker.commands", "error", broker_user("-rpush"),
    ),
    "broker whose user may not count": ("broker.commands", "error", broker_user("-incrby")),
    "broker without a command": ("broker.commands", "error", without_a_command),
    "broker that waits for replicas": (
        "broker.writable", "error", broker_set("min-replicas-to-write", "1", "0"),
    ),
    "broker with few connections": (
        "broker.connections", "warning", broker_set("maxclients", "8", "10000"),
    ),
    "broker whose connections are all taken": ("broker.reachable", "error", taken),
    "broker that ends connections at rest": (
        "broker.idle_timeout", "note", broker_set("timeout", "5", "0"),
    ),
}  # fmt: skip
