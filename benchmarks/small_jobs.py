"""What one small job costs: SQL statements by session, new connections, CPU seconds by process.

    python benchmarks/small_jobs.py [--rows 1000] [--concurrency 2] [--rounds 3] [--statements]

Counts and CPU seconds mean the same on a busy machine; wall time does not. Statements are counted
in PostgreSQL's log, in a run of its own after the one whose CPU seconds are taken.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections import Counter
from pathlib import Path

import psycopg
from house import House
from measure import process_tree
from psycopg import sql
from works import WORKS, Work

HERE = Path(__file__).resolve().parent
_LINE = re.compile(r"^@([^|]*)\|[^(|]*\((\d+)\)\|\w+:\s+(.*)$")
_STATEMENT = re.compile(r"(?:statement|execute [^:]*): (.*)")
_VALUES = re.compile(r"[0-9a-f-]{36}|\d+")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--concurrency", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--statements", action="store_true", help="list each statement")
    arguments = parser.parse_args()
    parent = HERE.parent / ".waybill"
    parent.mkdir(exist_ok=True)
    work = WORKS[f"throughput_{arguments.concurrency}"]
    with (
        tempfile.TemporaryDirectory(prefix="small-", dir=parent) as directory,
        House.opened(Path(directory), (arguments.rows,)) as house,
    ):
        house.table(arguments.rows)
        house.service(arguments.concurrency)
        work.run(house, arguments.rows)
        for _ in range(arguments.rounds):
            measured = work.run(house, arguments.rows)
            jobs = round(measured.seconds * measured.extra["jobs_per_second"])
            each = {name: 1000 * value / jobs for name, value in measured.cpu.items()}
            figures = ", ".join(f"{name} {value:.1f}" for name, value in each.items())
            print(
                f"{measured.extra['jobs_per_second']:.1f} jobs/s; ms CPU a job: {figures}, "
                f"together {sum(each.values()):.1f}",
                flush=True,
            )
        _count(house, arguments.rows, work, is_listing=arguments.statements)


def _count(house: House, rows: int, work: Work, *, is_listing: bool) -> None:
    log = house.stack.log_dir / "postgres.log"
    dsn = house.stack.addresses.postgres_dsn
    _configure(dsn, log_statement="all", log_connections="all", log_line_prefix="@%a|%r|")
    house.fresh_worker()
    WORKS["job_csv"].run(house, rows)
    before = log.stat().st_size
    measured = work.run(house, rows)
    jobs = round(measured.seconds * measured.extra["jobs_per_second"])
    owners = _owners(house)
    _configure(dsn, log_statement="none")
    counts: Counter[tuple[str, str]] = Counter()
    listed: Counter[tuple[str, str]] = Counter()
    with log.open("rb") as file:
        file.seek(before)
        text = file.read().decode("utf-8", "replace")
    for line in text.splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        app, port, said = found.groups()
        app = "waybill export" if app.startswith("waybill export") else app
        owner = f"{owners.get(int(port), 'ended')}: {app}"
        ran = _STATEMENT.match(said)
        if ran is not None:
            statement = _VALUES.sub("?", ran[1])[:110]
            counts[owner, "statements"] += 1
            listed[owner, statement] += 1
        elif "connection authorized" in said:
            counts["all", "connections"] += 1
    for (owner, what), count in sorted(counts.items()):
        print(f"{owner:40} {what:12} {count / jobs:6.2f} a job")
    if is_listing:
        for (owner, statement), count in sorted(listed.items(), key=lambda e: (e[0][0], -e[1])):
            print(f"{owner:30} {count / jobs:6.2f} {statement}")


def _owners(house: House) -> dict[int, str]:
    processes = house.service().processes
    return {
        connection.laddr.port: name
        for name, root in (("worker", processes.worker.pid), ("api", processes.api.pid))
        for process in process_tree(root)
        for connection in process.net_connections("tcp")
        if connection.laddr
    }


def _configure(dsn: str, **settings: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for name, value in settings.items():
            connection.execute(
                sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
            )
        connection.execute("SELECT pg_reload_conf()")


if __name__ == "__main__":
    main()
