"""Further ways to keep a test that is never run: none of them is a pass."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .conftest import Checked

_CHECK = "[[test]]\nnode = 'tests/test_a.py::test_x'\n"
_TEST = "def test_x():\n    assert f()\n"


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (f"pytestmark = []\npytestmark.append(pytest.mark.skip)\n{_TEST}", "violated"),
        (f"pytestmark = []\npytestmark.extend([pytest.mark.skip])\n{_TEST}", "violated"),
        (f"{_TEST}test_x.pytestmark = [pytest.mark.skip]\n", "violated"),
        (f"@getattr(pytest.mark, 'skip')\n{_TEST}", "violated"),
        (f"def off(f):\n    return pytest.mark.skip(f)\n@off\n{_TEST}", "violated"),
        (f"@pytest.mark.parametrize('a', [pytest.param(1, marks=pytest.mark.skip)])\n{_TEST}",
         "violated"),
        (f"@pytest.fixture\n{_TEST}", "violated"), (f"@pytest.fixture()\n{_TEST}", "violated"),
        ("def test_x():\n    yield f()\n", "violated"),
        (f"if False:\n    pass\n    {_TEST.replace('    ', '        ')}", "violated"),
        (f"if TYPE_CHECKING:\n    {_TEST.replace('    ', '        ')}", "violated"),
        (f"if 1:\n    pass\nelse:\n    {_TEST.replace('    ', '        ')}", "violated"),
        (f"while 0:\n    {_TEST.replace('    ', '        ')}", "violated"),
        (f"raise ImportError\n{_TEST}", "violated"),
        (f"import sys\nsys.exit()\n{_TEST}", "violated"),
        (f"{_TEST}from helpers import *\n", "error"),
        (f"from helpers import *\n{_TEST}", "pass"),
        (f"pytestmark = []\npytestmark.append(pytest.mark.slow)\n{_TEST}", "pass"),
        (f"@pytest.mark.parametrize('a', [1, pytest.param(2, marks=pytest.mark.skip)])\n{_TEST}",
         "pass"),
        (f"def seen(f):\n    return f\n@seen\n{_TEST}", "pass"),
        (f"def off(f):\n    if late():\n        return pytest.mark.skip(f)\n    return f\n"
         f"@off\n{_TEST}", "pass"),
        ("def test_x():\n    def made():\n        yield 1\n    assert f(made)\n", "pass"),
        (f"if sys.platform == 'linux':\n    {_TEST.replace('    ', '        ')}", "pass"),
        (f"if __name__ == '__main__':\n    raise SystemExit\n{_TEST}", "pass"),
    ],
)  # fmt: skip
def test_test_that_is_never_run(
    check: Checked, write: Callable[[str, str], object], code: str, verdict: str
) -> None:
    write("tests/test_a.py", f"import pytest\n{code}")
    assert check.verdict(_CHECK) == verdict
