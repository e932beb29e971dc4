"""What exports do to the database they read.

    python benchmarks/polite.py [--only primary|standby] [--rows N] [--seconds N] [--rounds N]
                                [--exports N] [--feedback off]

``primary``: pgbench's latency on a PostgreSQL of its own, with no export, a plain one and a
throttled one beside it, by turns in one run. ``standby``: exports from a real standby with
``max_standby_streaming_delay = 1s`` while its primary moves money between accounts; each file must
hold every account once, and money that adds up to nothing, as it does in every snapshot. The last
line is ``polite: …``; the status is 1 if an export was lost or a file is not exact.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from serving import Served, load_of_others, serving

from waybill.local.binaries import postgres_binary
from waybill.local.faults.servers import Programs, Server
from waybill.local.ports import LOOPBACK
from waybill.local.stack import LocalStack

_CATALOG = """
[exports.plain]
table = "public.accounts"
key = "id"
deadline_seconds = 3600

[exports.throttled]
table = "public.accounts"
key = "id"
deadline_seconds = 3600
polite = {{ rows_per_second = {rate} }}
"""
# What is moved between two neighbours adds up to nothing in every snapshot.
_TABLE = """
CREATE TABLE accounts AS
SELECT n AS id, 0 AS balance, repeat(md5(n::text), 3) AS note FROM generate_series(1, {rows}) AS n
"""
_TRANSFER = """\\set a random(1, {last})
UPDATE accounts SET balance = balance + CASE WHEN id = :a THEN -1 ELSE 1 END
WHERE id IN (:a, :a + 1);
"""
_CLIENTS = 2
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of transactions."""

    transactions: int
    p50: float
    p99: float

    @classmethod
    def of(cls, milliseconds: list[float]) -> Latency:
        ordered = sorted(milliseconds)
        return cls(len(ordered), ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100])


def main() -> int:
    """Measure and print. Returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", choices=("primary", "standby"))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=int, default=30, help="pgbench's, in each turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--per-second", type=int, default=200, help="pgbench's transactions")
    parser.add_argument("--rate", type=int, default=20_000, help="rows a second, throttled")
    parser.add_argument("--exports", type=int, default=10)
    parser.add_argument("--feedback", choices=("on", "off"), default="on")
    given = parser.parse_args()
    said = []
    is_well = True
    with tempfile.TemporaryDirectory(prefix="waybill-polite-", dir="/var/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        with LocalStack(directory / "stack", fast=True) as stack, _primary(directory) as primary:
            primary.execute(
                _TABLE.format(rows=given.rows), "ALTER TABLE accounts ADD PRIMARY KEY (id)"
            )
            primary.execute("VACUUM (ANALYZE) accounts")
            script = directory / "transfer.sql"
            script.write_text(_TRANSFER.format(last=given.rows - 1), encoding="utf-8")
            catalog = _CATALOG.format(rate=given.rate)
            if given.only != "standby":
                with serving(stack, directory, catalog, WAYBILL_SOURCE_DSN=primary.dsn()) as served:
                    said.append(_beside_pgbench(served, primary, script, given))
            if given.only != "primary":
                with Server(Programs.of_the_wheel(), directory / "standby") as standby:
                    standby.copy_of(primary)
                    standby.start(
                        "max_standby_streaming_delay=1s", f"hot_standby_feedback={given.feedback}"
                    )
                    with serving(
                        stack, directory, catalog, WAYBILL_SOURCE_DSN=standby.dsn()
                    ) as served:
                        line, is_well = _from_standby(served, primary, script, given)
                        said.append(line)
    print(f"polite: {'; '.join(said)}")
    return int(not is_well)


@contextlib.contextmanager
def _primary(directory: Path) -> Iterator[Server]:
    with Server(Programs.of_the_wheel(), directory / "primary") as primary:
        primary.make("--locale=C", "--encoding=UTF8")
        primary.start()
        yield primary


# -- beside pgbench ------------------------------------------------------------------------------


def _beside_pgbench(
    served: Served, primary: Server, script: Path, given: argparse.Namespace
) -> str:
    found: dict[str, list[float]] = {"no export": [], "plain": [], "throttled": []}
    _pgbench(primary, script, given, seconds=2)  # warm
    for turn in range(given.rounds):
        names = list(found)
        for name in names if turn % 2 == 0 else reversed(names):
            with _exporting(served, None if name == "no export" else name) as done:
                latencies = _pgbench(primary, script, given, seconds=given.seconds)
            found[name] += latencies
            one = Latency.of(latencies)
            print(
                f"  {name:10} {one.transactions} transactions, p50 {one.p50:.1f} ms, "
                f"p99 {one.p99:.1f} ms; {len(done)} exports ended; {load_of_others()}",
                flush=True,
            )
    figures = ", ".join(f"{name} {Latency.of(each).p99:.1f}" for name, each in found.items())
    return f"pgbench p99 in ms: {figures}"


@contextlib.contextmanager
def _exporting(served: Served, export_type: str | None) -> Iterator[list[str]]:
    """Have one export after the other run beside the block; what is under way then is cancelled."""
    done: list[str] = []
    over = threading.Event()

    def export() -> None:
        number = 0
        while not over.is_set():
            number += 1
            export_id = served.request(str(export_type), number)
            while (status := _status(served, export_id)) in {"queued", "running"}:
                if over.wait(_POLL_SECONDS):
                    served.http.delete(f"/api/exports/{export_id}")
                    return
            if status != "completed":
                raise RuntimeError(f"{export_type} ended as {status}.")
            done.append(export_id)

    if export_type is None:
        yield done
        return
    thread = threading.Thread(target=export)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join()


def _status(served: Served, export_id: str) -> str:
    answer = served.http.get(f"/api/exports/{export_id}").raise_for_status()
    return str(answer.json()["status"])


def _pgbench(
    primary: Server, script: Path, given: argparse.Namespace, *, seconds: int
) -> list[float]:
    """Return the milliseconds of each transaction, from when it was due."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(
            [*_transfers(primary, script), "-T", str(seconds), "-R", str(given.per_second),
             "-l", "--log-prefix", f"{directory}/log"],
            check=True, capture_output=True,
        )  # fmt: skip
        return [
            int(line.split()[2]) / 1_000
            for path in Path(directory).iterdir()
            for line in path.read_text().splitlines()
        ]


def _transfers(primary: Server, script: Path) -> list[str]:
    return [
        str(postgres_binary("pgbench")), "-n", "-f", str(script), "-c", str(_CLIENTS),
        "-h", LOOPBACK, "-p", str(primary.port), "-U", "postgres", "postgres",
    ]  # fmt: skip


# -- from a standby ------------------------------------------------------------------------------


def _from_standby(
    served: Served, primary: Server, script: Path, given: argparse.Namespace
) -> tuple[str, bool]:
    """Export again and again while the primary is written to."""
    # Until it is stopped.
    writing = subprocess.Popen(
        [*_transfers(primary, script), "-T", "86400", "-R", str(given.per_second)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    lost = inexact = attempts = 0
    lags: list[float | None] = []
    try:
        for number in range(given.exports):
            export_id = served.request("plain", number)
            while _status(served, export_id) in {"queued", "running"}:
                time.sleep(_POLL_SECONDS)
            document = served.http.get(f"/api/exports/{export_id}").json()
            attempts += document["attempt"]
            if document["status"] != "completed":
                lost += 1
                print(f"  {number}: {document['status']}, {document['error']}", flush=True)
                continue
            manifest = served.http.get(f"/api/exports/{export_id}/manifest").json()
            lag = manifest["snapshot"]["lag_seconds"]
            lags.append(lag)
            wrong = _what_is_wrong(served, export_id, manifest, given.rows)
            inexact += wrong is not None
            print(
                f"  {number}: {manifest['rows']} rows, {'exact' if wrong is None else wrong}, "
                f"{document['attempt']} attempts, lag {lag} s; {load_of_others()}",
                flush=True,
            )
    finally:
        writing.terminate()
        writing.wait()
    unstated = sum(lag is None for lag in lags)
    line = (
        f"standby (hot_standby_feedback {given.feedback}): {given.exports} exports of {given.rows} "
        f"rows in {attempts} attempts, {lost} lost, {inexact} not exact, {unstated} without lag"
    )
    return line, not (lost or inexact or unstated)


def _what_is_wrong(
    served: Served, export_id: str, manifest: dict[str, object], rows: int
) -> str | None:
    """Return why a file is not one snapshot's, whole; ``None`` where it is."""
    digest = hashlib.sha256()
    url = f"/api/exports/{export_id}/download?via=stream"
    with served.http.stream("GET", url) as answer, tempfile.TemporaryFile("w+b") as file:
        for chunk in answer.raise_for_status().iter_bytes():
            digest.update(chunk)
            file.write(chunk)
        file.seek(0)
        lines = csv.reader(line.decode() for line in file)
        next(lines)
        ids = total = count = 0
        for identity, balance, _ in lines:
            count += 1
            ids += int(identity)
            total += int(balance)
    if digest.hexdigest() != manifest["sha256"]:
        return "digest differs"
    if (count, ids) != (rows, rows * (rows + 1) // 2):
        return f"{count} rows"
    return None if total == 0 else f"balances add up to {total}"


if __name__ == "__main__":
    sys.exit(main())
