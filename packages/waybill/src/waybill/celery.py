"""waybill in a Celery application that exists already::

    waybill.celery.install(app)

Their worker runs exports on a queue of ours, their beat schedules our upkeep, and nothing of theirs
is touched: what our tasks need stands in their own options. What can only be set for a whole
application is looked at when a worker starts, and what cannot work keeps it from starting.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

from celery import Celery, Task, signals

from waybill.bootstrap.parts import parts_factory
from waybill.bootstrap.scheduler import DeliveryParts, SchedulerParts
from waybill.bootstrap.worker import WorkerParts
from waybill.catalog import Catalog, load
from waybill.catalog.computed import load_functions
from waybill.config import Settings, load_settings
from waybill.errors import ConfigurationError
from waybill.formats import missing
from waybill.jobs.host_broker import AMQP, CONSUMER_SECONDS, HANDS_OUT_AGAIN, transports
from waybill.jobs.host_queue import RUN_EXPORT_HERE, adopt, itself, know_queue, queue_of
from waybill.log import get_logger
from waybill.notify.delivery import Delivery, NotificationChannel, Subscription
from waybill.notify.errors import DeliveryFailed, DeliveryRefused
from waybill.notify.registry import create_channels
from waybill.requests.object_folder import load_folder_of
from waybill.run.hooks import Hooks
from waybill.run.shutdown import ChildTermination, ShutdownFlag
from waybill.storage.objects import Objects
from waybill.worker.runtime import ProcessRuntime
from waybill.worker.tasks import register_export_task

__all__ = [
    "Delivery",
    "DeliveryFailed",
    "DeliveryRefused",
    "Hooks",
    "NotificationChannel",
    "Subscription",
    "check",
    "install",
]

log = get_logger(__name__)

_GRACE_SECONDS: Final = 120.0
_LEAST_UPKEEP_SECONDS: Final = 5.0
_STORAGE_SECONDS: Final = 30.0
_SEARCH_SECONDS: Final = 300.0
_MISCONFIGURED: Final = 78  # EX_CONFIG, as the command line has it


def install(
    app: Celery,
    settings: Settings | None = None,
    *,
    queue: str = "waybill",
    catalog: Catalog | None = None,
    hooks: Hooks | None = None,
    channels: Sequence[NotificationChannel] = (),
    objects: Objects | None = None,
) -> None:
    """Have the workers of ``app`` run exports, and its beat the upkeep.

    Workers without ``-Q`` take our two queues besides their own; others name them:
    ``celery -A shop worker -Q celery,waybill,waybill.upkeep``. Connects to nothing.

    Args:
        app: the application's Celery; give it to ``waybill.router(celery=app)`` as well, so that
            requests are announced there.
        settings: the environment's (``WAYBILL_…``) when ``None``; ``WAYBILL_REDIS_URL`` is not
            used.
        queue: what our queue is called; that of upkeep is ``{queue}.upkeep``. Two installations on
            one broker need two names.
        catalog: what may be exported; the settings' when ``None``.
        hooks: functions to be called when exports end.
        channels: by which people are told besides; give them to ``waybill.router(channels=…)`` as
            well, since what is cancelled there is told, too.
        objects: how files are to be in S3; as in ``waybill.router(objects=…)``.

    Raises:
        ConfigurationError: settings, catalog, channels or objects do not hold, or it was done
            already.
    """
    app = itself(app)
    if queue_of(app) is not None:
        raise ConfigurationError("waybill.celery.install() was called for this application before.")
    given = load_settings() if settings is None else settings
    if objects is not None:
        given = objects.applied_to(given)
    known = load(given.catalog) if catalog is None else catalog
    longest = _longest_seconds(given, known)
    create_channels(given, channels)
    load_folder_of(given.object_key)
    adopt(app, queue)
    shutdown = ShutdownFlag()
    common: dict[str, Any] = {"catalog": known, "celery": app, "hooks": hooks, "channels": channels}
    runtime = ProcessRuntime(parts_factory(WorkerParts, given, shutdown=shutdown, **common))
    upkeep = ProcessRuntime(parts_factory(SchedulerParts, given, **common))
    options: dict[str, Any] = {
        # Said for each task, whatever the application has as its defaults. Its own class of tasks
        # may ask for arguments that ours have not, repeat what raises, or raise itself.
        "base": Task,
        "serializer": "json",
        "acks_late": True,
        "reject_on_worker_lost": True,
        "acks_on_failure_or_timeout": True,
        "ignore_result": True,
        "store_errors_even_if_ignored": False,
        "rate_limit": 0,  # none: that of ``task_default_rate_limit`` is for what says nothing
        # An export has a deadline of its own, by which it ends well; theirs would kill it.
        "time_limit": longest + _GRACE_SECONDS,
        "soft_time_limit": longest + _GRACE_SECONDS,
    }
    register_export_task(
        app, runtime, shutdown, ChildTermination(shutdown),
        name=RUN_EXPORT_HERE, **_held(options),
    )  # fmt: skip
    _register_upkeep(
        app, upkeep, given, queue=f"{queue}.upkeep", options=options, channels=channels
    )
    _connect(app, shutdown, (runtime, upkeep), catalog=known, longest=longest, queue=queue)


class _Placed(Task):  # type: ignore[misc]
    """A task that goes to its own place, whatever sends it."""

    abstract = True
    place: dict[str, Any]

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        send = super().apply_async  # handed on, whenever its sender wants it
        return send(args, kwargs, **{**options, **self.place})


def _held(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a task that hold whatever the application annotates its tasks with
    (``task_annotations``), which would have the last word."""

    def annotate(cls: Any) -> None:
        super(cls, cls).annotate()
        for name, value in options.items():
            setattr(cls, name, value)

    return {**options, "annotate": classmethod(annotate)}


def check(app: Celery, *, longest_seconds: float, pool: str | None = None) -> list[str]:
    """Refuse settings of ``app`` with which exports cannot work.

    Args:
        app: an application with ``install``.
        longest_seconds: the longest deadline of an export.
        pool: the module of the worker's pool; ``None`` where there is none.

    Returns:
        What works and could be better, a sentence each.

    Raises:
        ConfigurationError: names each setting, and its remedy.
    """
    refused = list(_refusals(app, longest_seconds, pool))
    if refused:
        raise ConfigurationError(f"This Celery application cannot run exports: {' '.join(refused)}")
    return list(_advice(app, longest_seconds)) if pool else []


def _refusals(app: Celery, longest_seconds: float, pool: str | None) -> Iterator[str]:
    conf = app.conf
    if conf.task_always_eager:
        yield (
            "task_always_eager would have each web process run its exports itself. Unset it; in "
            "tests, waybill.testing.run_export does that for the exports you name."
        )
    accepted = {str(each).rpartition("/")[2].removeprefix("x-") for each in conf.accept_content}
    if "json" not in accepted:
        yield f"accept_content is {sorted(accepted)}, and messages of ours are JSON. Add 'json'."
    options = conf.broker_transport_options or {}
    lent = [HANDS_OUT_AGAIN[each] for each in transports(app) if each in HANDS_OUT_AGAIN]
    if lent:
        seconds = float(options.get("visibility_timeout") or min(lent))
        if seconds < longest_seconds + _GRACE_SECONDS:
            yield (
                f"broker_transport_options['visibility_timeout'] is {seconds:g} s, after which the "
                f"broker gives a running export to another worker; exports take up to "
                f"{longest_seconds:g} s. Set it to {longest_seconds + _GRACE_SECONDS:g} or more."
            )
    ours = queue_of(app)
    if (predefined := options.get("predefined_queues")) and ours is not None:
        # Of SQS, whose names have no dots.
        known = {str(name).replace(".", "-") for name in predefined}
        names = [name for name in (ours, f"{ours}.upkeep") if name.replace(".", "-") not in known]
        if names:
            yield (
                "broker_transport_options['predefined_queues'] has no "
                f"{' and no '.join(map(repr, names))}. Make and add what is missing, or leave "
                "predefined_queues out."
            )
    if pool is not None and pool.rpartition(".")[2] not in {"prefork", "solo"}:
        yield (
            f"The pool of this worker is {pool.rpartition('.')[2]}, in which an export can neither "
            "be ended nor measured. Give waybill's queues a worker of their own with --pool "
            "prefork, or run `waybill worker`."
        )


def _advice(app: Celery, longest_seconds: float) -> Iterator[str]:
    conf = app.conf
    needed = longest_seconds + _GRACE_SECONDS
    if transports(app) & AMQP and needed > CONSUMER_SECONDS:
        yield (
            f"consumer_timeout of RabbitMQ is {CONSUMER_SECONDS} s unless it was told otherwise: "
            "Celery ends a worker, with all it does, when a task takes longer, and exports take up "
            f"to {longest_seconds:g} s. Set it to {1000 * needed:.0f} (milliseconds) or more in "
            "rabbitmq.conf, or run `waybill worker`, which needs no RabbitMQ."
        )
    if (lacking := missing()) is not None:
        yield f"{lacking}; a request for it that the API takes fails in this worker."
    if conf.worker_prefetch_multiplier != 1:
        yield (
            f"worker_prefetch_multiplier is {conf.worker_prefetch_multiplier}: messages wait "
            "behind long exports while other workers idle. 1 is better, or a worker of ours."
        )
    if not conf.worker_max_memory_per_child:
        yield "worker_max_memory_per_child is unset: a process keeps what its largest task needed."
    if conf.worker_cancel_long_running_tasks_on_connection_loss:
        yield (
            "worker_cancel_long_running_tasks_on_connection_loss is on: exports begin again when "
            "the broker blinks."
        )


def _register_upkeep(
    app: Celery,
    runtime: ProcessRuntime[SchedulerParts],
    settings: Settings,
    *,
    queue: str,
    options: dict[str, Any],
    channels: Sequence[NotificationChannel],
) -> None:
    async def deliver() -> None:
        async with DeliveryParts(settings, channels=channels) as parts:
            await parts.notifications.housekeep()
            while await parts.notifications.dispatcher.deliver_due():
                pass

    work: tuple[tuple[str, float, Any], ...] = (
        ("sweep", settings.sweep_seconds, lambda: runtime.run(lambda it: it.sweeper.sweep())),
        ("clean", _STORAGE_SECONDS, lambda: runtime.run(lambda it: it.sweeper.clean())),
        (
            "sweep_storage",
            _STORAGE_SECONDS,
            lambda: runtime.run(lambda it: it.sweeper.tidy_storage()),
        ),
        # Whole each time, and by the beat's clock: where the search got to would be forgotten
        # with a child, and theirs may live for one task.
        (
            "search_storage",
            settings.storage_sweep_seconds,
            lambda: runtime.run(
                lambda it: it.sweeper.search_storage(within_seconds=_SEARCH_SECONDS)
            ),
        ),
        ("monitor", settings.monitor_seconds, lambda: runtime.run(lambda it: it.monitor.watch())),
        ("notify", settings.notify_seconds, lambda: asyncio.run(deliver())),
    )
    entries: dict[str, Any] = {}
    for name, wanted_seconds, run in work:
        seconds = max(wanted_seconds, _LEAST_UPKEEP_SECONDS)

        def task(run: Any = run) -> None:
            run()

        # Not behind one another, should the workers be away for a while.
        longest = options["time_limit"] + (_SEARCH_SECONDS if name == "search_storage" else 0.0)
        limits = {"time_limit": longest, "soft_time_limit": longest}
        # All three: a route of theirs (task_routes) fills in what is left out.
        when = {"queue": queue, "exchange": "", "routing_key": queue, "expires": 2 * seconds}
        # By the task too: django-celery-beat keeps neither an empty exchange nor the expiry.
        kept = {"base": _Placed, "place": when, "expires": when["expires"]}
        held = _held(options | limits | kept)
        registered = app.task(task, name=f"waybill.{name}", shared=False, **held)
        app.add_periodic_task(seconds, registered.s(), name=f"waybill.{name}", **when)
        entries[f"waybill.{name}"] = {
            "task": f"waybill.{name}", "schedule": seconds, "options": when,
        }  # fmt: skip

    def on_beat(sender: Any, **_: Any) -> None:
        if sender.app is not app:
            return
        know_queue(app, queue)
        # Theirs may have been given after ours were added (``conf.beat_schedule = {…}``), which
        # replaces them: nothing would expire, be told or be found again.
        there = sender.scheduler.schedule
        lost = {name: entry for name, entry in entries.items() if name not in there}
        if lost:
            log.warning("celery.schedule_replaced", added=sorted(lost))
            sender.scheduler.update_from_dict(lost)

    signals.beat_init.connect(on_beat, weak=False)


def _connect(
    app: Celery,
    shutdown: ShutdownFlag,
    runtimes: tuple[ProcessRuntime[Any], ...],
    *,
    catalog: Catalog,
    longest: float,
    queue: str,
) -> None:
    def on_init(instance: Any, **_: Any) -> None:
        if instance.app is app:
            # Before -Q is read, which may name none that the application was not told of.
            for name in (queue, f"{queue}.upkeep"):
                know_queue(app, name)

    def on_setup(instance: Any, **_: Any) -> None:
        if instance.app is not app:
            return
        pool = instance.pool_cls if isinstance(instance.pool_cls, str) else None
        pool = pool or f"{instance.pool_cls.__module__}"
        try:
            for export_type in catalog.values():
                load_functions(export_type)
            for sentence in check(app, longest_seconds=longest, pool=pool):
                log.warning("celery.advice", advice=sentence)
        except Exception as exc:
            # Celery logs what a receiver raises and goes on, but for this: to a worker that takes
            # none of our queues.
            if not isinstance(exc, ConfigurationError):
                log.exception("celery.check_failed")
            print(f"waybill: {exc}", file=sys.stderr)
            raise SystemExit(_MISCONFIGURED) from exc
        queues = app.amqp.queues
        # What -Q chose; Celery tells nobody else.
        is_chosen = bool(getattr(queues, "_consume_from", None))
        for name in (queue, f"{queue}.upkeep"):
            if not is_chosen:
                queues.select_add(name)
            else:
                know_queue(app, name)

    def on_shutdown(**_: Any) -> None:
        shutdown.set()

    def on_process_shutdown(**_: Any) -> None:
        for runtime in runtimes:
            runtime.close()

    signals.celeryd_init.connect(on_init, weak=False)
    signals.celeryd_after_setup.connect(on_setup, weak=False)
    signals.worker_shutting_down.connect(on_shutdown, weak=False)
    signals.worker_process_shutdown.connect(on_process_shutdown, weak=False)


def _longest_seconds(settings: Settings, catalog: Catalog) -> float:
    return max(
        settings.deadline_seconds,
        *(each.deadline_seconds or 0.0 for each in catalog.values()),
        0.0,
    )
