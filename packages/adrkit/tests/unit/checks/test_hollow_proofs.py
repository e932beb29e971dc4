"""Tests that run and prove nothing, tests that are kept from running from elsewhere, and settings
whose value the environment decides."""

from __future__ import annotations

import pytest

from adrkit.testing import GitProject

from .conftest import Checked

NODE = "[[test]]\nnode = 'tests/test_a.py::test_x'"
BODY = "    assert f() == 3\n"
TEST = f"def test_x():\n{BODY}"

HOLLOW = {
    "pass": "    pass\n",
    "docstring": "    'It holds.'\n",
    "ellipsis": "    ...\n",
    "constant assert": "    assert True\n",
    "constant assert with words": "    assert 'holds', 'why'\n",
    "tuple": "    assert (f() == 3, 'why')\n",
    "or true": "    assert f() == 3 or True\n",
    "of itself": "    x = 3\n    assert x == x\n",
    "constants compared": "    assert 1 == 1\n    assert not False\n",
    "names alone": "    x = 3\n    y = [1, 2]\n",
    "under if true": "    if True:\n        assert True\n",
    "under if false": "    if False:\n        assert f() == 3\n",
    "never called": "    def inner():\n        assert f() == 3\n",
    "suppressed": "    with suppress(AssertionError):\n        assert f() == 3\n",
    "suppressed by name": "    with contextlib.suppress(Exception):\n        assert f() == 3\n",
    "suppressed beside a call":
        "    g()\n    with suppress(AssertionError):\n        assert f() == 3\n",
    "suppressed method": "    with suppress(BaseException):\n        self.assertEqual(f(), 3)\n",
    "caught": "    try:\n        assert f() == 3\n    except AssertionError:\n        pass\n",
    "caught bare": "    try:\n        assert f() == 3\n    except:\n        print('no')\n",
    "caught in a tuple":
        "    try:\n        assert f() == 3\n    except (OSError, Exception):\n        return\n",
    "suppressed in a loop":
        "    for x in y:\n        with suppress(AssertionError):\n            assert f(x)\n",
}  # fmt: skip


@pytest.mark.parametrize("body", HOLLOW.values(), ids=HOLLOW.keys())
def test_test_that_cannot_fail_is_violated(check: Checked, project: GitProject, body: str) -> None:
    head = "import contextlib\nfrom contextlib import suppress\ndef test_x():\n"
    project.write("tests/test_a.py", head + body)
    assert check.verdict(NODE) == "violated"


SOUND = {
    "call": "    f()\n",
    "call and assert true": "    f()\n    assert True\n",
    "import": "    import app\n",
    "raises": "    with pytest.raises(ValueError):\n        f()\n",
    "suppress beside an assert": "    with suppress(OSError):\n        g()\n    assert f() == 3\n",
    "suppress of another": "    with suppress(OSError):\n        assert f() == 3\n",
    "suppressed clean-up":
        "    assert f() == 3\n    with suppress(Exception):\n        assert g()\n",
    "caught and failed":
        "    try:\n        assert f()\n    except AssertionError:\n        pytest.fail('x')\n",
    "caught and raised": "    try:\n        assert f()\n    except Exception:\n        raise\n",
    "caught another": "    try:\n        assert f()\n    except OSError:\n        pass\n",
    "else":
        "    try:\n        f()\n    except Exception:\n        g()\n    else:\n        fail()\n",
    "assert in a loop": "    for x in y:\n        assert f(x)\n",
    "nested and called": "    def inner():\n        assert f() == 3\n    inner()\n",
    "attribute": "    app.limit\n",
    "method": "    self.assertEqual(f(), 3)\n",
    "mock": "    f()\n    g.assert_called_once()\n",
}  # fmt: skip


@pytest.mark.parametrize("body", SOUND.values(), ids=SOUND.keys())
def test_test_that_can_fail_passes(check: Checked, project: GitProject, body: str) -> None:
    head = "import pytest\nfrom contextlib import suppress\ndef test_x():\n"
    project.write("tests/test_a.py", head + body)
    result = check.one(NODE)
    assert result.verdict == "pass", result.message


# --- what lies elsewhere --------------------------------------------------------------------------

HELPERS = (
    "import pytest, sys\n"
    "slow = pytest.mark.skip(reason='slow')\n"
    "windows = pytest.mark.skipif(sys.platform == 'win32', reason='x')\n"
    "def off(f):\n    return pytest.mark.skip(f)\n"
    "def timed(f):\n    return f\n"
)
ELSEWHERE = {
    "from": ("from helpers import slow\n@slow\n", "violated"),
    "renamed": ("from helpers import slow as s\n@s\n", "violated"),
    "relative": ("from .helpers import slow\n@slow\n", "violated"),
    "package": ("from tests.helpers import off\n@off\n", "violated"),
    "module": ("import helpers\n@helpers.slow\n", "violated"),
    "module of a package": ("from tests import helpers as h\n@h.off\n", "violated"),
    "handed on": ("from again import slow\n@slow\n", "violated"),
    "nobody knows": ("from company.testing import skip_slow\n@skip_slow\n", "error"),
    "nobody knows, called": ("from company.testing import skip_on\n@skip_on('ci')\n", "error"),
    "conditional": ("from helpers import windows\n@windows\n", "pass"),
    "another": ("from helpers import timed\n@timed\n", "pass"),
    "of a library": ("from unittest.mock import patch\n@patch('x')\n", "pass"),
    "of hypothesis": ("from hypothesis import given\n@given(1)\n", "pass"),
}  # fmt: skip


@pytest.mark.parametrize(("head", "verdict"), ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_decorator_is_followed_to_where_it_is_made(
    check: Checked, project: GitProject, head: str, verdict: str
) -> None:
    project.write("tests/helpers.py", HELPERS)
    project.write("tests/again.py", "from helpers import slow\n")
    project.write("tests/test_a.py", head + TEST)
    assert check.verdict(NODE) == verdict


FIXTURE = "import pytest\n@pytest.fixture"
CONFTESTS = {
    "automatic fixture":
        (f"{FIXTURE}(autouse=True)\ndef a():\n    pytest.skip('')\n", "violated"),
    "hook": ("import pytest\ndef pytest_runtest_setup(item):\n    pytest.skip('')\n", "violated"),
    "ignored": ("collect_ignore = ['test_a.py']\n", "violated"),
    "ignored by a pattern": ("collect_ignore_glob = ['*_a.py']\n", "violated"),
    "another ignored": ("collect_ignore = ['test_b.py']\n", "pass"),
    "fixture": ("import pytest\n@pytest.fixture\ndef a():\n    pytest.skip('')\n", "pass"),
}  # fmt: skip


@pytest.mark.parametrize(("conftest", "verdict"), CONFTESTS.values(), ids=CONFTESTS.keys())
def test_conftest_that_keeps_a_test_from_running_is_seen(
    check: Checked, project: GitProject, conftest: str, verdict: str
) -> None:
    project.write("tests/conftest.py", conftest)
    project.write("tests/test_a.py", TEST)
    assert check.verdict(NODE) == verdict


ASYNC = f"async {TEST}"
AWAITED = {
    "nothing": (ASYNC, "", "violated"),
    "other mark": (f"import pytest\n@pytest.mark.slow\n{ASYNC}", "", "violated"),
    "mark": (f"import pytest\n@pytest.mark.asyncio\n{ASYNC}", "", "pass"),
    "mark of the file": (f"import pytest\npytestmark = pytest.mark.anyio\n{ASYNC}", "", "pass"),
    "mode": (ASYNC, "[tool.pytest.ini_options]\nasyncio_mode = 'auto'\n", "pass"),
    "decorator": (f"from app import run_async\n@run_async\n{ASYNC}", "", "pass"),
    "backend": (ASYNC.replace("()", "(anyio_backend)", 1), "", "pass"),
}


@pytest.mark.parametrize(("code", "settings", "verdict"), AWAITED.values(), ids=AWAITED.keys())
def test_coroutine_that_nobody_awaits_is_violated(
    check: Checked, project: GitProject, code: str, settings: str, verdict: str
) -> None:
    project.write("pyproject.toml", settings)
    project.write("tests/test_a.py", code)
    assert check.verdict(NODE) == verdict


@pytest.mark.parametrize(
    ("base", "verdict"),
    [("unittest.TestCase", "violated"), ("unittest.IsolatedAsyncioTestCase", "pass")],
)
def test_coroutine_of_a_test_case_has_to_be_awaited(
    check: Checked, project: GitProject, base: str, verdict: str
) -> None:
    code = (
        f"import unittest\nclass TestA({base}):\n    async def test_x(self):\n        assert f()\n"
    )
    project.write("tests/test_a.py", code)
    assert check.verdict(NODE.replace("::test_x", "::TestA::test_x")) == verdict


@pytest.mark.parametrize(
    "code",
    [
        f"import pytest\npytest.importorskip('numpy')\n{TEST}",
        f"import pytest\nnp = pytest.importorskip('numpy')\n{TEST}",
        f"from pytest import importorskip as needs\nneeds('numpy.linalg', reason='x')\n{TEST}",
        f"import pytest\ndef test_x():\n    pytest.importorskip('numpy')\n{BODY}",
    ],
)
def test_test_that_may_be_skipped_for_want_of_a_module_is_an_error(
    check: Checked, project: GitProject, code: str
) -> None:
    project.write("tests/test_a.py", code)
    assert check.verdict(NODE) == "error"


# --- settings of the environment ------------------------------------------------------------------

OF = "from pydantic_settings import "
OF_SETTINGS = {
    "pydantic": f"{OF}BaseSettings\nclass A(BaseSettings):\n    x: int = 3\n",
    "prefix": f"{OF}BaseSettings, SettingsConfigDict\nclass A(BaseSettings):\n"
    "    model_config = SettingsConfigDict(env_prefix='A_')\n    x: int = 3\n",
    "first pydantic": "import pydantic\nclass A(pydantic.BaseSettings):\n    x: int = 3\n",
    "renamed": f"{OF}BaseSettings as B\nclass A(B):\n    x: int = 3\n",
    "Field": "import pydantic_settings as p\nfrom pydantic import Field\n"
    "class A(p.BaseSettings):\n    x: int = Field(3, ge=1)\n",
    "base of the file": f"{OF}BaseSettings\nclass B(BaseSettings): ...\n"
    "class A(B):\n    x: int = 3\n",
    "base of the project": "from app.base import Base\nclass A(Base):\n    x: int = 3\n",
    "base of nobody's": "from company import TheSettings\nclass A(TheSettings):\n    x: int = 3\n",
    "second base": f"{OF}BaseSettings\nclass M: ...\nclass A(M, BaseSettings):\n    x: int = 3\n",
}


@pytest.mark.parametrize("code", OF_SETTINGS.values(), ids=OF_SETTINGS.keys())
def test_field_that_the_environment_sets_is_an_error_unless_its_default_is_meant(
    check: Checked, project: GitProject, code: str
) -> None:
    project.write("app/base.py", f"{OF}BaseSettings\nclass Base(BaseSettings): ...\n")
    project.write("app/config.py", code)
    block = "[[setting]]\nfile = 'app/config.py'\nattribute = 'A.x'\nvalue = 3"
    assert check.verdict(block) == "error"
    assert check.verdict(f"{block}\ndefault = true") == "pass"
    assert check.verdict(f"{block}\ndefault = true".replace("= 3", "= 4")) == "violated"


@pytest.mark.parametrize(
    "code",
    [
        "from pydantic import BaseModel\nclass A(BaseModel):\n    x: int = 3\n",
        f"{OF}BaseSettings\nfrom typing import ClassVar\n"
        "class A(BaseSettings):\n    x: ClassVar[int] = 3\n",
        "class A:\n    x = 3\n",
    ],
)
def test_value_that_no_environment_sets_passes(
    check: Checked, project: GitProject, code: str
) -> None:
    project.write("app/config.py", code)
    block = "[[setting]]\nfile = 'app/config.py'\nattribute = 'A.x'\nvalue = 3"
    assert check.verdict(block) == "pass"
