"""API, worker and scheduler where nothing can be written: a read-only root, and no ``/tmp``."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from waybill.errors import ConfigurationError
from waybill.local import services
from waybill.local.stack import LocalStack
from waybill.local.testing import temporary_database
from waybill.worker.temporary import require_temporary_directory

_TOKEN = "read-only-token"
_SECONDS = 60.0
_WANTED: tuple[dict[str, str], ...] = (
    *({"format": name} for name in ("csv", "ndjson", "json", "parquet", "xlsx")),
    {"format": "csv", "compression": "gzip"},
)

# Every mount but the kernel's own is made read-only for this process and its children, as a
# container's are; /dev/shm stays, as it does there. Then the program takes the shell's place.
_WRAPPER = """#!/bin/sh
unset TMPDIR TEMP TMP
exec unshare {options} sh -c '
  mount --make-rprivate / || exit 97
  while read -r _ at _; do
    case "$at" in /proc*|/sys*|/dev*) ;; *) mount -o remount,bind,ro "$at" || exit 98 ;; esac
  done </proc/self/mounts
  cd / && exec {python} "$@"' sh "$@"
"""
_WRITABLE = (
    "import os, tempfile\n"
    "for place in ('/tmp', '/var/tmp', '/usr/tmp', '/', os.getcwd(), os.path.expanduser('~')):\n"
    "    assert not os.path.isdir(place) or not os.access(place, os.W_OK), place\n"
    "try:\n"
    "    tempfile.gettempdir()\n"
    "except FileNotFoundError:\n"
    "    raise SystemExit(42)\n"
)


@pytest.fixture(scope="module")
def read_only_python(
    tmp_path_factory: pytest.TempPathFactory, find_program: Callable[[str, str], str]
) -> Path:
    """The tests' Python, in a mount namespace where no directory can be written."""
    find_program("unshare", "util-linux")
    wrapper = tmp_path_factory.mktemp("read-only") / "python"
    for options in ("--mount", "--mount --map-root-user"):
        wrapper.write_text(_WRAPPER.format(options=options, python=services.sys.executable))
        wrapper.chmod(0o755)
        tried = subprocess.run([wrapper, "-c", _WRITABLE], capture_output=True, check=False)
        if tried.returncode == 42:
            return wrapper
    reason = f"needs the right to make a mount namespace: {tried.stderr.decode()[-500:]}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def house(
    local_stack: LocalStack,
    template: str,
    tmp_path: Path,
    read_only_python: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[services.ServiceProcesses]:
    monkeypatch.setattr(services, "sys", SimpleNamespace(executable=str(read_only_python)))
    catalog = tmp_path / "waybill.toml"
    catalog.write_text('[exports.users]\ntable = "public.users"\nkey = "id"\n', encoding="utf-8")
    with temporary_database(local_stack, template) as dsn:
        environment = {
            **local_stack.as_environment(),
            "WAYBILL_DATABASE_URL": dsn,
            "WAYBILL_SOURCE_DSN": dsn,
            "WAYBILL_S3_PREFIX": tmp_path.name,
            "WAYBILL_CATALOG": str(catalog),
            "WAYBILL_DEVELOPMENT_TOKEN": _TOKEN,
            "WAYBILL_QUOTA_PER_DAY": "unlimited",
        }
        ports = {"api": 0, "worker": 0, "scheduler": 0}
        with services.ServiceProcesses(
            environment, log_dir=tmp_path, guard=local_stack.guard, metrics_ports=ports
        ) as processes:
            yield processes
            processes.raise_if_exited()


def test_exports_of_every_format_are_made_where_nothing_can_be_written(
    house: services.ServiceProcesses,
) -> None:
    headers = {"Authorization": f"Bearer {_TOKEN}"}
    with httpx.Client(base_url=house.url, headers=headers, timeout=30) as client:
        jobs = [client.post("/api/users/export", json=wanted) for wanted in _WANTED]
        assert {each.status_code for each in jobs} <= {200, 202}, [each.text for each in jobs]
        deadline = time.monotonic() + _SECONDS
        for job in jobs:
            address = job.headers["location"]
            while (state := client.get(address).json())["status"] in {"queued", "running"}:
                assert time.monotonic() < deadline, state
                time.sleep(0.1)
            assert state["status"] == "completed", state
            data = client.get(f"{address}/download?via=stream")
            assert len(data.content) == state["bytes"]


def test_worker_that_could_write_nowhere_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nowhere() -> str:
        raise FileNotFoundError

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    monkeypatch.setattr(tempfile, "tempdir", None)
    with pytest.raises(ConfigurationError, match="TMPDIR"):
        require_temporary_directory(tmp_path / "none")
    require_temporary_directory(tmp_path)
    assert tempfile.tempdir == str(tmp_path)
