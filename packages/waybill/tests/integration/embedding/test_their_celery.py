"""Celery applications that are set up in other ways than most: brokers, queues, schedules."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery, Task, signals
from celery.beat import Service
from celery.local import Proxy

import waybill
import waybill.celery
from waybill.catalog import Catalog, Column, Computed, ExportType, TableSource
from waybill.celery import check
from waybill.config import Settings
from waybill.errors import ConfigurationError, QueueUnavailable
from waybill.jobs.host_queue import RUN_EXPORT_HERE, HostQueue, queue_of

from ...logged import logged


def theirs(broker: Any = "memory://", **conf: Any) -> Celery:
    app = Celery(f"theirs-{uuid4()}", broker=broker, set_as_current=False)
    app.conf.update(conf)
    return app


def entries(app: Celery, directory: Path) -> dict[str, Any]:
    """Start the beat of ``app``, end it before its first turn, and return what it knows."""
    beat = Service(app, schedule_filename=str(directory / f"beat-{uuid4()}"))
    beat._is_shutdown.set()
    found: dict[str, Any] = {}

    def look(sender: Any, **_: Any) -> None:
        found.update(sender.scheduler.schedule)

    signals.beat_init.connect(look, sender=beat, weak=False)  # after ours
    beat.start()
    return found


def test_schedule_that_they_give_after_ours_does_not_replace_it(
    settings: Settings, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, plain = theirs(), theirs()
    for each in (app, plain):
        waybill.celery.install(each, settings, catalog=catalog)
    wanted = {name: entry for name, entry in entries(plain, tmp_path).items() if "waybill" in name}
    assert len(wanted) == 6
    lines = logged(monkeypatch, waybill.celery)
    app.conf.beat_schedule = {"report": {"task": "report", "schedule": 60}}
    found = entries(app, tmp_path)
    assert "report" in found
    assert [line["event"] for line in lines.entries] == ["celery.schedule_replaced"]
    for name, entry in wanted.items():
        assert (found[name].task, found[name].options) == (entry.task, entry.options)
        assert found[name].schedule == entry.schedule


@pytest.mark.parametrize(
    "broker",
    [
        ["redis://127.0.0.1:1/0", "redis://127.0.0.1:2/0"],
        "amqp://127.0.0.1:1//;rediss://127.0.0.1:1/0",
        "redis+socket:///run/redis.sock",
        "sentinel://127.0.0.1:1;sentinel://127.0.0.1:2",
        "SQS://",
        "pgmq://127.0.0.1:1/shop",
        "kombu.transport.redis:Transport://127.0.0.1:1/0",
    ],
)
def test_visibility_is_looked_at_whatever_form_the_address_has(broker: Any) -> None:
    app = theirs(broker, broker_transport_options={"visibility_timeout": 30})
    with pytest.raises(ConfigurationError, match="Set it to 180 or more"):
        check(app, longest_seconds=60)


def test_visibility_that_nobody_set_is_that_of_the_transport() -> None:
    sqs, redis = theirs("sqs://"), theirs("redis://127.0.0.1:1/0")
    assert check(redis, longest_seconds=2_000) == []
    with pytest.raises(ConfigurationError, match=r"is 1800 s.*Set it to 2120 or more"):
        check(sqs, longest_seconds=2_000)
    by_name = theirs("127.0.0.1:1/0", broker_transport="redis")
    with pytest.raises(ConfigurationError, match="is 3600 s"):
        check(by_name, longest_seconds=4_000)


def test_queues_that_have_to_be_there_already_are_asked_for(
    settings: Settings, catalog: Catalog
) -> None:
    there = {"waybill": {}, "theirs": {}}
    app = theirs("sqs://", broker_transport_options={"predefined_queues": there})
    waybill.celery.install(app, settings, catalog=catalog)
    with pytest.raises(ConfigurationError, match=r"has no 'waybill\.upkeep'\. Make and add"):
        check(app, longest_seconds=60)
    there["waybill-upkeep"] = {}
    check(app, longest_seconds=60)


def test_limit_of_rabbitmq_is_told_where_exports_may_take_longer() -> None:
    app = theirs("amqps://127.0.0.1:1//", worker_prefetch_multiplier=1)
    said = [check(app, longest_seconds=each, pool="prefork") for each in (1_600, 1_700)]
    assert [each.startswith("consumer_timeout") for each in said[0]] == [False]
    assert "Set it to 1820000 (milliseconds) or more in rabbitmq.conf" in said[1][0]


def test_upkeep_expires_whoever_schedules_it(settings: Settings, catalog: Catalog) -> None:
    app = theirs()
    waybill.celery.install(app, settings, catalog=catalog)
    for name, entry in app.conf.beat_schedule.items():
        assert app.tasks[name].expires == entry["options"]["expires"] == 2 * entry["schedule"]


def test_application_that_a_proxy_stands_for_is_itself(
    settings: Settings, catalog: Catalog
) -> None:
    app = theirs()
    waybill.celery.install(Proxy(lambda: app), settings, catalog=catalog)
    assert queue_of(app) == queue_of(Proxy(lambda: app)) == "waybill"
    waybill.router(settings, catalog=catalog, celery=Proxy(lambda: app))


def test_visibility_is_looked_at_for_a_broker_that_is_only_read_from() -> None:
    app = theirs(broker_read_url="redis://127.0.0.1:1/0")
    app.conf.broker_transport_options = {"visibility_timeout": 30}
    with pytest.raises(ConfigurationError, match="Set it to 180 or more"):
        check(app, longest_seconds=60)


def test_worker_that_cannot_be_looked_at_does_not_start_without_our_queues(
    settings: Settings, catalog: Catalog, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = theirs(worker_pool="prefork")
    waybill.celery.install(app, settings, catalog=catalog)

    def broken(*_: Any, **__: Any) -> list[str]:
        raise AttributeError("no such setting")

    monkeypatch.setattr(waybill.celery, "check", broken)
    logged(monkeypatch, waybill.celery)
    worker = SimpleNamespace(app=app, pool_cls="prefork")
    with pytest.raises(SystemExit) as ended:
        signals.celeryd_after_setup.send(sender="worker", instance=worker, conf=app.conf)
    assert ended.value.code == 78
    assert "waybill: no such setting" in capsys.readouterr().err


def test_their_worker_says_which_function_of_a_column_is_not_there(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Column("made", computed=Computed("no_such_shop.exports:made", ("id",)))
    columns = (Column("id"), made)
    users = ExportType("users", TableSource("public", "users"), key=("id",), columns=columns)
    app = theirs(worker_pool="prefork")
    # Web processes install it too, and compute nothing.
    waybill.celery.install(app, settings, catalog=Catalog([users]))
    worker = SimpleNamespace(app=app, pool_cls="prefork")
    with pytest.raises(SystemExit) as ended:
        signals.celeryd_after_setup.send(sender="worker", instance=worker, conf=app.conf)
    assert ended.value.code == 78
    said = capsys.readouterr().err
    assert "waybill: The function of column 'made' of export type 'users'" in said
    assert "there is no module 'no_such_shop'" in said


@pytest.mark.parametrize("creates", [True, False])
async def test_broker_that_is_no_redis_takes_messages_and_counts_them(
    settings: Settings, catalog: Catalog, creates: bool
) -> None:
    app = theirs(task_create_missing_queues=creates)
    waybill.celery.install(app, settings, queue=f"exports-{creates}", catalog=catalog)
    queue = HostQueue(app, f"exports-{creates}")
    await queue.check()
    assert await queue.depth() == 0
    await queue.publish(uuid4())
    await queue.publish(uuid4())
    assert await queue.depth() == 2
    await queue.check()


ELSEWHERE: dict[str, Any] = {"exchange": "theirs", "routing_key": "theirs"}


@pytest.mark.parametrize("conf", [{}, {"task_default_exchange_type": "topic"}])
@pytest.mark.parametrize("route", [{"queue": "theirs"}, ELSEWHERE, {"routing_key": "theirs"}])
async def test_routes_of_theirs_for_every_task_catch_none_of_ours(
    settings: Settings, catalog: Catalog, route: dict[str, str], conf: dict[str, str]
) -> None:
    app = theirs(task_routes={"*": route}, **conf)
    ours = f"exports-{uuid4()}"
    waybill.celery.install(app, settings, queue=ours, catalog=catalog)
    queue = HostQueue(app, ours)
    await queue.publish(uuid4())
    assert await queue.depth() == 1
    # As beat sends it.
    entry = app.conf.beat_schedule["waybill.sweep"]
    app.tasks["waybill.sweep"].apply_async(**entry["options"])
    # As django-celery-beat does, which leaves out what is empty.
    app.tasks["waybill.sweep"].apply_async(queue=f"{ours}.upkeep", routing_key=f"{ours}.upkeep")
    assert await HostQueue(app, f"{ours}.upkeep").depth() == 2


async def test_messages_that_a_route_of_theirs_gives_a_priority_are_counted(
    settings: Settings, catalog: Catalog
) -> None:
    app = theirs(settings.redis_url.get_secret_value(), task_routes={"*": {"priority": 5}})
    ours = f"exports-{uuid4()}"
    waybill.celery.install(app, settings, queue=ours, catalog=catalog)
    queue = HostQueue(app, ours)
    assert await queue.depth() == 0
    await queue.publish(uuid4())
    assert await queue.depth() == 1
    with app.connection_for_write() as connection:
        assert connection.default_channel.queue_purge(ours) == 1


def test_queues_of_ours_are_known_where_theirs_have_to_be_declared(
    settings: Settings, catalog: Catalog
) -> None:
    app = theirs(task_create_missing_queues=False)
    waybill.celery.install(app, settings, catalog=catalog)
    signals.celeryd_init.send(
        sender="worker", instance=SimpleNamespace(app=app), conf=app.conf, options={}
    )
    app.amqp.queues.select(["waybill", "waybill.upkeep"])  # as -Q does
    assert set(app.amqp.queues.consume_from) == {"waybill", "waybill.upkeep"}


def test_what_their_class_of_tasks_asks_for_is_not_asked_of_ours(
    settings: Settings, catalog: Catalog
) -> None:
    class OfATenant(Task):  # type: ignore[misc]
        autoretry_for = (Exception,)

        def before_start(self, *_: Any) -> None:
            raise ValueError("no tenant")

        def __call__(self, *_: Any, tenant: str) -> Any:
            return self.run(tenant)

        def apply_async(self, *_: Any, tenant: str, **__: Any) -> Any:
            raise ValueError(tenant)

    app = Celery("theirs", broker="memory://", task_cls=OfATenant, set_as_current=False)
    waybill.celery.install(app, settings, queue=f"exports-{uuid4()}", catalog=catalog)
    assert app.tasks[RUN_EXPORT_HERE].apply(args=["no id of ours"]).get() is None
    entry = app.conf.beat_schedule["waybill.sweep"]
    app.tasks["waybill.sweep"].apply_async(**entry["options"])  # as beat sends it


async def test_broker_that_is_away_is_said_to_be_however_long_they_would_wait() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    app = theirs(f"amqp://guest@127.0.0.1:{port}//", broker_connection_max_retries=None)
    queue = HostQueue(app, "exports")
    for ask in (queue.depth, queue.check):
        with pytest.raises(QueueUnavailable):
            await ask()
