"""The lower ends of our version ranges: a service on them exports, start to end.

The upper ends are those of ``requirements/dev.txt``, on which every other test runs.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from waybill.client import ExportClient
from waybill.local.services import ServiceProcesses
from waybill.local.stack import LocalStack
from waybill.manifest import Manifest
from waybill.results.verify import verify_file

ROOT = Path(__file__).parents[4]
LOWEST = ROOT / "requirements/lowest.txt"
SOURCE = ROOT / "packages/waybill/src"
REPORT = """
import json, waybill.bootstrap.everything
from importlib.metadata import version
print(json.dumps({name: version(name) for name in NAMES}))
"""


def declared() -> list[Requirement]:
    project = tomllib.loads((ROOT / "packages/waybill/pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]["parquet"] + project["optional-dependencies"]["oidc"]
    return [
        each
        for each in map(Requirement, project["dependencies"] + extras)
        if each.name != "waybill-client" and (each.marker is None or each.marker.evaluate())
    ]


def pinned() -> dict[str, str]:
    lines = re.findall(r"^(\S+)==(\S+)(?: ; (.*?))? \\$", LOWEST.read_text(), re.MULTILINE)
    holds = [
        (name, version)
        for name, version, marker in lines
        if not marker or Marker(marker).evaluate()
    ]
    return {canonicalize_name(name): version for name, version in holds}


def test_lowest_lock_holds_the_lower_end_of_every_range() -> None:
    lowest: dict[str, Version] = {}
    for each in declared():
        name = canonicalize_name(each.name)
        [end] = [Version(s.version) for s in each.specifier if s.operator == ">="]
        # A package may stand in two lines, of which the higher counts.
        lowest[name] = max(end, lowest.get(name, end))
    assert {name: Version(pinned()[name]) for name in lowest} == lowest


def test_ranges_are_those_of_applications_that_exist() -> None:
    ranges = {each.name: each.specifier for each in declared() if each.extras}
    for version in ("5.5.0", "5.6.2", "5.7.0", "5.99"):
        assert version in ranges["celery"]
    for version in ("2.0.0", "2.0.44", "2.1.9"):
        assert version in ranges["sqlalchemy"]
    assert "5.4.0" not in ranges["celery"]
    assert "6.0.0" not in ranges["celery"]
    assert "2.2.0" not in ranges["sqlalchemy"]


@pytest.fixture(scope="module")
def lowest_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the lowest versions that we take."""
    directory = tmp_path_factory.mktemp("lowest")
    venv.create(directory, with_pip=False, symlinks=True)
    python = directory / "bin/python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    done = subprocess.run(
        [*pip, "--no-deps", "--no-compile", "--require-hashes", "--requirement", str(LOWEST)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return python


def test_service_on_the_lowest_versions_exports(
    lowest_python: Path,
    local_stack: LocalStack,
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment = {
        **local_stack.as_environment(),
        "PYTHONPATH": str(SOURCE),
        "WAYBILL_DATABASE_URL": database,
        "WAYBILL_SOURCE_DSN": database,
        "WAYBILL_S3_PREFIX": "lowest",
        "WAYBILL_CATALOG": str(tmp_path / "waybill.toml"),
        "WAYBILL_DEVELOPMENT_TOKEN": "lowest",
    }
    (tmp_path / "waybill.toml").write_text('[exports.users]\ntable = "public.users"\nkey = "id"\n')
    names = [canonicalize_name(each.name) for each in declared()]
    report = subprocess.run(
        [str(lowest_python), "-c", REPORT.replace("NAMES", repr(names))],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(report.stdout) == {name: pinned()[name] for name in names}

    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(lowest_python))
        service = ServiceProcesses(environment, log_dir=tmp_path, guard=local_stack.guard)
    with service, ExportClient(service.url, "lowest") as client:
        for name in ("csv", "parquet", "xlsx"):
            job = client.wait(client.request("users", format=name).id)
            file = client.download(job.id, tmp_path / f"users.{name}")
            manifest = Manifest.load(client.manifest(job.id))
            assert verify_file(file, manifest).is_whole
            assert manifest.rows == job.progress.rows == 2_000
        assert pq.read_metadata(tmp_path / "users.parquet").num_rows == 2_000
        assert client.discard(job.id).status == "deleted"
