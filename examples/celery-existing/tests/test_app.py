"""The application's own tests, with its own worker: exports and its tasks beside each other."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from waybill.local.sample import create_users
from waybill.local.stack import LocalStack
from waybill.local.testing import temporary_database

HERE = Path(__file__).parents[1]
REQUEST = """
import sys
from fastapi.testclient import TestClient
from app.main import app
from app.tasks.reports import count
count.delay(sys.argv[1], 2.0)
with TestClient(app, headers={"X-User": "ann"}) as client:
    for _ in range(3):
        answer = client.post("/api/users/export", headers={"Prefer": "x"})
        print(">", answer.headers["location"], flush=True)
    location = answer.headers["location"]
    for line in sys.stdin:
        print(">", client.get(location).json()["status"], flush=True)
"""


@contextmanager
def running(
    arguments: list[str], environment: dict[str, str], stdout: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=HERE, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=stdout,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def test_their_worker_runs_exports_beside_its_own_tasks(
    local_stack: LocalStack, tmp_path: Path
) -> None:
    broker = local_stack.valkey.url(5)
    with temporary_database(local_stack) as url, redis.Redis.from_url(broker) as keys:
        keys.flushdb()
        create_users(url, 500)
        environment = {
            **os.environ,
            **local_stack.as_environment(),
            "BROKER_URL": broker,
            "WAYBILL_DATABASE_URL": url,
            "WAYBILL_SOURCE_DSN": url,
            "WAYBILL_CATALOG": str(HERE / "waybill.toml"),
            # Whatever this says: announcements go through their application.
            "WAYBILL_REDIS_URL": "redis://127.0.0.1:1/0",
            "PYTHONPATH": str(HERE),
        }
        subprocess.run(
            [sys.executable, "-m", "waybill", "migrate"], env=environment, check=True, cwd=tmp_path
        )
        ran = tmp_path / "ran"
        worker = ["-m", "celery", "-A", "app.worker", "worker", "-c", "2", "-l", "warning"]
        schedule = ["-B", "-s", str(tmp_path / "schedule")]
        with (
            running(["-c", REQUEST, str(ran)], environment, subprocess.PIPE) as client,
            running([*worker, *schedule], environment),
        ):
            assert client.stdout is not None
            assert client.stdin is not None
            # Its log goes the same way.
            answers = (line[2:].strip() for line in client.stdout if line.startswith("> "))
            locations = {next(answers) for _ in range(3)}
            assert len(locations) == 1  # the same request three times is one export
            deadline = time.monotonic() + 300
            status = ""
            while status != "completed" and time.monotonic() < deadline:
                client.stdin.write("?\n")
                client.stdin.flush()
                status = next(answers)
                time.sleep(0.3)  # no faster than anybody may ask
            assert status == "completed"
            while not ran.exists() and time.monotonic() < deadline:
                time.sleep(0.05)
        assert ran.read_text() == "ran\n"
        # All that anybody wrote is below their prefix.
        assert {key for key in keys.scan_iter() if not key.startswith(b"shop:")} == set()


def test_ten_lines_are_enough() -> None:
    lines = [
        line
        for name in ("worker.py", "main.py")
        for line in (HERE / "app" / name).read_text().splitlines()
        if "# + waybill" in line
    ]
    assert 0 < len(lines) <= 10
