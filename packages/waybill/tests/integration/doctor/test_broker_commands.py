"""The list of commands that the doctor tries is what is sent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

from waybill.config import Settings
from waybill.doctor.broker_commands import TRIED
from waybill.jobs.celery_app import create_celery
from waybill.jobs.messages import QUEUE_NAME
from waybill.jobs.queue import ExportQueue
from waybill.local.faults.brokers import Broker

# What a user may always do, or is asked for by the doctor itself.
_EVERYBODYS = {"PING", "HELLO", "CLIENT|SETINFO", "CLIENT|SETNAME", "SELECT", "AUTH"}
_OF_THE_TEST = {"INFO", "COMMAND", "CONFIG|RESETSTAT", "CONFIG|GET"}


def test_every_command_that_is_sent_is_tried(tmp_path: Path) -> None:
    with Broker(tmp_path / "broker") as broker:
        settings = Settings(database_url="postgresql://nobody@127.0.0.1/x", redis_url=broker.url())
        app = create_celery(settings)
        queue = ExportQueue(lambda: app)
        with broker.client() as client:
            client.set(f"{QUEUE_NAME}.unacked", "of another type")

        async def announce() -> None:
            await queue.warm_up()
            await queue.check()
            for _ in range(2):
                await queue.publish(uuid4())
            await queue.depth()
            await queue.set_aside()

        asyncio.run(announce())
        taken = []
        with app.connection_for_read() as connection:
            channel = connection.default_channel
            with app.amqp.TaskConsumer(channel, on_message=taken.append, accept=["json"]):
                channel.qos.restore_visible(num=10)
                while len(taken) < 2:
                    connection.drain_events(timeout=10)
                taken[0].ack()
                taken[1].reject(requeue=True)
                channel.set_aside(b"of a stranger", "not_json")
                connection.drain_events(timeout=10)
                channel.qos.restore_by_tag(taken[2].delivery_tag)
        with broker.client() as client:
            stats = client.info("commandstats")
            assert client.llen(QUEUE_NAME) == 1

    sent = {name.removeprefix("cmdstat_").upper().replace("|", " ") for name in stats}
    assert "EVALSHA" in sent
    assert "RENAME" in sent
    assert sent - {each.replace("|", " ") for each in _EVERYBODYS | _OF_THE_TEST} <= TRIED
