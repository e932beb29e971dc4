"""How long the server takes for each page with 100,000 jobs in the table: benchmarks/pages.py.

The application in this process, without a network or a browser: what a page costs the server, its
statements included. The pages take turns, so that a busy moment of the machine hits them all; the
figure is the median. The promise is 100 ms. A history that is shown again for seconds is read anew
for its own lines, which are what the first of many administrators waits for.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg

from waybill.api.app import create_app
from waybill.bootstrap.everything import Services
from waybill.catalog.toml import parse_catalog
from waybill.local.sample import create_users
from waybill.local.service_stack import settings_of
from waybill.local.stack import LocalStack
from waybill.migrations.run import migrate
from waybill.principal import Principal
from waybill.web.pages import install

JOBS: Final = 100_000
GOAL_SECONDS: Final = 0.1
ANEW: Final = " (read anew)"
CATALOG: Final = """
[exports.users]
table = "public.users"
key = "id"
title = "Users"
columns = ["id", "country", { name = "email", pii = true }]
filters = ["country"]
"""
FILL: Final = """
INSERT INTO waybill.export_jobs (id, export_type, format, requested_by, tenant, status, attempt,
  max_attempts, created_at, started_at, finished_at, next_attempt_at, error_code, error_message,
  error_cause, rows_done, object_key, object_bytes, sha256, manifest, expires_at)
SELECT gen_random_uuid(), 'users', 'csv', 'p' || n %% 500, 't' || n %% 40,
  CASE n %% 10 WHEN 0 THEN 'failed' WHEN 1 THEN 'queued' ELSE 'completed' END,
  CASE n %% 10 WHEN 1 THEN 0 ELSE 1 END, 3, at, at, CASE n %% 10 WHEN 1 THEN NULL ELSE at END, at,
  'worker_lost', 'x', 'transient', n,
  'none', n, repeat('0', 64), '{"columns": [], "file_name": "users.csv"}',
  now() + n * interval '1 minute'
FROM (SELECT n, now() - n * interval '6 seconds' AS at
  FROM generate_series(%s::int, %s::int) AS n) AS m
ORDER BY n DESC
"""
ATTEMPTS: Final = """
INSERT INTO waybill.export_attempts (lease_token, export_id, attempt, worker, started_at, ended_at,
  outcome)
SELECT gen_random_uuid(), id, 1, 'worker-' || right(requested_by, 1), started_at, finished_at,
  CASE status WHEN 'failed' THEN 'failed' ELSE 'completed' END
FROM waybill.export_jobs WHERE finished_at IS NOT NULL ORDER BY finished_at
"""


def fill(connection: psycopg.Connection[Any], jobs: int) -> None:
    """Insert jobs, the oldest first. The newest fifth is as autovacuum leaves it at its laziest:
    not yet vacuumed."""
    fresh = jobs // 5
    connection.execute(FILL, (fresh + 1, jobs))
    connection.execute("VACUUM waybill.export_jobs")
    connection.execute(FILL, (1, fresh))
    connection.execute(ATTEMPTS)
    connection.execute("ANALYZE")


async def measure(settings: Any, rounds: int) -> dict[str, float]:
    """Return the median seconds of each page."""
    scopes = frozenset(
        {
            "exports:request",
            "exports:read",
            "exports:pii",
            "exports:admin",
            "exports:all-tenants",
        }
    )
    async with Services(settings, catalog=parse_catalog(CATALOG)) as services:
        app = create_app(services)
        install(app)
        secret = await services.sessions.begin(Principal("p2", tenant="t2", scopes=scopes))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app),
            base_url="http://waybill.test",
            cookies={"waybill": secret},
            timeout=60,
        ) as http:
            mine = (await http.get("/api/exports?limit=1&status=completed")).json()["items"][0]
            paths = [
                "/signin",
                "/new",
                "/new/users",
                "/exports",
                "/exports?status=failed&type=users&since=2020-01-01",
                f"/exports/{mine['id']}",
                "/operate",
                "/operate?window=week",
                "/operate/audit",
                *(f"/operate?window={each}{ANEW}" for each in ("hour", "day", "week")),
            ]
            taken: dict[str, list[float]] = {path: [] for path in paths}
            for turn in range(rounds + 1):
                for path in paths:
                    if path.endswith(ANEW):
                        services.operations.forget()
                    before = time.perf_counter()
                    answer = await http.get(
                        path.removesuffix(ANEW), headers={"sec-fetch-site": "none"}
                    )
                    seconds = time.perf_counter() - before
                    if answer.status_code != 200:
                        raise SystemExit(f"{path} answered {answer.status_code}")
                    if turn:  # the first one compiles the templates
                        taken[path].append(seconds)
    return {path: statistics.median(each) for path, each in taken.items()}


def main() -> None:
    """Fill the table, measure, and say whether the promise holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="waybill-pages-") as directory,
        LocalStack(Path(directory), fast=True) as stack,
    ):
        dsn = stack.addresses.postgres_dsn
        settings = settings_of(
            stack, development_token=secrets.token_urlsafe(24), pages=True, log_level="WARNING"
        ).model_copy(update={"requests_burst": 10_000, "address_requests_burst": 10_000})
        migrate(settings)
        create_users(dsn, 1_000)
        with psycopg.connect(dsn, autocommit=True) as connection:
            fill(connection, given.jobs)
        figures = asyncio.run(measure(settings, given.rounds))
    for path, seconds in figures.items():
        name = "/exports/ID" if path.count("-") == 4 and path.startswith("/exports/") else path
        print(f"{seconds * 1000:7.1f} ms  {name}")
    if max(figures.values()) > GOAL_SECONDS:
        sys.exit(f"a page takes longer than {GOAL_SECONDS * 1000:.0f} ms")


if __name__ == "__main__":
    main()
