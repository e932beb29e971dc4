"""`adr site --watch` as a process of its own, asked as a browser asks."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adrkit.cli.commands import app
from adrkit.testing import GitProject, house

pytest.importorskip("watchfiles", reason="needs the extra adrkit[watch]")


class Watched:
    def __init__(self, root: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "adrkit", "-C", str(root), "site", "--watch", "--port", "0"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split()[0]
        self.port = int(self.address.rstrip("/").rpartition(":")[2])

    def get(self, path: str, host: str | None = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", path, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=60)
        return self.process.returncode


@pytest.fixture
def watched(project: GitProject) -> Iterator[Watched]:
    project.record(1, "use-queues")
    running = Watched(project.root)
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.process.communicate()


def test_page_is_built_anew_when_a_record_changes_and_ctrl_c_ends(
    project: GitProject, watched: Watched
) -> None:
    assert watched.address.startswith("http://127.0.0.1:")
    assert "Use Queues" in watched.get("/")[1]
    page = watched.get("/0001-use-queues.html")[1]
    assert '<script src="/-/reload.js" data-version="1">' in page
    assert "connect-src 'self'" in page
    assert watched.get("/-/reload.js")[0] == 200
    assert watched.get("/-/build?other-than=0") == (200, "1")
    project.write("docs/adr/0001-use-queues.md", house(1, "Use Streams"))
    assert watched.get("/-/build?other-than=1") == (200, "2")
    assert "Use Streams" in watched.get("/")[1]
    assert sorted(path.name for path in project.root.iterdir()) == [".git", "docs"]
    assert watched.end() == 0


def test_only_the_site_is_served_and_only_under_its_own_name(watched: Watched) -> None:
    assert watched.get("/assets/style.css")[0] == 200
    for path in ("/docs/adr/0001-use-queues.md", "/../adrkit.toml", "/%2e%2e/.git/config", "/x/"):
        assert watched.get(path)[0] == 404
    assert watched.get("/", host=f"evil.example:{watched.port}")[0] == 403
    assert watched.get("/", host=f"localhost:{watched.port}")[0] == 200
    assert watched.end() == 0


def test_project_without_records_is_told_at_once(project: GitProject) -> None:
    done = CliRunner().invoke(app, ["-C", str(project.root), "site", "--watch"])
    assert (done.exit_code, "no records directory" in done.stderr) == (2, True)
