"""The gate means what it says: under ``CI`` a skipped test is a failed one."""

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
