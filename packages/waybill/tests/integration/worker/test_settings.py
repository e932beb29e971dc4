"""The settings that reliability rests on are in force where they take effect, not just written."""

from __future__ import annotations

import base64
import json
import os
import socket
import sys
from typing import Any
from uuid import UUID

import pytest
from psycopg import sql
from sqlalchemy import text

from waybill.bootstrap.everything import Services
from waybill.config import Settings
from waybill.jobs.celery_app import create_celery
from waybill.jobs.queue import RUN_EXPORT
from waybill.run.shutdown import ChildTermination, ShutdownFlag
from waybill.source.source import PostgresSource
from waybill.storage.s3.storage import S3Storage
from waybill.worker.runtime import ProcessRuntime
from waybill.worker.tasks import register_export_task


@pytest.fixture
def celery(settings: Settings) -> Any:
    app = create_celery(settings)
    flag = ShutdownFlag()
    register_export_task(app, ProcessRuntime(lambda: None), flag, ChildTermination(flag))  # type: ignore[arg-type,return-value]
    return app


def test_task_is_acked_late_and_rejected_when_its_process_dies(celery: Any) -> None:
    task = celery.tasks[RUN_EXPORT]
    assert task.acks_late
    assert task.reject_on_worker_lost
    assert task.ignore_result
    assert celery.conf.result_backend is None
    assert celery.conf.worker_prefetch_multiplier == 1
    assert celery.conf.worker_max_tasks_per_child == 1_000
    assert not celery.conf.worker_cancel_long_running_tasks_on_connection_loss
    assert celery.conf.broker_connection_max_retries is None
    assert celery.conf.accept_content == ["json"]


def test_variable_of_a_django_project_makes_none_of_our_worker(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "django.conf", None)  # type: ignore[arg-type]
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "shop_that_is_not_here.settings")

    create_celery(settings).loader.import_default_modules()


def test_broker_channel_has_the_times_that_were_set(celery: Any) -> None:
    with celery.connection_for_read() as connection:
        channel = connection.default_channel
        assert channel.visibility_timeout == 6 * 3600
        assert channel.unacked_restore_interval == 10
        assert channel.unacked_restore_throttle == 1
        kwargs = channel.client.connection_pool.connection_kwargs
        assert kwargs["socket_timeout"] == 30
        assert kwargs["socket_connect_timeout"] == 5
        assert kwargs["socket_keepalive"]
        assert kwargs["health_check_interval"] == 25


@pytest.mark.parametrize("ending", ["", ".unacked.index"])
def test_worker_comes_to_its_queue_past_keys_of_another_type(celery: Any, ending: str) -> None:
    queue = celery.conf.task_default_queue
    with celery.connection_for_read() as connection:
        channel = connection.default_channel
        channel.client.set(f"{queue}{ending}", "many")
        # What a worker asks first, in this order.
        channel.qos.restore_visible()
        assert channel.queue_declare(queue).message_count == 0
        assert channel.client.type(f"{queue}{ending}") == b"none"
        assert channel.client.delete(f"{queue}{ending}.foreign") == 1


def test_message_is_json_and_holds_the_id_alone(celery: Any, services: Services) -> None:
    with celery.connection_for_write() as connection:
        client = connection.default_channel.client
        client.delete(services.queue.keys().queue)
        services.queue._publish(UUID(int=7))
        raw = client.lindex(services.queue.keys().queue, 0)
        client.delete(services.queue.keys().queue)
    message = json.loads(raw)
    assert message["content-type"] == "application/json"
    args, kwargs, _ = json.loads(base64.b64decode(message["body"]))
    assert args == ["00000000-0000-0000-0000-000000000007"]
    assert kwargs == {}


async def test_own_database_has_timeouts_and_notices_a_vanished_server(services: Services) -> None:
    async with services.engine.connect() as connection:
        shown = {
            name: (await connection.execute(text(f"SHOW {name}"))).scalar_one()
            for name in ("statement_timeout", "lock_timeout", "application_name")
        }
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        _assert_keepalive(driver.pgconn.socket)
    assert shown == {
        "statement_timeout": "15s",
        "lock_timeout": "5s",
        "application_name": "waybill",
    }


def test_source_is_read_only_repeatable_and_bounded(settings: Settings) -> None:
    source = PostgresSource(settings.source_url)
    with source.open_snapshot(lambda: None, statement_timeout_seconds=61) as snapshot:
        session = snapshot._session

        def show(name: str) -> str | None:
            return session.fetch(sql.SQL("SHOW {}").format(sql.Identifier(name)))[0][0]

        assert show("transaction_isolation") == "repeatable read"
        assert show("transaction_read_only") == "on"
        assert show("statement_timeout") == "61s"
        assert show("lock_timeout") == "5s"
        _assert_keepalive(session._connection.pgconn.socket)


def _assert_keepalive(descriptor: int) -> None:
    with socket.socket(fileno=os.dup(descriptor)) as copy:
        assert copy.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
        assert copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000


def test_s3_client_waits_and_repeats_as_decided(settings: Settings) -> None:
    config = S3Storage.from_settings(settings).client.boto3.meta.config
    assert (config.connect_timeout, config.read_timeout) == (5.0, 60.0)
    assert config.retries["mode"] == "standard"
    assert config.request_checksum_calculation == "when_required"
    assert config.response_checksum_validation == "when_required"
