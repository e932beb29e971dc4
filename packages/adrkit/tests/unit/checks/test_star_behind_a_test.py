"""A star import behind a test may put another in its place; one above it may not."""

from __future__ import annotations

import pytest

from adrkit.testing import GitProject

from .conftest import Checked

TEST = "def test_x():\n    assert f() == 3\n"
IN_CLASS = "class TestA:\n    def test_x(self):\n        assert f() == 3\n"
MAY_BIND = "the star import on line {line} may bind {name} again"


@pytest.mark.parametrize(
    ("code", "node", "verdict", "said"),
    [
        (f"{TEST}from other import *\n", "test_x", "error", MAY_BIND.format(line=3, name="test_x")),
        (
            f"{IN_CLASS}\nfrom other import *\n",
            "TestA::test_x",
            "error",
            MAY_BIND.format(line=5, name="TestA"),
        ),
        (f"from other import *\n{TEST}", "test_x", "pass", "tests/test_a.py::test_x exists"),
        (f"{TEST}from other import y\n", "test_x", "pass", "tests/test_a.py::test_x exists"),
    ],
)
def test_star_import_behind_a_test_is_an_error(
    check: Checked, project: GitProject, code: str, node: str, verdict: str, said: str
) -> None:
    project.write("tests/test_a.py", code)
    result = check.one(f"[[test]]\nnode = 'tests/test_a.py::{node}'")
    assert (result.verdict.value, result.message) == (verdict, said)
