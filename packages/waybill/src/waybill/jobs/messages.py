"""What a message in the queue may say: the id of an export, and nothing else.

Whoever can write to the broker can put anything there, and so can a program that was given the
wrong address. Celery and kombu read about thirty fields of a message (serializer, compression, ETA,
expiry, time limits, callbacks, priorities …) and trust each of them: some end the worker's
consumer, some hold a place in its prefetch for ever. So none of what was sent reaches them.
``read_export_id`` takes the one thing that a message is for, and ``compose`` writes a message of
our own around it.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

RUN_EXPORT: Final = "export.run"
QUEUE_NAME: Final = "waybill.exports"
"""What every key of ours begins with."""

MAX_BYTES: Final = 16 * 1024
"""Ours have about 1,000. What is longer is not even parsed."""

_MAX_ID_CHARACTERS: Final = 64


@dataclass(frozen=True, slots=True)
class QueueKeys:
    """The keys of one service's queue.

    None of them is kombu's own, and none another service's: on one Redis, services would take each
    other's messages, which say nothing to whoever is not their sender.
    """

    queue: str = QUEUE_NAME

    @property
    def set_aside(self) -> str:
        """The last foreign messages, cut, the newest first."""
        return f"{self.queue}.set-aside"

    @property
    def set_aside_count(self) -> str:
        """How many there were since the broker was last empty."""
        return f"{self.queue}.set-aside.count"

    @property
    def written(self) -> str:
        """What is written to find out whether the broker takes anything."""
        return f"{self.queue}.written"

    @property
    def unacked(self) -> dict[str, str]:
        """The options by which kombu's channel knows its keys of unacknowledged messages."""
        return {
            "unacked_key": f"{self.queue}.unacked",
            "unacked_index_key": f"{self.queue}.unacked.index",
            "unacked_mutex_key": f"{self.queue}.unacked.mutex",
        }


class ForeignMessage(Exception):
    """Control flow: nobody of ours sent this. ``reason`` is a word of ours, never the sender's."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_export_id(raw: bytes | str) -> UUID:
    """Return the id that a message of ours carries.

    Raises:
        ForeignMessage: it is none of ours.
    """
    if len(raw) > MAX_BYTES:
        raise ForeignMessage("too_long")
    return read_export_id_of(_json(raw, "not_json"))


def read_export_id_of(message: Any) -> UUID:
    """Return the id that a parsed message carries; raises as ``read_export_id``."""
    headers = _member(message, "headers")
    if _member(headers, "task") != RUN_EXPORT:
        raise ForeignMessage("unknown_task")
    if _member(message, "content-type") != "application/json":
        raise ForeignMessage("unknown_content_type")
    if _member(_member(message, "properties"), "body_encoding") != "base64":
        raise ForeignMessage("unknown_encoding")
    body = _member(message, "body")
    try:
        arguments = _json(base64.b64decode(body, validate=True), "unreadable_body")
    except (TypeError, ValueError, binascii.Error) as exc:
        raise ForeignMessage("unreadable_body") from exc
    # [args, kwargs, embed] (Celery's protocol 2).
    args = arguments[0] if isinstance(arguments, list) and arguments else None
    if not isinstance(args, list) or len(args) != 1 or not isinstance(args[0], str):
        raise ForeignMessage("unknown_arguments")
    try:
        return UUID(args[0][:_MAX_ID_CHARACTERS])
    except ValueError as exc:
        raise ForeignMessage("unknown_arguments") from exc


def compose(export_id: UUID, queue: str) -> str:
    """Return a message with ``export_id`` as Celery's protocol 2 has it, ready for ``queue``."""
    task_id = str(uuid4())
    body = json.dumps(
        [[str(export_id)], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    )
    message = {
        "body": base64.b64encode(body.encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": RUN_EXPORT,
            "id": task_id,
            "root_id": task_id,
            "parent_id": None,
            "group": None,
            "eta": None,
            "expires": None,
            "retries": 0,
            "timelimit": [None, None],
            "ignore_result": True,
        },
        "properties": {
            "correlation_id": task_id,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            # A tag of the sender's choice could be that of another message under way.
            "delivery_tag": str(uuid4()),
        },
    }
    return json.dumps(message)


def _json(raw: bytes | str, reason: str) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as exc:  # UnicodeDecodeError is a ValueError
        raise ForeignMessage(reason) from exc


def _member(value: Any, name: str) -> Any:
    if not isinstance(value, dict):
        raise ForeignMessage("unknown_shape")
    return value.get(name)
