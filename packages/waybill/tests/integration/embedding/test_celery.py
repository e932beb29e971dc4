"""waybill in somebody's Celery application: what it looks at, and what it sets for itself alone."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from celery import Celery

import waybill
import waybill.celery
from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog
from waybill.celery import Hooks, check
from waybill.config import Settings
from waybill.errors import ConfigurationError
from waybill.jobs.host_queue import RUN_EXPORT_HERE
from waybill.requests.request import ExportRequest
from waybill.testing import run_export

from ..leased import claimed, result_of

ANN = waybill.Principal("ann")
UPKEEP = ("sweep", "clean", "sweep_storage", "search_storage", "monitor", "notify")


def theirs(**conf: Any) -> Celery:
    app = Celery("theirs", broker="redis://127.0.0.1:1/0", set_as_current=False)
    app.conf.update(conf)
    return app


@pytest.mark.parametrize(
    ("conf", "pool", "said"),
    [
        ({"task_always_eager": True}, None, r"task_always_eager .* waybill\.testing\.run_export"),
        ({"accept_content": ["pickle"]}, None, "Add 'json'"),
        ({"broker_transport_options": {"visibility_timeout": 30}}, None, "Set it to 180 or more"),
        ({}, "celery.concurrency.gevent", "--pool prefork"),
        ({}, "celery.concurrency.thread", "--pool prefork"),
    ],
)
def test_setting_with_which_exports_cannot_work_is_refused_with_its_remedy(
    conf: dict[str, Any], pool: str | None, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        check(theirs(**conf), longest_seconds=60, pool=pool)


def test_what_could_be_better_is_said() -> None:
    prefork = "celery.concurrency.prefork"
    said = check(theirs(), longest_seconds=60, pool=prefork)
    assert [each.split()[0] for each in said] == [
        "worker_prefetch_multiplier",
        "worker_max_memory_per_child",
    ]
    better = theirs(worker_prefetch_multiplier=1, worker_max_memory_per_child=300_000)
    assert check(better, longest_seconds=60, pool=prefork) == []


def test_tasks_of_ours_need_nothing_of_their_defaults(settings: Settings, catalog: Catalog) -> None:
    app = theirs(
        task_serializer="pickle",
        accept_content=["pickle", "json"],
        result_backend="redis://127.0.0.1:1/0",
        task_ignore_result=False,
        task_acks_late=False,
        task_time_limit=1,
        task_default_rate_limit="1/h",
        task_default_queue="theirs",
        task_annotations={
            "*": {
                "serializer": "pickle",
                "acks_late": False,
                "reject_on_worker_lost": False,
                "ignore_result": False,
                "rate_limit": "1/h",
                "time_limit": 1,
                "soft_time_limit": 1,
                "theirs": "stays",
            }
        },
    )
    waybill.celery.install(app, settings, catalog=catalog)
    task = app.tasks[RUN_EXPORT_HERE]
    assert (task.serializer, task.ignore_result) == ("json", True)
    assert (task.acks_late, task.reject_on_worker_lost) == (True, True)
    assert task.time_limit > settings.deadline_seconds
    for each in (task, app.tasks["waybill.sweep"]):
        assert (each.serializer, each.rate_limit, each.theirs) == ("json", 0, "stays")
        assert (each.acks_late, each.time_limit > 1) == (True, True)
    assert task.soft_time_limit == task.time_limit  # an export ends by its own deadline before
    # Nor does theirs or that end a search of storage, which would begin at the first key again.
    assert app.tasks["waybill.search_storage"].time_limit > task.time_limit
    assert {name for name in app.tasks if name.startswith("waybill.")} == {
        RUN_EXPORT_HERE,
        *(f"waybill.{name}" for name in UPKEEP),
    }
    entries = {name: each["options"]["queue"] for name, each in app.conf.beat_schedule.items()}
    assert set(entries.values()) == {"waybill.upkeep"}
    assert app.conf.task_default_queue == "theirs"
    with pytest.raises(ConfigurationError, match="called for this application before"):
        waybill.celery.install(app, settings, catalog=catalog)
    with pytest.raises(ConfigurationError, match=r"call waybill\.celery\.install\(app\)"):
        waybill.router(settings, catalog=catalog, principal=lambda: ANN, celery=theirs())


def test_each_application_of_a_process_runs_exports_of_its_own(
    settings: Settings, catalog: Catalog
) -> None:
    """Celery shares tasks with every application of a process, those of the first one first."""
    first, second, stranger = theirs(), theirs(), theirs()
    for app in (first, second):
        waybill.celery.install(app, settings, catalog=catalog)
    own = {
        name: (first.tasks[name].run, second.tasks[name].run)
        for name in first.tasks
        if name.startswith("waybill.")
    }
    assert len(own) == 1 + len(UPKEEP)
    for name, (of_first, of_second) in own.items():
        assert of_first is not of_second, name
    assert not [name for name in stranger.tasks if name.startswith("waybill.")]


async def test_broker_of_theirs_that_is_away_costs_no_request(
    settings: Settings, catalog: Catalog
) -> None:
    app = theirs()
    waybill.celery.install(app, settings, catalog=catalog)
    async with Services(settings, catalog=catalog, celery=app) as services:
        admitted = await services.exports.request(ANN, ExportRequest("users"))
        assert admitted.job.status == "queued"


def test_hooks_are_called_behind_the_commit_and_change_no_job(
    settings: Settings, catalog: Catalog, tmp_path: Any
) -> None:
    here = settings.model_copy(
        update={"storage": "directory", "storage_directory": tmp_path, "max_attempts": 1}
    )
    seen: list[tuple[str, str]] = []

    def completed(job: Any) -> None:
        seen.append(("completed", job.status))
        raise RuntimeError("of theirs")

    async def failed(job: Any) -> None:
        seen.append(("failed", job.error_code))

    hooks = Hooks(on_completed=completed, on_failed=failed)
    export = run_export(here, "users", ANN, catalog=catalog, hooks=hooks)
    assert export.job.status == "completed"
    assert len(list(csv.reader(io.StringIO(export.data.decode())))) == 2_001
    away = here.model_copy(update={"deadline_seconds": 0.000_001})
    export = run_export(away, "users", ANN, catalog=catalog, hooks=hooks, format="json")
    assert export.job.status == "failed"
    assert seen == [("completed", "completed"), ("failed", "deadline_exceeded")]


async def test_hook_of_expiry_is_called_where_upkeep_runs(
    services: Services, clock: Any, catalog: Catalog
) -> None:
    seen: list[str] = []
    services.hooks = Hooks(on_expired=lambda job: seen.append(str(job.id)))
    job = await services.repository.add(
        export_type="users", format="csv", options={}, requested_by="ann", tenant=None,
        max_attempts=1,
    )  # fmt: skip
    lease = await claimed(services.leases, job)
    assert await services.leases.complete(lease, result_of(lease))
    clock.advance(days=8)
    assert await services.cleanup.expire() == 1
    assert seen == [str(job.id)]
