"""Downloads by the tools people have: curl, wget and aria2c fetch, break off and resume."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from waybill.client import ExportClient

# Large enough for many parts, ranges and chunks: some 60 MiB.
ROWS = 400_000

CommandLine = Callable[[str, str, Path], list[str]]


PACKAGES = {"curl": "curl", "wget": "wget", "aria2c": "aria2"}
Require = Callable[[CommandLine], None]


@pytest.fixture(scope="module")
def require(find_program: Callable[[str, str], str]) -> Require:
    """Make sure that the program of a command line is there."""

    def require_program(command: CommandLine) -> None:
        find_program(command.__name__, PACKAGES[command.__name__])

    return require_program


@pytest.fixture(scope="module")
def export(running: Any) -> Any:
    """A large completed export: its client's document, with the SHA-256 of the manifest."""
    with psycopg.connect(running.dsn, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS nobody_large AS SELECT n AS id, repeat(md5(n::text), 5)"
            f" AS name FROM generate_series(1, {ROWS}) AS n"
        )
        connection.execute("TRUNCATE nobody")
        connection.execute("INSERT INTO nobody SELECT id, name FROM nobody_large")
    try:
        with ExportClient(running.url, running.token) as client:
            yield client.wait(client.request("nobody").id)
    finally:
        with psycopg.connect(running.dsn, autocommit=True) as connection:
            connection.execute("TRUNCATE nobody")
            connection.execute("DROP TABLE nobody_large")


def curl(url: str, token: str, target: Path) -> list[str]:
    header = f"Authorization: Bearer {token}"
    return ["curl", "-sSfL", "-C", "-", "-H", header, "-o", str(target), url]


def wget(url: str, token: str, target: Path) -> list[str]:
    header = f"Authorization: Bearer {token}"
    return ["wget", "-q", "-c", "--header", header, "-O", str(target), url]


def aria2c(url: str, token: str, target: Path) -> list[str]:
    return [
        "aria2c", "-q", "-x4", "-s4", "-k1M", "-c", "--allow-overwrite=false",
        "--auto-file-renaming=false", f"--header=Authorization: Bearer {token}",
        "-d", str(target.parent), "-o", target.name, url,
    ]  # fmt: skip


def assert_success(arguments: list[str]) -> None:
    result = subprocess.run(arguments, check=False, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr + result.stdout


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.parametrize(
    ("command", "via"),
    [(curl, "redirect"), (curl, "stream"), (wget, "stream"), (aria2c, "stream")],
)
@pytest.mark.parametrize("share", [0.0, 0.37])
def test_tool_downloads_or_resumes_to_the_same_file(
    running: Any,
    export: Any,
    tmp_path: Path,
    require: Require,
    command: CommandLine,
    via: str,
    share: float,
) -> None:
    require(command)
    whole = tmp_path / "whole"
    target = tmp_path / "target"
    url = f"{export.links.download}?via={via}"
    if share:
        with ExportClient(running.url, running.token) as client:
            client.download(export.id, whole)
        target.write_bytes(whole.read_bytes()[: int(export.bytes * share)])
    assert_success(command(url, running.token, target))
    assert target.stat().st_size == export.bytes
    assert sha256(target) == export.sha256


@pytest.mark.parametrize("command", [curl, wget, aria2c])
def test_file_that_is_whole_already_is_left_as_it_is(
    running: Any, export: Any, tmp_path: Path, require: Require, command: CommandLine
) -> None:
    require(command)
    target = tmp_path / "target"
    with ExportClient(running.url, running.token) as client:
        client.download(export.id, target)
    arguments = command(f"{export.links.download}?via=stream", running.token, target)
    result = subprocess.run(arguments, check=False, capture_output=True, text=True, timeout=120)
    # Some versions of curl call the 416 that says so an error (22), and leave the file alone.
    assert result.returncode in ({0, 22} if command is curl else {0}), result.stderr
    assert sha256(target) == export.sha256


@pytest.mark.parametrize("command", [curl, wget, aria2c])
def test_tool_that_is_killed_midway_goes_on_where_it_was(
    running: Any, export: Any, tmp_path: Path, require: Require, command: CommandLine
) -> None:
    require(command)
    target = tmp_path / "target"
    slow = {"curl": ["--limit-rate", "8M"], "wget": ["--limit-rate=8m"]}.get(
        command.__name__, ["--max-overall-download-limit=8M", "--auto-save-interval=1"]
    )
    arguments = command(f"{export.links.download}?via=stream", running.token, target)
    process = subprocess.Popen([*arguments[:1], *slow, *arguments[1:]])
    try:
        while not (target.exists() and target.stat().st_size > 4 * 1024 * 1024):
            assert process.poll() is None, "it ended before it could be broken off"
    finally:
        process.terminate()
        process.wait(30)
    assert_success(arguments)
    assert sha256(target) == export.sha256
