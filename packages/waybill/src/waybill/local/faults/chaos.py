"""``make chaos``: exports of mixed sizes and formats while a seeded process breaks things.

    python -m waybill.local.faults.chaos --minutes 10 --seed 1

The last line is ``chaos: N faults, N jobs, N completed, 0 lost, 0 doubled, 0 truncated, 0 stuck``;
the exit status is 1 if any of the four is not 0, or an invariant does not hold.

``--host celery`` breaks exports in and beside somebody's Celery application that has the same Redis
(``shared``).
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import psutil  # type: ignore[import-untyped, unused-ignore]
import psycopg
from rich.console import Console
from rich.table import Table

from waybill.client import ClientError
from waybill.formats import ENCODERS
from waybill.formats.compress import CODECS
from waybill.local.faults.invariants import TERMINAL, Audit
from waybill.local.faults.rehearsal import Rehearsal, Row
from waybill.local.faults.s3_proxy import corrupt_body, error_in_200, reset_connection, unavailable
from waybill.local.sample import create_users
from waybill.local.signals import orderly_exit
from waybill.local.stack import LocalStack


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of export: its rows, how often it is asked for, how it is declared."""

    rows: int
    weight: int
    consistency: str = "snapshot"

    @property
    def table(self) -> str:
        return f"users_{self.rows}"


KINDS = {
    "users-small": Kind(500, 24),
    "users": Kind(20_000, 8),
    "users-large": Kind(120_000, 1),
    # 40 MB: long enough to be hit, and to be resumed.
    "users-resumable": Kind(120_000, 2, "resumable"),
}
SIZES = {name: kind.rows for name, kind in KINDS.items()}
# Every format as it is, and the text ones compressed as well.
_FILES: tuple[tuple[str, str | None], ...] = (
    *((name, None) for name in ENCODERS),
    *(("csv", codec) for codec in CODECS),
    *(("ndjson", codec) for codec in CODECS),
)
_DEADLINE_SECONDS = 300
# Faults come faster than a person's three retries are meant for: what is tested is that nothing is
# lost, doubled or cut, not how soon a job gives up.
SETTINGS = {
    "WAYBILL_MAX_ATTEMPTS": "20",
    "WAYBILL_QUOTA_PER_DAY": "1000000",
    "WAYBILL_PART_BYTES": str(5 * 1024 * 1024),
    "WAYBILL_CHECKPOINT_SECONDS": "0.1",
}
_AT_ONCE = 5
_PAUSE_SECONDS = (2.0, 6.0)
_QUIET_SECONDS = 180.0


def catalog_of(deadline_seconds: int) -> str:
    """Return the text of a catalog with every type of export."""
    return "".join(
        f'[exports.{name}]\ntable = "public.{kind.table}"\nkey = "id"\n'
        f'consistency = "{kind.consistency}"\ndeadline_seconds = {deadline_seconds}\n\n'
        for name, kind in KINDS.items()
    )


class Chaos:
    """Breaks a rehearsal at random moments; the same seed chooses the same faults in order."""

    def __init__(self, house: Rehearsal, seed: int, console: Console) -> None:
        self._house = house
        self._random = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self._console = console
        self.injected: Counter[str] = Counter()
        s3 = house.s3
        self._faults: dict[str, Callable[[], None]] = {
            "worker child killed": self._kill_child,
            "worker killed": self._kill_worker,
            "worker frozen past its lease": self._freeze_worker,
            "worker told to stop, as by a deploy": self._deploy_worker,
            "API killed": self._kill_api,
            "scheduler killed": self._kill_scheduler,
            "Valkey killed and restarted": self._restart_valkey,
            "PostgreSQL restarted": house.stack.postgres.restart,
            "database connections cut": house.postgres.cut,
            "source connections cut": house.source.cut,
            "broker connections cut": house.redis.cut,
            "S3 answers 503": lambda: s3.fault(unavailable(), times=4),
            "S3 breaks connections": lambda: s3.fault(reset_connection(), times=3),
            "S3 corrupts a part": lambda: s3.fault(corrupt_body(), operation="part", times=1),
            "S3 corrupts a small file": lambda: s3.fault(corrupt_body(), operation="put", times=1),
            "S3 loses the answer to Complete": lambda: s3.fault(
                operation="complete", times=1, lose_answer=True
            ),
            "S3 loses the answer to a put": lambda: s3.fault(
                operation="put", times=1, lose_answer=True
            ),
            "S3 answers Complete with an error in a 200": lambda: s3.fault(
                error_in_200(), operation="complete", times=1
            ),
            "S3 silent for seconds": self._hold_s3,
            "S3 forgets an upload": self._abort_an_upload,
        }

    def run(self, until: float) -> None:
        """Inject faults until the monotonic clock shows ``until``."""
        while time.monotonic() < until:
            time.sleep(self._random.uniform(*_PAUSE_SECONDS))
            name = self._random.choice(list(self._faults))
            self._console.print(f"  fault: {name}", style="dim")
            self._faults[name]()
            self.injected[name] += 1

    def _kill_child(self) -> None:
        children = psutil.Process(self._house.processes.worker.pid).children(recursive=True)
        for child in children[:1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()

    def _kill_worker(self) -> None:
        self._house.processes.worker.kill()
        self._house.processes.worker.start()

    def _freeze_worker(self) -> None:
        worker = self._house.processes.worker
        worker.pause()
        time.sleep(8)
        worker.resume()

    def _deploy_worker(self) -> None:
        self._house.processes.worker.stop()
        self._house.processes.worker.start()

    def _kill_api(self) -> None:
        self._house.processes.api.kill()
        self._house.processes.api.start()

    def _kill_scheduler(self) -> None:
        self._house.processes.scheduler.kill()
        self._house.processes.scheduler.start()

    def _restart_valkey(self) -> None:
        self._house.stack.valkey.kill()
        self._house.stack.valkey.start()

    def _hold_s3(self) -> None:
        self._house.s3.hold()
        time.sleep(self._random.uniform(1, 5))
        self._house.s3.release()

    def _abort_an_upload(self) -> None:
        s3 = self._house.storages()["s3"]
        uploads = list(s3.stale_uploads(older_than=datetime.now(UTC) + timedelta(days=1)))
        if uploads:
            upload = self._random.choice(uploads)
            s3.abort_upload(upload.key, upload.upload_id)


class Asked(Protocol):
    """What exports are asked of."""

    def request(self, export_type: str, **arguments: Any) -> str:
        """Request an export and return its id."""

    def rows(self, statement: str, *values: object) -> list[Row]:
        """Run a statement on waybill's database."""


class Load:
    """Requests exports of every format, a few at a time, for as long as it is told to."""

    def __init__(self, house: Asked, seed: int, *, at_once: int = _AT_ONCE) -> None:
        self._house = house
        self._at_once = at_once
        self._random = random.Random(seed + 1)  # noqa: S311 - reproducible on purpose
        self.refused = 0

    def run(self, until: float) -> None:
        """Keep some exports under way until the monotonic clock shows ``until``."""
        weights = [kind.weight for kind in KINDS.values()]
        while time.monotonic() < until:
            try:
                if self._unfinished() < self._at_once:
                    (export_type,) = self._random.choices(list(KINDS), weights)
                    chosen, compression = self._random.choice(_FILES)
                    self._house.request(export_type, format=chosen, compression=compression)
                else:
                    time.sleep(0.1)
            except (ClientError, psycopg.OperationalError, OSError):
                # An answer of 5xx, or none: nothing was promised, so nothing can be lost.
                self.refused += 1
                time.sleep(0.5)
            except Exception as exc:
                if "httpx" not in type(exc).__module__ and "httpcore" not in type(exc).__module__:
                    raise
                self.refused += 1
                time.sleep(0.5)

    def _unfinished(self) -> int:
        rows = self._house.rows(
            "SELECT count(*) AS n FROM export_jobs WHERE status IN ('queued', 'running')"
        )
        return int(rows[0]["n"])


def main() -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--host", choices=["celery"], help="beside somebody's application")
    arguments = parser.parse_args()
    console = Console(stderr=True, highlight=False)
    with orderly_exit(), tempfile.TemporaryDirectory(prefix="waybill-chaos-") as directory:
        console.print("Starting a service behind fault proxies ...")
        if arguments.host:
            problems, summary = _beside_celery(
                directory, arguments.minutes, arguments.seed, console
            )
        else:
            with LocalStack(Path(directory)) as stack:
                found, summary = rehearse(stack, arguments.minutes, arguments.seed, console)
            problems = found.problems
    print(summary)
    return 1 if problems else 0


def _beside_celery(
    directory: str, minutes: float, seed: int, console: Console
) -> tuple[list[str], str]:
    from waybill.local.faults.shared import breaking

    with LocalStack(Path(directory), fast=True) as stack:
        return breaking.rehearse(stack, minutes, seed, console)


def rehearse(stack: LocalStack, minutes: float, seed: int, console: Console) -> tuple[Audit, str]:
    """Run a service on ``stack`` and break it; return what was found, and the last line."""
    for kind in KINDS.values():
        create_users(stack.addresses.postgres_dsn, kind.rows, table=kind.table)
    with Rehearsal(
        stack, users=0, settings=SETTINGS, catalog=catalog_of(_DEADLINE_SECONDS)
    ) as house:
        chaos, load = Chaos(house, seed, console), Load(house, seed)
        until = time.monotonic() + minutes * 60
        requests = threading.Thread(target=load.run, args=(until,), daemon=True)
        requests.start()
        chaos.run(until)
        requests.join()
        house.s3.clear()
        console.print("Faults are over; waiting for every job to end ...")
        wait_until_quiet(house)
        found = house.audit(expected=SIZES)
        settled = time.monotonic() + 60
        while found.problems and time.monotonic() < settled:
            time.sleep(1)  # the orphan sweep has its turn every second here
            found = house.audit(expected=SIZES)
        _report(house, chaos, load, found, console)
    return found, (
        f"chaos: {chaos.injected.total()} faults, {found.jobs} jobs, "
        f"{found.by_status['completed']} completed, {found.lost} lost, {found.doubled} doubled, "
        f"{found.truncated} truncated, {found.stuck} stuck"
    )


def _report(house: Rehearsal, chaos: Chaos, load: Load, found: Audit, console: Console) -> None:
    table = Table("fault", "times")
    for name, times in sorted(chaos.injected.items()):
        table.add_row(name, str(times))
    console.print(table)
    table = Table("exports", "file", "jobs", "attempts", "resumed", "kept in the database")
    for row in house.rows(
        "SELECT export_type, concat_ws(' ', format, manifest->>'compression') AS file,"
        " count(*) AS jobs, sum(attempts.times) AS attempts,"
        " count(*) FILTER (WHERE jsonb_array_length(manifest->'segments') > 0) AS resumed,"
        " count(*) FILTER (WHERE storage = 'database') AS kept"
        " FROM export_jobs, LATERAL (SELECT count(*) AS times FROM export_attempts AS a"
        " WHERE a.export_id = export_jobs.id) AS attempts GROUP BY 1, 2 ORDER BY 1, 2"
    ):
        table.add_row(*(str(value) for value in row.values()))
    console.print(table)
    console.print(f"statuses: {dict(found.by_status)}; requests refused: {load.refused}")
    for problem in found.problems:
        console.print(problem, style="red", markup=False)


def wait_until_quiet(house: Asked) -> None:
    """Wait, for a while, until every job is over."""
    deadline = time.monotonic() + _QUIET_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(psycopg.OperationalError):
            rows = house.rows("SELECT status FROM export_jobs")
            if all(row["status"] in TERMINAL for row in rows):
                return
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
