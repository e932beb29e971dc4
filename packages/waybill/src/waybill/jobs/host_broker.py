"""Which transports somebody's Celery application uses, and what of them matters to long tasks."""

from __future__ import annotations

import re
from typing import Any, Final

from kombu.transport import TRANSPORT_ALIASES

HANDS_OUT_AGAIN: Final = {"redis": 3600, "sqs": 1800, "slmq": 1800, "pgmq": 1800}
"""Transports that give a message to another worker when it was not acknowledged in time, and after
how many seconds (``visibility_timeout``), unless their options say otherwise."""

AMQP: Final = frozenset({"pyamqp", "librabbitmq"})
CONSUMER_SECONDS: Final = 1800
"""How long RabbitMQ waits for an acknowledgement (``consumer_timeout``) unless it is told
otherwise; no client can ask it."""


def transports(app: Any) -> set[str]:
    """Return the transports of ``app`` by the names of their modules in kombu, in small letters:
    of one address, several with semicolons, or a list, for reading and for writing."""
    conf = app.conf
    given = [conf.broker_url, conf.broker_read_url, conf.broker_write_url]
    lists = [[each] if isinstance(each, str) else list(each or ()) for each in given]
    texts = [address.strip() for each in lists for text in each for address in str(text).split(";")]
    return {_module_of(_name_of(text) or conf.broker_transport or "amqp") for text in texts}


def _name_of(address: str) -> str:
    # ``redis+socket:///run/redis.sock`` has an address of its own behind the name.
    return address.partition("://")[0].partition("+")[0] if "://" in address else ""


def _module_of(name: str) -> str:
    """Return the module of a transport, by its alias or by the path of its class."""
    path = re.split(r"[.:]", str(TRANSPORT_ALIASES.get(name, name)))
    return path[-2 if len(path) > 1 else -1].lower()
