"""The rule of ``make lint`` that every floor imports downward only bites."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
PACKAGE = "packages/waybill/src/waybill"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the sources and of the rule."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(
        ROOT / PACKAGE, tmp_path / PACKAGE, ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path


def lint(checkout: Path) -> subprocess.CompletedProcess[str]:
    source = str(checkout / PACKAGE / "..")
    program = "from importlinter.cli import lint_imports_command as run; run(['--no-cache'])"
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {source!r}); {program}"],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=False,
    )


def test_sources_as_they_are_pass(checkout: Path) -> None:
    result = lint(checkout)
    assert result.returncode == 0, result.stdout
    assert "1 kept, 0 broken" in result.stdout


@pytest.mark.parametrize(
    ("module", "upward"),
    [
        ("clock", "waybill.api.app"),
        ("source/source", "waybill.formats"),
        ("storage/s3/storage", "waybill.jobs.job"),
        ("jobs/job", "waybill.requests.service"),
        ("notify/email/mail", "waybill.audit.audit"),
        ("worker/tasks", "waybill.api.app"),
    ],
)
def test_planted_import_from_above_or_beside_fails(
    checkout: Path, module: str, upward: str
) -> None:
    path = checkout / PACKAGE / f"{module}.py"
    path.write_text(f"{path.read_text()}\nimport {upward}\n")
    result = lint(checkout)
    assert result.returncode == 1, result.stdout
    assert f"waybill.{module.replace('/', '.')} -> {upward}" in result.stdout


def test_module_on_no_floor_fails(checkout: Path) -> None:
    (checkout / PACKAGE / "helpers.py").write_text("")
    result = lint(checkout)
    assert result.returncode == 1, result.stdout
    assert "helpers" in result.stdout
