"""The records of this repository against its code, and against a copy whose code has drifted."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from adrkit.cli.commands import app

REPOSITORY = Path(__file__).parents[4]
CONFIG = Path("packages/waybill/src/waybill/config.py")
# What checks look at; tests and sources of adrkit itself are examples of records, not citations.
COPIED = ("pyproject.toml", "docs", "benchmarks", "requirements", "packages/waybill")


@pytest.fixture(scope="module")
def waybill(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (REPOSITORY / CONFIG).exists():
        pytest.skip("only in the repository: the checks are those of waybill's records")
    copy = tmp_path_factory.mktemp("waybill")
    # With its history: records name code by the paths that it had when they were written.
    subprocess.run(["git", "clone", "-q", "--shared", str(REPOSITORY), str(copy)], check=True)
    for name in COPIED:
        source, target = REPOSITORY / name, copy / name
        if source.is_dir():
            shutil.copytree(
                source,
                target,
                dirs_exist_ok=True,
                ignore=shutil.ignore_patterns("__pycache__", ".venv", ".waybill"),
            )
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return copy


def check(root: Path, *records: str) -> Result:
    return CliRunner().invoke(app, ["-C", str(root), "check", "--no-citations", *records])


def line_of(root: Path, record: str, *texts: str) -> int:
    """The line of the first check of a record whose table holds all ``texts``."""
    (path,) = (root / "docs/adr").glob(f"{record}-*.md")
    first = 0
    table: list[str] = []
    for number, line in enumerate([*path.read_text().splitlines(), "[["], 1):
        if line.startswith("[["):
            if first and all(any(text in item for item in table) for text in texts):
                return first
            first, table = number, []
        table.append(line)
    raise AssertionError(f"no check of {record} holds {texts}")


@pytest.mark.parametrize(
    ("record", "before", "after", "attribute"),
    [
        ("0001", "RETRY_ATTEMPTS = 3", "RETRY_ATTEMPTS = 5", '"RETRY_ATTEMPTS"'),
        (
            "0001",
            "RETRY_BACKOFF_SECONDS = (1.0, 2.0, 4.0)",
            "RETRY_BACKOFF_SECONDS = (1.0, 5.0, 25.0)",
            '"RETRY_BACKOFF_SECONDS"',
        ),
        ("0001", "RESULT_TTL_DAYS = 7", "RESULT_TTL_DAYS = 30", '"RESULT_TTL_DAYS"'),
        ("0001", "DEADLINE_SECONDS = 60.0", "DEADLINE_SECONDS = 600.0", '"DEADLINE_SECONDS"'),
        ("0001", "PROGRESS_ROWS = 1_000", "PROGRESS_ROWS = 10_000", '"PROGRESS_ROWS"'),
        ("0007", "QUOTA_PER_DAY = 5", "QUOTA_PER_DAY = 50", '"QUOTA_PER_DAY"'),
    ],
)
def test_drift_of_a_promise_fails_and_names_its_record_and_line(
    waybill: Path, record: str, before: str, after: str, attribute: str
) -> None:
    config = waybill / CONFIG
    original = config.read_text()
    assert original.count(before) == 1
    config.write_text(original.replace(before, after))
    try:
        done = check(waybill, record)
    finally:
        config.write_text(original)
    assert done.exit_code == 1
    line = line_of(waybill, record, attribute)
    (found,) = [text for text in done.stdout.splitlines() if f":{line}: " in text]
    assert f"ADR-{record} setting: violated" in found
    assert "config.py:" in found  # and where the code says otherwise
    assert check(waybill, record).exit_code == 0


def test_results_that_miss_the_promise_or_are_gone_fail(waybill: Path) -> None:
    results = waybill / "benchmarks/results/latest.json"
    original = results.read_bytes()
    try:
        results.unlink()
        done = check(waybill, "0001")
        assert (done.exit_code, "benchmark: missing" in done.stdout) == (1, True)
        results.write_text("{}")
        assert "benchmark: missing" in check(waybill, "0001").stdout
    finally:
        results.write_bytes(original)


def test_domain_that_begins_to_do_io_fails(waybill: Path) -> None:
    job = waybill / "packages/waybill/src/waybill/jobs/job.py"
    original = job.read_text()
    try:
        job.write_text(
            original.replace("from uuid import UUID", "from uuid import UUID\nimport boto3")
        )
        done = check(waybill, "0003")
        assert (done.exit_code, "imports boto3" in done.stdout) == (1, True)
    finally:
        job.write_text(original)


def test_another_celery_than_the_measured_fails(waybill: Path) -> None:
    project = waybill / "requirements/runtime.txt"
    original = project.read_text()
    assert original.count("celery==5.7.0") == 1
    try:
        project.write_text(original.replace("celery==5.7.0", "celery==5.8.0"))
        done = check(waybill, "0001")
        assert (done.exit_code, "dependency: violated" in done.stdout) == (1, True)
    finally:
        project.write_text(original)
