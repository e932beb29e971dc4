"""Whoever can write to the broker puts something into the queue that no program of ours sent. The
worker goes on: after each message an honest export completes, in the same process."""

from __future__ import annotations

import base64
import contextlib
import json
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from waybill.jobs.messages import MAX_BYTES, QUEUE_NAME, QueueKeys
from waybill.jobs.queue_name import read_queue_name

from .conftest import StartTarget, Target, client_of, wait_until

_ID = "6e0b6dd8-0000-4000-8000-000000000000"


def _body(*args: Any) -> str:
    embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    return base64.b64encode(json.dumps([list(args), {}, embed]).encode()).decode()


def _message(
    *,
    headers: dict[str, Any] | None = None,
    properties: dict[str, Any] | None = None,
    without: tuple[str, ...] = (),
    **members: Any,
) -> bytes:
    message: dict[str, Any] = {
        "body": _body(_ID),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": "export.run", "id": "x", "lang": "py", **(headers or {})},
        "properties": {
            "delivery_info": {"exchange": "", "routing_key": QUEUE_NAME},
            "delivery_tag": "tag",
            "body_encoding": "base64",
            "priority": 0,
            **(properties or {}),
        },
        **members,
    }
    return json.dumps({k: v for k, v in message.items() if k not in without}).encode()


FOREIGN: dict[str, bytes] = {
    "not json": b"not json",
    "nothing": b"",
    "a NUL": b"\x00",
    "wrong encoding": b"\xff\xfe\x80",
    "UTF-16": '{"headers": {}}'.encode("utf-16"),
    "null": b"null",
    "a number": b"7",
    "a huge number": b"9" * 10_000,
    "infinity": b"Infinity",
    "a text": b'"text"',
    "a list": b"[]",
    "an object": b"{}",
    "deeply nested": b"[" * 15_000,
    "nested headers": b'{"headers": ' + b"[" * 9_000 + b"]" * 9_000 + b"}",
    "a surrogate": b'{"headers": {"task": "\\ud800"}}',
    "huge": json.dumps({"headers": {"task": "export.run"}, "body": "x" * 5_000_000}).encode(),
    "just too long": _message(headers={"argsrepr": "x" * MAX_BYTES}),
    "no properties": _message(without=("properties",)),
    "no headers": _message(without=("headers",)),
    "no body": _message(without=("body",)),
    "no content type": _message(without=("content-type",)),
    "headers are a list": json.dumps({"headers": ["task"], "properties": {}, "body": ""}).encode(),
    "properties are null": json.dumps(
        {"headers": {"task": "export.run"}, "content-type": "application/json", "properties": None}
    ).encode(),
    "body is a number": _message(body=7),
    "body is no base64": _message(body="%%%"),
    "body is no JSON": _message(body=base64.b64encode(b"{").decode()),
    "body is binary": _message(body=base64.b64encode(b"\xff\xfe").decode()),
    "body is an object": _message(body=base64.b64encode(b"{}").decode()),
    "body is plain text": _message(properties={"body_encoding": None}, body="[[], {}, {}]"),
    "unknown body encoding": _message(properties={"body_encoding": "rot13"}),
    "unknown task": _message(headers={"task": "os.system"}),
    "task is a list": _message(headers={"task": ["export.run"]}),
    "task is null": _message(headers={"task": None}),
    "the sweeper's task": _message(headers={"task": "sweeper.clean"}),
    "pickle": _message(
        **{
            "content-type": "application/x-python-serialize",
            "content-encoding": "binary",
            "body": base64.b64encode(pickle.dumps([[_ID], {}, {}])).decode(),
        }
    ),
    "yaml": _message(**{"content-type": "application/x-yaml"}),
    "no arguments": _message(body=_body()),
    "two arguments": _message(body=_body(_ID, _ID)),
    "argument is no id": _message(body=_body("../../etc/passwd")),
    "argument is a number": _message(body=_body(7)),
    "argument is null": _message(body=_body(None)),
    "protocol 1": json.dumps(
        {
            "body": base64.b64encode(
                json.dumps({"task": "export.run", "id": "x", "args": [_ID], "kwargs": []}).encode()
            ).decode(),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {},
            "properties": {
                "delivery_tag": "t",
                "body_encoding": "base64",
                "delivery_info": {"exchange": "", "routing_key": QUEUE_NAME},
            },
        }
    ).encode(),
}

# An id in a message whose other members would break, hold back or end the consumer. Nothing of
# them is used, so they are messages like others (of an export that does not exist).
USELESS: dict[str, bytes] = {
    "ETA in a thousand years": _message(headers={"eta": "3026-01-01T00:00:00"}),
    "ETA is nonsense": _message(headers={"eta": "tomorrow"}),
    "ETA is a number": _message(headers={"eta": 7}),
    "expired": _message(headers={"expires": "1999-01-01T00:00:00"}),
    "expires is an object": _message(headers={"expires": {}}),
    "time limit is a text": _message(headers={"timelimit": "x"}),
    "time limit of a microsecond": _message(headers={"timelimit": [1e-6, 1e-6]}),
    "retries is an object": _message(headers={"retries": {}}),
    "id is an object": _message(headers={"id": {}}),
    "compressed": _message(headers={"compression": "application/x-gzip"}),
    "unknown compression": _message(headers={"compression": 7}),
    "no delivery info": _message(properties={"delivery_info": None}),
    "delivery info is a text": _message(properties={"delivery_info": "x"}),
    "delivery tag is an object": _message(properties={"delivery_tag": {}}),
    "priority is a text": _message(properties={"priority": "x"}),
    "unknown content encoding": _message(**{"content-encoding": "klingon"}),
    "callbacks": _message(
        body=base64.b64encode(
            json.dumps(
                [[_ID], {}, {"callbacks": [{"task": "x"}], "chord": {"task": "x"}, "chain": [7]}]
            ).encode()
        ).decode()
    ),
    "embed is a number": _message(
        body=base64.b64encode(json.dumps([[_ID], 7, 7]).encode()).decode()
    ),
}


@pytest.fixture(scope="module")
def target(start_target: StartTarget) -> Iterator[Target]:
    # The sweeper must not be what brings an honest export to its end.
    with start_target(WAYBILL_REPUBLISH_AFTER_SECONDS="600") as target:
        yield target


@pytest.fixture
def keys(target: Target) -> QueueKeys:
    return QueueKeys(read_queue_name(target.dsn))


@pytest.fixture
def broker(target: Target, keys: QueueKeys) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(target.redis_url) as client:
        client.delete(keys.set_aside, keys.set_aside_count)
        yield client
    target.processes.raise_if_exited()


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_message_is_set_aside_and_the_next_export_completes(
    target: Target, broker: redis.Redis, keys: QueueKeys, name: str
) -> None:
    worker = target.processes.worker.pid
    broker.rpush(keys.queue, FOREIGN[name])
    target.export()
    assert target.processes.worker.pid == worker
    assert broker.get(keys.set_aside_count) == b"1"
    (note,) = map(json.loads, broker.lrange(keys.set_aside, 0, -1))
    assert note["bytes"] == len(FOREIGN[name])
    assert base64.b64decode(note["head"]) == FOREIGN[name][:2_048]


@pytest.mark.parametrize("name", USELESS)
def test_members_of_a_message_other_than_its_id_have_no_effect(
    target: Target, broker: redis.Redis, keys: QueueKeys, name: str
) -> None:
    broker.rpush(keys.queue, USELESS[name])
    target.export()
    wait_until(lambda: broker.hlen(keys.unacked["unacked_key"]) == 0, "both are acknowledged")
    assert broker.get(keys.set_aside_count) is None


def test_foreign_messages_at_once_take_no_place_of_the_prefetch_and_are_kept_bounded(
    target: Target, broker: redis.Redis, keys: QueueKeys
) -> None:
    for _ in range(30):
        broker.rpush(keys.queue, *FOREIGN.values())
    broker.rpush(keys.queue, *USELESS.values())
    target.export()
    # Any message of the right shape starts the job whose turn it is, so others may be left.
    wait_until(
        lambda: broker.get(keys.set_aside_count) == str(30 * len(FOREIGN)).encode(),
        "all are set aside",
    )
    assert broker.llen(keys.set_aside) == min(1_000, 30 * len(FOREIGN))
    assert 0 < broker.ttl(keys.set_aside) <= 7 * 24 * 3600


def test_what_was_sent_is_not_in_the_log(
    target: Target, broker: redis.Redis, keys: QueueKeys
) -> None:
    broker.rpush(keys.queue, b"s3cret-of-somebody")
    target.export()
    log = target.processes.worker.log_text()
    assert "queue.message_set_aside" in log
    assert "s3cret-of-somebody" not in log
    with client_of(target) as client:
        assert "waybill_queue_messages_set_aside 1\n" in client.get("/metrics").text
    assert "os.system" not in log


def test_foreign_unacknowledged_messages_are_set_aside(
    target: Target, broker: redis.Redis, keys: QueueKeys
) -> None:
    kept = [b"not json", b"[]", b"7", b'[{"headers": 7}, "", ""]', b'["x", "y", "z"]']
    for number, each in enumerate(kept):
        # Long past the visibility timeout: a worker brings them back, which is when they are read.
        broker.hset(keys.unacked["unacked_key"], f"tag-{number}", each)
        broker.zadd(keys.unacked["unacked_index_key"], {f"tag-{number}": 1})
    wait_until(lambda: broker.llen(keys.set_aside) == len(kept), "all are set aside")
    assert broker.hlen(keys.unacked["unacked_key"]) == 0
    assert broker.zcard(keys.unacked["unacked_index_key"]) == 0
    target.export()


@pytest.mark.parametrize(
    "ending",
    [
        "",
        "\x06\x163",
        ".set-aside",
        ".set-aside.count",
        ".unacked",
        ".unacked.index",
    ],
)
def test_key_of_another_type_is_moved_away(
    target: Target, broker: redis.Redis, keys: QueueKeys, ending: str
) -> None:
    key = f"{keys.queue}{ending}"
    broker.delete(key)
    broker.set(key, "many")
    with contextlib.suppress(redis.ResponseError):
        broker.rpush(keys.queue, b"not json")
    target.export()
    wait_until(lambda: broker.type(key) != b"string" or broker.get(key) == b"1", "it is moved")
