"""What was given up is listed, and sent again: by people, and by the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from waybill.audit.audit import AuditAction, AuditLog
from waybill.cli.app import app
from waybill.cli.exits import run
from waybill.config import Settings
from waybill.jobs.job import ExportJob
from waybill.jobs.reach import EVERYTHING, Reach
from waybill.notify.delivery import DeliveryState, DeliveryStatus, NotificationFilter
from waybill.notify.notifications import Notifications
from waybill.notify.states import NotificationStates
from waybill.principal import Principal

Build = Callable[..., Notifications]
AddJob = Callable[..., Awaitable[ExportJob]]
Tell = Callable[..., Awaitable[bool]]
Look = Callable[..., Awaitable[Sequence[DeliveryState]]]
Execute = Callable[..., list[tuple[Any, ...]]]

GONE = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
TRAIL = "SELECT actor, code, export_id FROM audit_events WHERE action = %s"


async def test_what_was_given_up_is_sent_again_under_its_id(
    build: Build,
    states: NotificationStates,
    look: Look,
    declare: Any,
    receiver: Any,
    engine: Any,
    execute: Execute,
    add_job: AddJob,
    tell: Tell,
) -> None:
    notifications = build(webhooks=[declare(receiver)], notify_retry_seconds="0")
    receiver.answers = [BUSY, BUSY]
    job = await add_job()
    await tell(notifications, job)
    for _ in range(2):
        await notifications.dispatcher.deliver_due()
    (state,) = await look(status=DeliveryStatus.DEAD)
    assert (state.attempts, state.last_error_code) == (2, "http_503")

    audit = AuditLog(engine).listener(Principal("ops"), AuditAction.RESENT)
    (again,) = await states.replay(
        NotificationFilter(export_id=job.id), within=EVERYTHING, audit=[audit]
    )
    # As many attempts as a new one, so another failure is not the last.
    assert (again.status, again.attempts, again.last_error_code) == ("pending", 0, None)
    assert execute(TRAIL, "resent") == [("ops", None, job.id)]
    receiver.answers = [BUSY]
    for _ in range(2):
        await notifications.dispatcher.deliver_due()
    (state,) = await look(export_id=job.id)
    assert (state.status, state.attempts) == ("delivered", 2)
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    # What arrived is not sent again.
    assert await states.replay(NotificationFilter(), within=EVERYTHING) == []


async def test_filters_narrow_and_reach_bounds(
    states: NotificationStates, look: Look, execute: Execute, add_job: AddJob
) -> None:
    mine, other = await add_job(tenant="acme"), await add_job(tenant="globex")
    ids = {
        "pending": give_up(execute, mine.id, status="pending"),
        "crm": give_up(execute, mine.id, target="crm"),
        "mail": give_up(execute, mine.id, channel="email", target="requester", code="no_address"),
        "theirs": give_up(execute, other.id, target="crm"),
    }
    acme = Reach((("tenant", "acme"),))
    for wanted, expected in (
        (NotificationFilter(), {"pending", "crm", "mail"}),
        (NotificationFilter(status=DeliveryStatus.DEAD), {"crm", "mail"}),
        (NotificationFilter(channel="email"), {"mail"}),
        (NotificationFilter(target="crm"), {"crm"}),
        (NotificationFilter(code="no_address"), {"mail"}),
        (NotificationFilter(export_id=other.id), set()),
    ):
        found = await states.list(wanted, within=acme, limit=10)
        assert {each.id for each in found} == {ids[name] for name in expected}
    listed = await states.list(within=EVERYTHING, limit=10)
    following = NotificationFilter(before=(listed[1].created_at, listed[1].id))
    assert await states.list(following, within=EVERYTHING, limit=10) == listed[2:]

    assert await states.replay(NotificationFilter(export_id=other.id), within=acme) == []
    (one,) = await states.replay(NotificationFilter(), within=acme, limit=1)
    assert one.id in {ids["crm"], ids["mail"]}
    (rest,) = await states.replay(NotificationFilter(), within=acme)
    assert {one.id, rest.id} == {ids["crm"], ids["mail"]}
    assert [each.id for each in await look(status=DeliveryStatus.DEAD)] == [ids["theirs"]]


async def test_enabled_endpoint_is_told_again(
    build: Build,
    states: NotificationStates,
    declare: Any,
    receiver: Any,
    add_job: AddJob,
    tell: Tell,
) -> None:
    notifications = build(webhooks=[declare(receiver)])
    receiver.answers = [GONE]
    await tell(notifications, await add_job())
    await notifications.dispatcher.deliver_due()
    assert not await tell(notifications, await add_job())
    (disabled,) = await states.disabled_endpoints()
    assert disabled.name == "crm"
    assert not await states.enable_endpoint("erp")
    assert await states.enable_endpoint("crm")
    assert await states.disabled_endpoints() == []
    assert await tell(notifications, await add_job())


def give_up(
    execute: Execute,
    export_id: UUID,
    *,
    channel: str = "webhook",
    target: str = "erp",
    code: str = "unreachable",
    status: str = "dead",
) -> UUID:
    """Write a notification as it stands after its end."""
    pending = status == "pending"
    found = uuid4()
    execute(
        "INSERT INTO notifications (id, event_id, event, export_id, channel, target, payload,"
        " status, attempts, last_error_code, next_attempt_at, settled_at)"
        " VALUES (%s, gen_random_uuid(), 'export.completed', %s, %s, %s, '{}', %s, 10, %s,"
        f" {'now()' if pending else 'NULL'}, {'NULL' if pending else 'now()'})",
        found, export_id, channel, target, status, code,
    )  # fmt: skip
    return found


@pytest.fixture
def command(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int, str, str]]:
    """Run a verb of ``waybill notifications`` as an operator does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOGNAME", "operator")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("WAYBILL_DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("WAYBILL_REDIS_URL", settings.redis_url.get_secret_value())

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["waybill", "notifications", *arguments])
        status = run(app, name="waybill")
        return status, *capsys.readouterr()

    return command


@pytest.fixture
def job(execute: Execute) -> UUID:
    found = uuid4()
    execute(
        "INSERT INTO export_jobs (id, export_type, format, requested_by, status, max_attempts,"
        " finished_at) VALUES (%s, 'users', 'csv', 'ann', 'failed', 3, now())", found,
    )  # fmt: skip
    return found


def test_operator_lists_replays_and_enables(
    command: Callable[..., tuple[int, str, str]], execute: Execute, job: UUID
) -> None:
    assert command("list")[:2] == (0, "There are no such notifications.\n")
    crm = give_up(execute, job, target="crm")
    mail = give_up(execute, job, channel="email", target="requester", code="no_address")
    give_up(execute, job, status="pending")
    execute("INSERT INTO disabled_webhooks (name, fingerprint) VALUES ('crm', 'f')")
    status, out, said = command("list", "--status", "dead", "--export", str(job))
    assert (status, out.count(str(job)), out.count("dead")) == (0, 2, 2)
    assert "waybill notifications enable crm" in said
    for _, out, _ in (
        command("list", "--json", "--channel", "email", "--limit", "5"),
        command("list", "--json", "--target", "requester"),
        command("list", "--json", "--code", "no_address"),
    ):
        document = json.loads(out)
        assert [each["id"] for each in document["items"]] == [str(mail)]
        assert list(document["disabled_endpoints"]) == ["crm"]
        assert "payload" not in out

    assert command("replay")[0] == command("replay", "--all", "--target", "crm")[0] == 64
    status, out, _ = command("replay", "--export", str(job), "--channel", "webhook", "--target",
                             "crm", "--code", "unreachable", "--json")  # fmt: skip
    assert (status, json.loads(out)) == (0, {"replayed": [str(crm)]})
    status, out, said = command("replay", "--all")
    assert (status, out, said) == (0, f"{mail}\n", "1 replayed\n")
    assert execute(TRAIL, "resent") == [("command:operator", "by_command", job)] * 2

    status, _, said = command("enable", "erp")
    assert (status, "Those that are: crm." in said) == (1, True)
    assert command("enable", "crm")[0] == 0
    assert execute(TRAIL, "enabled") == [("command:operator", "crm", None)]
    assert command("enable", "crm")[2].endswith("None is.\n")
