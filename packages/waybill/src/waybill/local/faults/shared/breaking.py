"""Breaks what is ours beside somebody's application, and counts what became of both."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped, unused-ignore]
import redis
from rich.console import Console
from rich.table import Table

from waybill.local.errors import ServiceFailed
from waybill.local.faults.brokers import Broker
from waybill.local.faults.chaos import (
    KINDS,
    SETTINGS,
    SIZES,
    Asked,
    Load,
    catalog_of,
    wait_until_quiet,
)
from waybill.local.faults.invariants import Audit
from waybill.local.faults.rehearsal import Rehearsal
from waybill.local.faults.shared import application as there
from waybill.local.faults.shared import diary
from waybill.local.faults.shared.diary import Tally
from waybill.local.faults.shared.keys import KeyWatch, WatchedRedis
from waybill.local.faults.shared.shop import PREFIX, Shop, ShopWithExports
from waybill.local.process import SupervisedProcess
from waybill.local.sample import create_users
from waybill.local.stack import LocalStack
from waybill.storage.database.storage import DatabaseOptions, DatabaseStorage

_OWN: Final = "waybill.exports"
_DEADLINE_SECONDS: Final = 110
_SETTINGS: Final = {**SETTINGS, "WAYBILL_DEADLINE_SECONDS": str(_DEADLINE_SECONDS)}
_FROZEN_SECONDS: Final = 8.0
_PAUSE_SECONDS: Final = (3.0, 9.0)
_AT_ONCE: Final = 2
_RESTART_WEIGHT: Final = 0.8
"""Of a restart of Redis beside other faults: what it repeats by itself is to stay the exception."""
_SLOWED_SECONDS: Final = 0.01
"""For each 64 KiB that is read: exports take seconds, in which they can be hit, and little CPU."""
_LEFT_SECONDS: Final = there.VISIBILITY_SECONDS + 90


class Breaking:
    """Breaks workers, schedulers and APIs of ours, and Redis, at random moments."""

    def __init__(
        self,
        house: Rehearsal,
        shop: ShopWithExports,
        alone: Shop,
        broker_alone: Broker,
        seed: int,
        console: Console,
    ) -> None:
        self._house = house
        self._shop = shop
        self._shops = (shop, alone)
        self._broker_alone = broker_alone
        self._random = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self._console = console
        self.kills: list[float] = []
        """When Redis was killed, by the clock on the wall."""
        self.injected: Counter[str] = Counter()
        self.came_back: Counter[str] = Counter()
        """Processes that ended by themselves, and were started again as a supervisor does."""
        self._hands = threading.Lock()
        ours = house.processes
        start = shop.start
        self._faults: dict[str, Callable[[], None]] = {
            "worker of ours: child killed": self._kill_child,
            "worker of ours: killed": lambda: _kill(ours.worker, ours.start_worker),
            "worker of ours: frozen past its lease": lambda: _freeze(ours.worker),
            "worker of ours: told to stop": lambda: _deploy(ours.worker, ours.start_worker),
            "API of ours: killed": lambda: _kill(ours.api, ours.start_api),
            "scheduler of ours: killed": lambda: _kill(ours.scheduler, ours.start_scheduler),
            "broker connections of ours: cut": house.redis.cut,
            "their worker: child with an export killed": self._kill_child_of_theirs,
            "their worker for exports: killed": lambda: _kill(
                shop.exporter, lambda: start(shop.exporter)
            ),
            "their worker for exports: frozen": lambda: _freeze(shop.exporter),
            "their worker for exports: told to stop": lambda: _deploy(
                shop.exporter, lambda: start(shop.exporter)
            ),
            "their web with our routes: killed": lambda: _kill(shop.web, lambda: start(shop.web)),
            "Redis: killed and restarted": self._restart_redis,
        }

    def run(self, until: float) -> None:
        """Inject faults until the monotonic clock shows ``until``."""
        names = list(self._faults)
        restart = self._faults["Redis: killed and restarted"]
        weights = [_RESTART_WEIGHT if self._faults[name] == restart else 1.0 for name in names]
        while time.monotonic() < until:
            time.sleep(self._random.uniform(*_PAUSE_SECONDS))
            (name,) = self._random.choices(names, weights)
            self._console.print(f"  {time.strftime('%H:%M:%S')} fault: {name}", style="dim")
            with self._hands:
                self._faults[name]()
            self.injected[name] += 1

    def supervise(self, is_over: threading.Event) -> None:
        """Start again what ends by itself, as Celery's worker may when its broker is gone, until
        told not to."""
        ours = self._house.processes
        while not is_over.wait(0.5):
            self._bring_back(ours.worker, ours.start_worker, is_over)
            for shop in self._shops:
                for process in tuple(shop.processes):
                    self._bring_back(process, partial(shop.start, process), is_over)

    def _bring_back(
        self, process: SupervisedProcess, start: Callable[[], None], is_over: threading.Event
    ) -> None:
        with self._hands:
            if process.returncode is None or is_over.is_set():
                return
            self.came_back[process.name] += 1
            self._console.print(f"  {process.name} had ended by itself", style="dim")
            _up(start)

    def _kill_child(self) -> None:
        children = psutil.Process(self._house.processes.worker.pid).children(recursive=True)
        for child in children[:1]:
            with suppress(psutil.NoSuchProcess):
                child.kill()

    def _kill_child_of_theirs(self) -> None:
        deadline = time.monotonic() + _FROZEN_SECONDS
        while not self._shop.kill_child_with_export() and time.monotonic() < deadline:
            time.sleep(0.05)

    def _restart_redis(self) -> None:
        """That of both at once, while nobody is about to send: what is sent to a Redis that dies
        may have arrived or not."""
        with self._shops[0].lock, self._shops[1].lock:
            time.sleep(0.5)
            self.kills.append(time.time())
            self._house.stack.valkey.kill()
            self._broker_alone.kill()
            self._house.stack.valkey.start()
            self._broker_alone.start()


def _up(start: Callable[[], None]) -> None:
    # What takes long on a busy machine comes up all the same, or is brought back by the supervisor.
    with suppress(ServiceFailed):
        start()


def _kill(process: SupervisedProcess, start: Callable[[], None]) -> None:
    process.kill()
    _up(start)


def _deploy(process: SupervisedProcess, start: Callable[[], None]) -> None:
    process.stop()
    _up(start)


def _freeze(process: SupervisedProcess) -> None:
    process.pause()
    time.sleep(_FROZEN_SECONDS)
    process.resume()


def rehearse(
    stack: LocalStack,
    minutes: float,
    seed: int,
    console: Console,
    *,
    is_whole: bool = True,
) -> tuple[list[str], str]:
    """Run an application and ours on one Redis, and break ours; return what was found, and the
    last line.

    Args:
        stack: a running stack, made with ``fast``: a Redis that is killed then has what it
            acknowledged, so that nothing but its connections is lost.
        minutes: how long.
        seed: chooses faults, tasks and exports.
        console: for what happens.
        is_whole: wait for messages whose acknowledgement was lost, which come again after minutes.
    """
    for kind in KINDS.values():
        create_users(stack.addresses.postgres_dsn, kind.rows, table=kind.table)
    directory = stack.data_dir / "shops"
    directory.mkdir(exist_ok=True)
    if not stack.postgres.has_database("shop"):
        stack.postgres.create_database("shop")
    with ExitStack() as closing:
        house = closing.enter_context(
            Rehearsal(
                stack,
                users=0,
                settings=_SETTINGS,
                catalog=catalog_of(_DEADLINE_SECONDS),
                redis_proxy=WatchedRedis,
                module="waybill.local.faults.shared.impatient",
            )
        )
        house.source.delay(_SLOWED_SECONDS)
        watch = _watch(house)
        shop = closing.enter_context(_shop_on(house, directory))
        broker_alone = closing.enter_context(
            Broker(directory / "alone", {"appendonly": "yes", "appendfsync": "no"})
        )
        alone = closing.enter_context(Shop("alone", broker_alone.url(), directory, stack.guard))
        breaking = Breaking(house, shop, alone, broker_alone, seed, console)
        until = time.monotonic() + minutes * 60
        threads = [
            _thread(_load(house, seed), until),
            _thread(_load(shop, seed + 1), until),
            _thread(partial(shop.work, seed), until),
            _thread(partial(alone.work, seed), until),
        ]
        for thread in threads:
            thread.start()
        is_over = threading.Event()
        closing.callback(is_over.set)
        supervisor = threading.Thread(target=breaking.supervise, args=(is_over,), daemon=True)
        supervisor.start()
        breaking.run(until)
        for thread in threads:
            thread.join()
        console.print("Faults are over; waiting for every export and task to end ...")
        house.source.delay(0)
        wait_until_quiet(house)
        wait_until_quiet(shop)
        console.print("Exports are over; waiting for tasks of the application ...")
        shop.wait_ended()
        alone.wait_ended()
        if is_whole:
            _wait_acknowledged((shop, alone), console)
        is_over.set()
        supervisor.join()
        audits = [_settled(partial(it.audit, expected=SIZES)) for it in (house, shop)]
        found = diary.judge(diary.read(shop.diary), breaking.kills)
        control = diary.judge(diary.read(alone.diary), breaking.kills)
        watch.touched.update(_strangers(shop))
    _report(breaking, audits, found, control, watch, console)
    return _verdict(breaking, audits, found, control, watch)


def _load(house: Asked, seed: int) -> Callable[[float], None]:
    return Load(house, seed, at_once=_AT_ONCE).run


def _thread(work: Callable[[float], None], until: float) -> threading.Thread:
    return threading.Thread(target=work, args=(until,), daemon=True)


def _watch(house: Rehearsal) -> KeyWatch:
    """Watch what the service of ours says to Redis. It was silent so far but for its start."""
    with redis.Redis.from_url(house.stack.addresses.redis_url) as client:
        watch = KeyWatch(client.command(), _OWN)
    assert isinstance(house.redis, WatchedRedis)  # noqa: S101 - given above
    house.redis.see = watch.see
    return watch


def _shop_on(house: Rehearsal, directory: Path) -> ShopWithExports:
    stack = house.stack
    dsn = stack.postgres.dsn("shop")
    settings = {
        **house.environment,
        "WAYBILL_DATABASE_URL": dsn,
        "WAYBILL_S3_PREFIX": PREFIX,
        # Whatever this says: theirs is used.
        "WAYBILL_REDIS_URL": "redis://127.0.0.1:1/0",
    }
    del settings["WAYBILL_DEVELOPMENT_TOKEN"]
    storages = {**house.storages(), "database": DatabaseStorage(DatabaseOptions(dsn))}
    return ShopWithExports(
        "shop", stack.addresses.redis_url, directory, stack.guard, settings, storages
    )


def _strangers(shop: ShopWithExports) -> Counter[str]:
    """Return keys of the shared Redis that are neither the application's nor known to be ours."""
    tasks = {entry.task for entry in diary.read(shop.diary)}
    queues = "|".join(map(re.escape, ("celery", there.QUEUE, there.UPKEEP)))
    # The last: by which Celery's workers are told something, and tell what they do.
    known = re.compile(
        rf"{re.escape(_OWN)}[.].*|unacked(_index|_mutex)?|({queues})(\x06\x16\d)?"
        r"|_kombu[.]binding.*|.*celery[.]pidbox|celeryev[.].*"
    )
    found: Counter[str] = Counter()
    with redis.Redis.from_url(shop.broker_url, decode_responses=True) as client:
        for key in client.scan_iter(count=1000):
            of_task = key.removeprefix("celery-task-meta-")
            if not known.fullmatch(key) and of_task not in tasks:
                found[key] += 1
    return found


def _wait_acknowledged(shops: Sequence[Shop], console: Console) -> None:
    """Wait for messages whose acknowledgement was lost: they come again after a time-out."""
    deadline = time.monotonic() + _LEFT_SECONDS
    while any(left := [shop.unacknowledged() for shop in shops]):
        if time.monotonic() > deadline:
            console.print(f"messages that nobody acknowledged (beside us, without us): {left}")
            return
        time.sleep(1)


def _settled(audit: Callable[[], Audit]) -> Audit:
    settled = time.monotonic() + 120
    while (found := audit()).problems and time.monotonic() < settled:
        time.sleep(2)  # the orphan sweeps have their turn
    return found


def _report(
    breaking: Breaking,
    audits: Sequence[Audit],
    found: Tally,
    control: Tally,
    watch: KeyWatch,
    console: Console,
) -> None:
    table = Table("fault", "times")
    for name, times in sorted(breaking.injected.items()):
        table.add_row(name, str(times))
    console.print(table)
    for name, each in zip(("beside theirs", "in theirs"), audits, strict=True):
        console.print(f"exports {name}: {each.jobs}, {dict(each.by_status)}")
    console.print(f"ended by themselves, and were started again: {dict(breaking.came_back)}")
    console.print(f"commands of ours to their Redis: {watch.commands}")
    for name, tally in (("beside us", found), ("without us", control)):
        console.print(
            f"application {name}: {tally.tasks} tasks, {tally.lost} lost, {tally.twice} run twice; "
            f"of {tally.under_way} under way when Redis was killed, {tally.again} run again by that"
        )
    problems = [problem for each in audits for problem in each.problems]
    problems += found.problems + [f"without us: {each}" for each in control.problems]
    problems += [f"touched, {times} times: {key}" for key, times in watch.touched.items()]
    for problem in problems:
        console.print(problem, style="red", markup=False)


def _verdict(
    breaking: Breaking, audits: Sequence[Audit], found: Tally, control: Tally, watch: KeyWatch
) -> tuple[list[str], str]:
    problems = [problem for each in audits for problem in each.problems] + found.problems
    problems += [f"touched: {key}" for key in watch.touched]
    jobs = sum(each.jobs for each in audits)
    completed = sum(each.by_status["completed"] for each in audits)
    if completed != jobs:
        problems.append(f"{jobs - completed} of {jobs} exports did not complete")
    total = Counter(
        {name: sum(getattr(each, name) for each in audits) for name in ("lost", "doubled")}
    )
    return problems, (
        f"chaos: {breaking.injected.total()} faults, {jobs} exports, {completed} completed, "
        f"{total['lost']} lost, {total['doubled']} doubled; host: {found.tasks} tasks, "
        f"{found.lost} lost, {found.twice} run twice, {watch.touched.total()} keys touched "
        f"(by {len(breaking.kills)} kills of Redis: {found.again} run again, "
        f"without us {control.again})"
    )
