"""The gate means what it says: under ``CI`` a skipped test is a failed one. And what takes long is
not begun last."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = Path(__file__).parents[3]
# name: the file, and whether it fails under CI
FILES = {
    "by_call": ("def test_x():\n    pytest.skip('no program')\n", True),
    "by_mark": ("@pytest.mark.skipif(True, reason='no program')\ndef test_x(): ...\n", True),
    "in_a_fixture": (
        "@pytest.fixture\ndef f():\n    pytest.skip('')\n\ndef test_x(f): ...\n",
        True,
    ),
    "as_a_whole": ("pytest.importorskip('no_such_module')\ndef test_x(): ...\n", True),
    "for_the_kernel": ("@pytest.mark.kernel\ndef test_x():\n    pytest.skip('')\n", False),
    "as_expected": ("@pytest.mark.xfail\ndef test_x():\n    assert False\n", False),
    "passing": ("def test_x(): ...\n", False),
}


def test_skip_fails_where_tests_decide(tmp_path: Path) -> None:
    shutil.copy(PACKAGES / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = kernel\n")
    for name, (text, _) in FILES.items():
        (tmp_path / f"test_{name}.py").write_text(f"import pytest\n\n{text}")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("CI", "PYTEST"))}

    def failing(**more: str) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-rfE", "--continue-on-collection-errors"],
            cwd=tmp_path,
            env={**environment, **more},
            capture_output=True,
            text=True,
            check=False,
        )
        return set(re.findall(r"^(?:FAILED|ERROR) test_(\w+)\.py", done.stdout, re.MULTILINE))

    assert failing() == set()
    assert failing(CI="true") == {name for name, (_, fails) in FILES.items() if fails}


def test_files_come_in_an_order_in_which_nobody_waits_for_the_last(tmp_path: Path) -> None:
    shutil.copy(PACKAGES / "conftest.py", tmp_path)
    for name in ("cli", "e2e", "faults", "integration/api", "unit/faults_of", "unit"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / name / "test_it.py").write_text("def test_x(): ...\ndef test_a(): ...\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--collect-only", "--import-mode=importlib"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.findall(r"^(\S+)/test_it\.py::(\w+)$", done.stdout, re.MULTILINE)
    rooms = [room for room, _ in found[::2]]
    assert sorted(rooms[:2]) == ["unit", "unit/faults_of"]
    assert rooms[2:] == ["integration/api", "e2e", "faults", "cli"]
    assert [name for _, name in found[:2]] == ["test_x", "test_a"]
