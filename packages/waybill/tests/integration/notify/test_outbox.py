"""The outbox and its deliveries in a real PostgreSQL."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from waybill.jobs.job import ExportJob
from waybill.notify import tables
from waybill.notify.delivery import DeliveryState, DeliveryStatus
from waybill.notify.dispatcher import NotificationDispatcher
from waybill.notify.events import WEBHOOK, EventType
from waybill.notify.notifications import Notifications, build_notifications
from waybill.notify.registry import create_channels
from waybill.notify.retry import RetrySchedule
from waybill.notify.settings import NotificationSettings
from waybill.notify.thread import DeliveryThread
from waybill.own_database import SCHEMA

from ..urls import sqlalchemy_url

Build = Callable[..., Notifications]
AddJob = Callable[..., Awaitable[ExportJob]]
Tell = Callable[..., Awaitable[bool]]
Look = Callable[..., Awaitable[Sequence[DeliveryState]]]
ADA = "ada@example.org"


def test_tables_are_what_the_migrations_make(settings: Any) -> None:
    mine = {tables.notifications.name, tables.notification_contacts.name}
    mine.add(tables.disabled_webhooks.name)

    def is_mine(item: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        return (name if kind == "table" else item.table.name) in mine

    engine = create_engine(sqlalchemy_url(settings))
    with engine.connect() as connection:
        connection.dialect.default_schema_name = SCHEMA
        connection.exec_driver_sql(f"SET search_path = {SCHEMA}")
        context = MigrationContext.configure(
            connection, opts={"include_object": is_mine, "compare_server_default": True}
        )
        assert compare_metadata(context, tables.metadata) == []
    engine.dispose()


async def test_rolled_back_end_leaves_nothing_to_tell(
    build: Build, declare: Any, receiver: Any, engine: Any, execute: Any, add_job: AddJob
) -> None:
    notifications = build(webhooks=[declare(receiver)])
    job = await add_job()
    async with engine.connect() as connection:
        transaction = await connection.begin()
        assert await notifications.outbox.enqueue(connection, job)
        await transaction.rollback()
    assert execute("SELECT count(*) FROM notifications") == [(0,)]


async def test_end_told_twice_is_written_once(
    build: Build, declare: Any, receiver: Any, execute: Any, add_job: AddJob, tell: Tell
) -> None:
    notifications = build(webhooks=[declare(receiver)])
    job = await add_job()
    assert await tell(notifications, job)
    assert not await tell(notifications, job)
    assert execute("SELECT count(*) FROM notifications") == [(1,)]


async def test_outbox_that_cannot_be_written_does_not_fail_the_export(
    build: Build, declare: Any, receiver: Any, engine: Any, execute: Any, add_job: AddJob
) -> None:
    notifications = build(webhooks=[declare(receiver)])
    job = await add_job()
    execute("ALTER TABLE notifications RENAME TO elsewhere")
    execute("ALTER TABLE notification_contacts RENAME TO elsewhere_too")
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE export_jobs SET error_message = 'committed'"))
        assert not await notifications.outbox.subscribe(connection, job.id, ADA)
        assert not await notifications.outbox.enqueue(connection, job)
    assert execute("SELECT error_message FROM export_jobs") == [("committed",)]


async def test_unfinished_job_tells_nothing(
    build: Build, declare: Any, receiver: Any, add_job: AddJob, tell: Tell
) -> None:
    notifications = build(webhooks=[declare(receiver)])
    assert not await tell(notifications, await add_job("queued", finished_at=None))


async def test_job_that_fails_again_after_a_replay_tells_again(
    build: Build, declare: Any, receiver: Any, clock: Any, add_job: AddJob, tell: Tell
) -> None:
    notifications = build(webhooks=[declare(receiver)])
    job = await add_job("failed")
    assert await tell(notifications, job)
    assert await tell(notifications, replace(job, finished_at=clock.now() + timedelta(hours=1)))
    await notifications.dispatcher.deliver_due()
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 2


async def test_many_schedulers_send_every_event_once(
    build: Build, declare: Any, receiver: Any, execute: Any, add_job: AddJob, tell: Tell
) -> None:
    schedulers = [build(webhooks=[declare(receiver)]) for _ in range(4)]
    for _ in range(60):
        await tell(schedulers[0], await add_job())

    async def drain(notifications: Notifications) -> None:
        while execute("SELECT count(*) FROM notifications WHERE status = 'pending'") != [(0,)]:
            await notifications.dispatcher.deliver_due()

    async with asyncio.timeout(60):
        await asyncio.gather(*(drain(scheduler) for scheduler in schedulers))
    seen = Counter(request.headers["webhook-id"] for request in receiver.requests)
    assert len(seen) == 60
    assert set(seen.values()) == {1}
    assert execute("SELECT DISTINCT status, attempts FROM notifications") == [("delivered", 1)]


async def test_slow_receiver_with_a_long_queue_does_not_hold_up_the_others(
    build: Build,
    declare: Any,
    receiver: Any,
    other_receiver: Any,
    add_job: AddJob,
    tell: Tell,
) -> None:
    slow_only = build(webhooks=[declare(receiver, "slow")])
    for _ in range(30):
        await tell(slow_only, await add_job())
    both = build(webhooks=[declare(receiver, "slow"), declare(other_receiver, "quick")])
    await tell(both, await add_job())
    await both.dispatcher.deliver_due()
    assert len(other_receiver.requests) == 1
    assert len(receiver.requests) == 5


async def _claim(notifications: Notifications, clock: Any, seconds: float = 60) -> Any:
    return await notifications.deliveries.claim(
        now=clock.now(), lease_seconds=seconds, limit=10, limit_per_target=10
    )


async def test_sender_that_died_is_followed_by_another_and_can_settle_nothing(
    build: Build,
    declare: Any,
    receiver: Any,
    clock: Any,
    execute: Any,
    add_job: AddJob,
    tell: Tell,
) -> None:
    notifications = build(webhooks=[declare(receiver)])
    await tell(notifications, await add_job())
    (stale,) = await _claim(notifications, clock)
    assert await _claim(notifications, clock) == []
    execute("UPDATE notifications SET lease_expires_at = now() - interval '1 second'")
    (fresh,) = await _claim(notifications, clock)
    assert (stale.attempts, fresh.attempts) == (1, 2)
    assert stale.event_id == fresh.event_id
    deliveries = notifications.deliveries
    assert not await deliveries.mark_delivered(stale)
    assert not await deliveries.mark_dead(stale, code="x")
    assert not await deliveries.postpone(stale, until=clock.now(), code="x")
    assert await deliveries.mark_delivered(fresh)


async def test_delivery_that_kills_its_process_is_given_up(
    look: Look,
    build: Build,
    declare: Any,
    receiver: Any,
    execute: Any,
    add_job: AddJob,
    tell: Tell,
) -> None:
    notifications = build(webhooks=[declare(receiver)])
    job = await add_job()
    await tell(notifications, job)
    execute("UPDATE notifications SET attempts = 10")
    await notifications.dispatcher.deliver_due()
    (state,) = await look(export_id=job.id)
    assert (state.status, state.last_error_code) == ("dead", "attempts_lost")
    assert receiver.requests == []


async def test_defect_of_a_channel_is_a_failed_attempt_of_one_delivery(
    look: Look,
    build: Build,
    declare: Any,
    receiver: Any,
    clock: Any,
    add_job: AddJob,
    tell: Tell,
) -> None:
    notifications = build(webhooks=[declare(receiver)])
    await tell(notifications, await add_job())

    class Defective:
        async def deliver(self, delivery: Any) -> None:
            raise ZeroDivisionError

    dispatcher = NotificationDispatcher(
        deliveries=notifications.deliveries,
        channels={WEBHOOK: Defective()},
        schedule=RetrySchedule(),
        clock=clock,
    )
    assert await dispatcher.deliver_due() == 1
    (state,) = await look()
    assert (state.status, state.last_error_code) == ("pending", "internal_error")


async def test_channel_that_was_switched_off_gives_its_messages_up(
    look: Look, build: Build, mail_sink: Any, mail_settings: Any, add_job: AddJob, tell: Tell
) -> None:
    await tell(build(**mail_settings(mail_sink)), await add_job(), email=ADA)
    notifications = build()
    await notifications.dispatcher.deliver_due()
    (state,) = await look(status=DeliveryStatus.DEAD)
    assert state.last_error_code == "channel_not_configured"


# -- expiry ----------------------------------------------------------------------------------------


async def test_expiring_file_is_announced_once_to_everybody(
    look: Look,
    build: Build,
    declare: Any,
    receiver: Any,
    mail_sink: Any,
    mail_settings: Any,
    clock: Any,
    add_job: AddJob,
    tell: Tell,
) -> None:
    notifications = build(
        webhooks=[declare(receiver, events=["export.expiring"])],
        **mail_settings(mail_sink),
        mail_events="export.expiring",
    )
    job = await add_job()
    await tell(notifications, job, email=ADA)
    await notifications.housekeep()
    assert await notifications.dispatcher.deliver_due() == 0

    clock.advance(days=6.1)
    await notifications.housekeep()
    await notifications.housekeep()
    assert await notifications.dispatcher.deliver_due() == 2
    (message,) = mail_sink.mails
    assert message["Subject"] == "Your export of users will be deleted soon"
    assert len(receiver.requests) == 1
    states = await look(export_id=job.id)
    assert {state.event for state in states} == {EventType.EXPIRING}
    assert len({state.event_id for state in states}) == 1


async def test_only_files_worth_announcing_are_announced(
    look: Look, build: Build, declare: Any, receiver: Any, clock: Any, add_job: AddJob
) -> None:
    notifications = build(webhooks=[declare(receiver)])
    now = clock.now()
    await add_job("failed")
    await add_job(expires_at=now + timedelta(hours=12))  # lives too briefly to be announced
    await add_job(finished_at=now - timedelta(days=8), expires_at=now - timedelta(hours=1))
    await add_job(expires_at=now + timedelta(days=7))
    wanted = await add_job(
        finished_at=now - timedelta(days=6), expires_at=now + timedelta(hours=23)
    )
    await notifications.outbox.enqueue_expiring()
    states = await look()
    assert [state.export_id for state in states] == [wanted.id]


async def test_jobs_nobody_can_be_told_of_do_not_crowd_out_the_others(
    build: Build,
    mail_sink: Any,
    mail_settings: Any,
    clock: Any,
    execute: Any,
    add_job: AddJob,
    tell: Tell,
) -> None:
    notifications = build(**mail_settings(mail_sink), mail_events="export.expiring")
    execute(
        """INSERT INTO export_jobs (id, export_type, format, requested_by, status, max_attempts,
             finished_at, expires_at, object_key, manifest, sha256)
           SELECT gen_random_uuid(), 'users', 'csv', 'p', 'completed', 3,
             now() - interval '6 days', now() + interval '1 hour', 'k', '{}', 'x'
           FROM generate_series(1, 150)"""
    )
    now = clock.now()
    job = await add_job(finished_at=now - timedelta(days=6), expires_at=now + timedelta(hours=23))
    await tell(notifications, job, email=ADA)
    assert await notifications.outbox.enqueue_expiring() == 1


# -- what is kept ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "age_days", "kept"),
    [
        ("queued", 30, True),
        ("completed", 0, True),
        ("failed", 1, True),
        ("failed", 8, False),
        ("cancelled", 0, False),
        ("expired", 0, False),
        ("deleted", 0, False),
    ],
)
async def test_address_is_kept_while_there_is_something_to_tell(
    status: str,
    age_days: float,
    kept: bool,
    build: Build,
    mail_sink: Any,
    mail_settings: Any,
    clock: Any,
    execute: Any,
    add_job: AddJob,
    tell: Tell,
) -> None:
    notifications = build(**mail_settings(mail_sink), mail_events=tuple(EventType))
    ended = clock.now() - timedelta(days=age_days)
    job = await add_job(status, finished_at=None if status == "queued" else ended)
    told = await tell(notifications, job, email=ADA)
    if told:
        await notifications.housekeep()
        assert execute("SELECT email FROM notification_contacts") == [(ADA,)]
        await notifications.dispatcher.deliver_due()
    await notifications.housekeep()
    assert execute("SELECT count(*) FROM notification_contacts") == [(int(kept),)]


@pytest.mark.parametrize("events", [["export.completed"], ["export.completed", "export.expiring"]])
async def test_address_is_forgotten_after_the_last_mail(
    events: list[str],
    build: Build,
    mail_sink: Any,
    mail_settings: Any,
    clock: Any,
    execute: Any,
    add_job: AddJob,
    tell: Tell,
) -> None:
    notifications = build(**mail_settings(mail_sink), mail_events=events)
    await tell(notifications, await add_job(), email=ADA)
    await notifications.dispatcher.deliver_due()
    if "export.expiring" in events:
        clock.advance(days=6.5)
        await notifications.housekeep()
        await notifications.dispatcher.deliver_due()
    await notifications.housekeep()
    assert len(mail_sink.mails) == len(events)
    assert execute("SELECT count(*) FROM notification_contacts") == [(0,)]


async def test_nothing_private_is_kept_in_the_outbox_or_shown(
    look: Look,
    build: Build,
    declare: Any,
    secret: Any,
    receiver: Any,
    mail_sink: Any,
    mail_settings: Any,
    execute: Any,
    add_job: AddJob,
    tell: Tell,
) -> None:
    receiver.answers = [b"HTTP/1.1 500 Oops\r\nContent-Length: 8\r\n\r\nb0dytext"]
    notifications = build(
        webhooks=[declare(receiver, url=receiver.url + "/t0ken")], **mail_settings(mail_sink)
    )
    job = await add_job()
    await tell(notifications, job, email=ADA)
    await notifications.dispatcher.deliver_due()
    rows = execute("SELECT n::text FROM notifications n")
    assert len(rows) == 2
    shown = repr(rows) + repr(await look())
    for private in (ADA, "t0ken", secret("k"), "b0dytext", "person-7"):
        assert private not in shown


async def test_old_settled_rows_are_purged_and_pending_ones_stay(
    build: Build, declare: Any, receiver: Any, clock: Any, execute: Any, add_job: AddJob, tell: Tell
) -> None:
    notifications = build(webhooks=[declare(receiver, events=["export.completed"])])
    await tell(notifications, await add_job())
    await notifications.dispatcher.deliver_due()
    await tell(notifications, await add_job())
    await notifications.housekeep()
    assert execute("SELECT count(*) FROM notifications") == [(2,)]
    execute("UPDATE notifications SET settled_at = settled_at - interval '31 days'")
    await notifications.housekeep()
    assert execute("SELECT status FROM notifications") == [("pending",)]


async def test_deleted_job_takes_its_notifications_along(
    build: Build,
    mail_sink: Any,
    mail_settings: Any,
    execute: Any,
    add_job: AddJob,
    tell: Tell,
) -> None:
    await tell(build(**mail_settings(mail_sink)), await add_job(), email=ADA)
    execute("DELETE FROM export_jobs")
    assert execute("SELECT count(*) FROM notifications") == [(0,)]
    assert execute("SELECT count(*) FROM notification_contacts") == [(0,)]


# -- the thread ------------------------------------------------------------------------------------


async def test_thread_delivers_until_it_is_stopped_and_survives_a_lost_database(
    build: Build,
    declare: Any,
    receiver: Any,
    settings: Any,
    clock: Any,
    execute: Any,
    add_job: AddJob,
    tell: Tell,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notifications = build(webhooks=[declare(receiver)])
    round_failed = threading.Event()

    class Log:
        def error(self, _event: str, **_: Any) -> None:
            round_failed.set()

    monkeypatch.setattr("waybill.notify.thread.log", Log())

    @asynccontextmanager
    async def open_notifications() -> Any:
        engine = create_async_engine(sqlalchemy_url(settings), pool_pre_ping=True)
        found = NotificationSettings(
            public_url="https://exports.example.com",
            webhooks=[declare(receiver)],
            webhook_allow_http=True,
            webhook_allow_private_networks=True,
        )
        try:
            yield build_notifications(found, create_channels(found), engine, clock=clock)
        finally:
            await engine.dispose()

    async def delivered(count: int) -> None:
        async with asyncio.timeout(20):
            while len(receiver.requests) < count:  # noqa: ASYNC110 - it is the test's deadline loop
                await asyncio.sleep(0.02)

    thread = DeliveryThread(open_notifications, interval_seconds=0.05)
    thread.start()
    try:
        await tell(notifications, await add_job())
        await delivered(1)
        execute("ALTER TABLE notifications RENAME TO elsewhere")
        assert await asyncio.to_thread(round_failed.wait, 20)
        execute("ALTER TABLE elsewhere RENAME TO notifications")
        await tell(notifications, await add_job())
        await delivered(2)
    finally:
        assert await asyncio.to_thread(thread.stop)
    assert "notifications" not in {running.name for running in threading.enumerate()}
