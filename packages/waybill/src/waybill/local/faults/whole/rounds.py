"""Round after round: a random relation, its writer, and some exports of it, of which some are
killed. The same seed gives the same relations, changes and orders to kill; not the same moments."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
import secrets
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from sqlalchemy import text

from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog, ExportType
from waybill.catalog.model import Consistency
from waybill.config import Settings
from waybill.errors import RequestError, RunError
from waybill.jobs.job import ExportJob, ExportStatus
from waybill.local.faults.servers import Programs, Server
from waybill.local.faults.whole import attempts
from waybill.local.faults.whole.judge import judge, judge_stream
from waybill.local.faults.whole.kinds import KINDS
from waybill.local.faults.whole.sources import Scenario
from waybill.local.service_stack import settings_of
from waybill.local.stack import LocalStack
from waybill.manifest import Manifest
from waybill.migrations.run import migrate
from waybill.principal import Principal
from waybill.requests.request import ExportRequest

DEBIAN = Path("/usr/lib/postgresql/15/bin")
_SHAPES = ("table", "table", "table", "partitioned", "view", "materialized", "join", "inherited")
_FORMATS = ("csv", "ndjson", "json")
_ROWS = (0, 900, 6_000, 14_000, 14_000)
"""The largest makes three parts of an upload, so that there is something to resume."""
_STREAMS = 0.2
"""How many of all exports are streams."""
_CALM = ("insert", "update", "delete", "renumber", "trap", "detach")
"""What leaves a table the one it is, so that a killed export of it can be resumed."""
_MANY_EXPORTS = 60
"""Of so many, some have been resumed, even on a machine that is busy."""
_TURNS = 2
_AT_ONCE = 2
_ATTEMPT_SECONDS = 120.0
_CLEAR = frozenset(
    {"source_rejected", "source_unavailable", "incomplete_export", "key_not_unique",
     "deadline_exceeded", "worker_lost"}
)  # fmt: skip
"""How an export may be refused: each says what happened. Any other code is a defect."""


@dataclass
class Tally:
    """What became of all exports."""

    exports: int = 0
    completed: int = 0
    refused: int = 0
    wrong: int = 0
    resumed: int = 0
    streamed: int = 0
    killed: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    @property
    def exit_status(self) -> int:
        """Return the command's: 1 if any file is wrong, or if no attempt went on with another's
        in a run so long that many should have: then nothing was shown of those."""
        is_blind = self.exports >= _MANY_EXPORTS and not self.resumed
        return 1 if self.wrong or is_blind else 0

    def __str__(self) -> str:
        return (
            f"whole: {self.exports} exports, {self.completed} completed, {self.refused} refused, "
            f"{self.wrong} wrong"
        )


def fuzz(
    stack: LocalStack,
    directory: Path,
    *,
    minutes: float,
    seed: int,
    console: Console,
    plant: str | None = None,
    rounds: int | None = None,
    shapes: Sequence[str] = _SHAPES,
    sizes: Sequence[int] = _ROWS,
) -> Tally:
    """Run rounds on ``stack``'s services for so long (or so many ``rounds``); return the tally.

    ``plant`` is one of ``attempts.PLANTS``, and the end of the rounds as soon as it is found.
    """
    changes: tuple[str, ...] = ()
    if plant is not None:
        planted = attempts.PLANTS[plant]
        shapes, sizes, changes = planted.shapes, planted.sizes, planted.changes
    attempts.prepare()
    chance = random.Random(seed)  # noqa: S311 - reproducible on purpose
    tally = Tally()
    database = f"whole_{secrets.token_hex(6)}"
    service = settings_of(
        stack, database_url=stack.postgres.create_database(database), s3_prefix=database
    )
    migrate(service)
    until = time.monotonic() + minutes * 60
    with _sources(stack, directory, console, only_own=plant is not None) as servers:
        while time.monotonic() < until and (rounds is None or rounds > 0):
            if plant is not None and tally.wrong:
                break
            rounds = None if rounds is None else rounds - 1
            server = chance.choice(servers)
            kinds = [kind for kind in KINDS if kind.needs in {None, *server.has}]
            calm = _CALM if plant is None and chance.random() < 0.5 else ()
            with server.database() as dsn:
                scenario = Scenario(
                    dsn,
                    chance.choice(kinds),
                    chance.choice(shapes),
                    chance.choice(sizes),
                    random.Random(chance.random()),  # noqa: S311
                    changes or calm,
                )
                _Round(service, scenario, chance, tally, console, plant, server.name).run()
    console.print(
        f"{tally.killed} attempts killed, {tally.resumed} files of several segments, "
        f"{tally.streamed} streams; refusals: {dict(tally.refusals)}"
    )
    return tally


@dataclass(frozen=True)
class _Source:
    """A server to export from, and what it has."""

    name: str
    admin_dsn: str
    make_dsn: Any
    has: tuple[str, ...] = ()
    options: str = ""

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        name = f"whole_{secrets.token_hex(6)}"
        with psycopg.connect(self.admin_dsn, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} {self.options}".encode())
        try:
            yield self.make_dsn(name)
        finally:
            with psycopg.connect(self.admin_dsn, autocommit=True) as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@contextlib.contextmanager
def _sources(
    stack: LocalStack, directory: Path, console: Console, *, only_own: bool
) -> Iterator[list[_Source]]:
    """The wheels' PostgreSQL, and Debian's with databases in ICU's and libc's order."""
    own = _Source("PostgreSQL 18", stack.postgres.dsn(), stack.postgres.dsn)
    if only_own:
        yield [own]
        return
    if not (DEBIAN / "postgres").is_file():
        console.print(f"Without ICU and libc: there is no PostgreSQL in {DEBIAN}.")
        yield [own]
        return
    with Server(Programs(DEBIAN), directory / "debian") as server:
        server.make("--locale=C.UTF-8", "--encoding=UTF8")
        server.start()
        icu = "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de' LOCALE 'C.UTF-8'"
        yield [
            own,
            _Source("PostgreSQL 15, ICU", server.dsn(), server.dsn, ("icu",), icu),
            _Source("PostgreSQL 15, libc", server.dsn(), server.dsn, ("icu",)),
        ]


class _Round:
    """One relation, and the exports of it."""

    def __init__(
        self,
        service: Settings,
        scenario: Scenario,
        chance: random.Random,
        tally: Tally,
        console: Console,
        plant: str | None,
        server: str,
    ) -> None:
        self._scenario = scenario
        self._chance = chance
        self._tally = tally
        self._console = console
        self._plant = plant
        self._name = f"{server}, {scenario.shape} of {scenario.rows}, {scenario.kind.name}"
        self._service = service

    def run(self) -> None:
        """Make the relation, change it, and export it meanwhile."""
        try:
            self._scenario.make()
        except (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedObject):
            return  # no such key on a partitioned table
        stopped = threading.Event()
        writer = threading.Thread(target=self._scenario.run, args=(stopped,), daemon=True)
        writer.start()
        try:
            asyncio.run(self._export())
        finally:
            stopped.set()
            writer.join(60)
        if self._scenario.problem is not None:
            raise self._scenario.problem

    async def _export(self) -> None:
        settings = attempts.settings_for(self._service.model_dump(), self._scenario.dsn)
        for _ in range(_TURNS):
            consistency: Consistency = "snapshot"
            if self._plant is not None:
                consistency = attempts.PLANTS[self._plant].consistency
            elif self._scenario.may_resume and self._chance.random() < 0.7:
                consistency = "resumable"
            export_type = self._scenario.export_type(consistency)
            async with Services(settings, catalog=Catalog([export_type])) as services:
                await asyncio.gather(*(self._any(services, export_type) for _ in range(_AT_ONCE)))

    async def _any(self, services: Services, export_type: ExportType) -> None:
        if self._plant is None and self._chance.random() < _STREAMS:
            await self._stream(services)
        else:
            await self._one(services, export_type)

    async def _stream(self, services: Services) -> None:
        chosen = self._chance.choice(_FORMATS)
        request = ExportRequest(
            "whole", chosen, format_options={"formula_guard": False} if chosen == "csv" else {}
        )
        self._tally.exports += 1
        self._tally.streamed += 1
        data = bytearray()
        try:
            stream = await services.streams.open(Principal(secrets.token_hex(6)), request)
            try:
                while (piece := await stream.next()) is not None:
                    data += piece
            finally:
                await stream.close()
        except (RequestError, RunError) as exc:
            self._refused(chosen, getattr(exc, "cause", exc.code))
            return
        self._tally.completed += 1
        verdict = judge_stream(bytes(data), chosen, list(self._scenario.states))
        if verdict.problem is not None:
            self._wrong(f"{chosen} stream", verdict.problem)

    async def _one(self, services: Services, export_type: ExportType) -> None:
        options = {"formula_guard": False}
        chosen = self._chance.choice(_FORMATS)
        job = await services.repository.add(
            export_type="whole", format=chosen, requested_by="whole", tenant=None, max_attempts=5,
            options={"format_options": options} if chosen == "csv" else {},
        )  # fmt: skip
        order = attempts.Order(services.settings.model_dump(), export_type, job.id, self._plant)
        may_resume = export_type.consistency == "resumable"
        kills = self._chance.choice((1, 2, 2, 3) if may_resume else (0, 0, 1, 2))
        while True:
            found = await services.repository.find(job.id)
            assert found is not None  # noqa: S101 - its row was added above
            if found.status.is_finished:
                break
            killed = kills > 0
            behind_checkpoint = killed and may_resume and self._chance.random() < 0.7
            process = attempts.start(
                dataclasses.replace(order, dies_behind_checkpoint=behind_checkpoint)
            )
            at_any_moment = killed and not behind_checkpoint
            await asyncio.to_thread(
                process.join, self._chance.uniform(0.2, 2.5) if at_any_moment else _ATTEMPT_SECONDS
            )
            if process.is_alive():
                process.kill()
                process.join()
            self._tally.killed += killed and process.exitcode == -signal.SIGKILL
            kills -= 1
            await _make_due(services, job)
        await self._judge(services, found)

    async def _judge(self, services: Services, job: ExportJob) -> None:
        self._tally.exports += 1
        if job.status is not ExportStatus.COMPLETED:
            self._refused(job.format, job.error_code or "none")
            return
        self._tally.completed += 1
        data = b"".join(services.storage_of(job).read(job.object_key or ""))
        manifest = Manifest.load(await services.repository.find_manifest(job.id) or {})
        verdict = judge(data, manifest, self._scenario, list(self._scenario.states))
        self._tally.resumed += verdict.segments > 1
        if verdict.problem is not None:
            segments = f" of {verdict.segments} segments" if verdict.segments > 1 else ""
            self._wrong(f"{job.format}{segments}", verdict.problem)

    def _refused(self, what: str, code: str) -> None:
        self._tally.refusals[code] += 1
        if code in _CLEAR:
            self._tally.refused += 1
        else:
            self._wrong(what, f"failed with {code}")

    def _wrong(self, what: str, problem: str) -> None:
        self._tally.wrong += 1
        finding = f"{self._name}: {what}: {problem}"
        self._tally.findings.append(finding)
        self._console.print(f"WRONG: {finding}", style="red", markup=False)


_EXPIRE = "UPDATE export_jobs SET lease_expires_at = now() WHERE status = 'running' AND id = :i"
_HASTEN = "UPDATE export_jobs SET next_attempt_at = now() WHERE status = 'queued' AND id = :i"


async def _make_due(services: Services, job: ExportJob) -> None:
    """Let a job that was killed be found at once, and one that waits be due."""
    async with services.engine.begin() as connection:
        await connection.execute(
            text(_EXPIRE),
            {"i": job.id},
        )
    await services.sweeper.sweep()
    async with services.engine.begin() as connection:
        await connection.execute(
            text(_HASTEN),
            {"i": job.id},
        )
