"""Kinds that read code: kept, broken, without evidence, impossible."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adrkit.checks import Verdict
from adrkit.testing import GitProject

from .conftest import Checked

Write = Callable[[str, str], object]


# --- path-exists -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "verdict"),
    [
        ("'src/app.py'", "pass"), ("'src'", "pass"), ("'src/'", "pass"), ("'./src/app.py'", "pass"),
        ("'src/*.py'", "pass"), ("'**/app.py'", "pass"), ("['src', 'docs']", "pass"),
        ("'src/gone.py'", "violated"), ("'src/*.rs'", "violated"), ("['src', 'lib']", "violated"),
    ],
)  # fmt: skip
def test_path_exists(check: Checked, write: Write, path: str, verdict: str) -> None:
    write("src/app.py", "")
    assert check.verdict(f"[[path-exists]]\npath = {path}") == verdict


@pytest.mark.parametrize(
    ("path", "said"),
    [("'src/app.py'", "src/app.py exists"), ("['src/app.py', 'src/*.py']", "2 there")],
)
def test_paths_that_are_there_are_named_or_counted(
    check: Checked, write: Write, path: str, said: str
) -> None:
    write("src/app.py", "")
    assert check.one(f"[[path-exists]]\npath = {path}").message == said


def test_path_through_a_link_out_of_the_project_is_refused(
    check: Checked, project: GitProject, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("password = 1")
    (project.root / "inside.txt").symlink_to(secret)
    (project.root / "folder").symlink_to(tmp_path, target_is_directory=True)
    for block in (
        "[[path-exists]]\npath = 'inside.txt'",
        "[[path-exists]]\npath = 'folder/secret.txt'",
        "[[regex]]\nfiles = 'inside.txt'\npattern = 'password'",
        "[[regex]]\nfiles = '*.txt'\npattern = 'password'",
    ):
        result = check.one(block)
        assert result.verdict is Verdict.ERROR, block
        assert "leads out of the project" in result.message


# --- symbol-exists -----------------------------------------------------------------------------

MODULE = """
import typing as t
from os import path as where
LIMIT: int = 3
A, B = 1, 2
if t.TYPE_CHECKING:
    class Late: ...
class Settings:
    retries: int = LIMIT
    def run(self) -> None:
        self.started = True
    class Inner:
        depth = 1
async def main(): ...
"""


@pytest.mark.parametrize(
    ("symbol", "verdict"),
    [
        ("LIMIT", "pass"), ("B", "pass"), ("where", "pass"), ("t", "pass"), ("Late", "pass"),
        ("main", "pass"), ("Settings.retries", "pass"), ("Settings.run", "pass"),
        ("Settings.started", "pass"), ("Settings.Inner.depth", "pass"), ("os", "violated"),
        ("Settings.gone", "violated"), ("Gone.x", "violated"), ("main.x", "violated"),
    ],
)  # fmt: skip
def test_symbol_exists(check: Checked, write: Write, symbol: str, verdict: str) -> None:
    write("app.py", MODULE)
    assert check.verdict(f"[[symbol-exists]]\nfile = 'app.py'\nsymbol = '{symbol}'") == verdict


@pytest.mark.parametrize(
    ("symbol", "verdict", "said", "where"),
    [
        ("['B', 'LIMIT']", "pass", "app.py defines B, LIMIT", "app.py:5"),
        ("['LIMIT', 'gone']", "violated", "app.py defines no gone; git follows files", "app.py"),
        ("['LIMIT', 'GIVEN_UP']", "violated", "app.py:16 deletes GIVEN_UP again", "app.py:16"),
    ],
)
def test_symbols_are_all_there_and_the_first_says_where(
    check: Checked, write: Write, symbol: str, verdict: str, said: str, where: str
) -> None:
    write("app.py", MODULE + "GIVEN_UP = 1\ndel GIVEN_UP\n")
    result = check.one(f"[[symbol-exists]]\nfile = 'app.py'\nsymbol = {symbol}")
    assert (result.verdict.value, str(result.evidence)) == (verdict, where)
    assert result.message.startswith(said)


def test_symbol_of_a_file_that_is_not_there_or_no_python(check: Checked, write: Write) -> None:
    block = "[[symbol-exists]]\nfile = 'app.py'\nsymbol = 'x'"
    assert check.verdict(block) == "missing"
    write("app.py", "def (:\n")
    assert check.verdict(block) == "error"
    write("app.py", "(" * 5000 + ")" * 5000)
    assert check.verdict(block) == "error"


# --- import-forbidden --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("import json\n", "pass"),
        ("import httpx\n", "violated"),
        ("import httpx.client as c\n", "violated"),
        ("from httpx import get\n", "violated"),
        ("import httpx2\n", "pass"),
        ("def f():\n    import httpx\n", "violated"),
        ("from app import web\n", "violated"),
        ("from app.web.routes import x\n", "violated"),
        ("from app import core\n", "pass"),
        ("from . import web\n", "violated"),
        ("from .web import x\n", "violated"),
        ("from ..app.web import x\n", "error"),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import httpx\n", "pass"),
        (
            "import typing\nif typing.TYPE_CHECKING:\n    pass\nelse:\n    import httpx\n",
            "violated",
        ),
        ("import importlib\nimportlib.import_module('httpx')\n", "violated"),
        ("__import__('httpx.x')\n", "violated"),
    ],
)
def test_import_forbidden(check: Checked, write: Write, code: str, verdict: str) -> None:
    write("src/app/__init__.py", "")
    write("src/app/core.py", code)
    block = "[[import-forbidden]]\nfiles = 'src/app/core.py'\nmodules = ['httpx', 'app.web']"
    assert check.verdict(block) == verdict


def test_import_forbidden_in_a_namespace_package_or_below_a_source_root(
    check: Checked, project: GitProject
) -> None:
    project.write("src/app/part/core.py", "from ..web import x\n")
    block = "[[import-forbidden]]\nfiles = 'src/**'\nmodules = 'app.web'"
    assert check.verdict(block) == "violated"
    project.write("lib/src2/app/core.py", "from .web import x\n")
    project.write("adrkit.toml", '[check]\nsource-roots = ["lib/src2"]\n')
    assert check.verdict(block.replace("src/**", "lib/**")) == "violated"


def test_import_forbidden_counts_type_checking_when_asked_and_spares_exceptions(
    check: Checked, write: Write
) -> None:
    write("src/a.py", "if TYPE_CHECKING:\n    import httpx\n")
    block = "[[import-forbidden]]\nfiles = 'src/*.py'\nmodules = 'httpx'\n"
    assert check.verdict(block) == "pass"
    assert check.verdict(block + "type-checking = true") == "violated"
    write("src/b.py", "import httpx\n")
    assert check.one(block).evidence is not None
    assert check.verdict(block + "except = 'src/b.py'") == "pass"


def test_import_forbidden_with_an_empty_glob_is_missing(check: Checked, write: Write) -> None:
    block = "[[import-forbidden]]\nfiles = 'src/**/*.py'\nmodules = 'httpx'"
    assert check.verdict(block) == "missing"
    write("src/a.txt", "")
    assert check.verdict(block.replace("*.py", "*")) == "missing"


# --- setting -----------------------------------------------------------------------------------

SETTINGS = """
from dataclasses import field
from elsewhere import IMPORTED
RETRIES = 3
BACKOFF = (1.0, 2.0, 4.0)
TTL: Final = 7 * 24 * 60 * 60
NEGATIVE = -1
NAMES = {"a", "b"}
TABLE = {"a": RETRIES, **{}} if False else None
COMPUTED = sum(BACKOFF)
TWICE = 1
TWICE = 2
SAME = 1
SAME = 1
GROWN = 1
GROWN += 1
HUGE = 9**9**9
LOOP = LOOP
UNKNOWN = nothing_of_ours
DOUBLE0 = "xxxxxxxxxxxxxxxx"
DOUBLE1 = DOUBLE0 + DOUBLE0
class Settings(BaseModel):
    retries: int = Field(RETRIES, ge=1)
    named: int = Field(default=4)
    listed: list = field(default_factory=list)
    wait: Annotated[float, Field(gt=0)] = 2.5
    double: float = wait * 2
    region: SecretStr = SecretStr("eu")
    bare: int
def create():
    app.conf.update(task_acks_late=True, broker={"timeout": RETRIES})
    app.conf.timezone = "UTC"
    app.conf.update({"prefetch": 1})
"""


@pytest.mark.parametrize(
    ("attribute", "keys", "verdict"),
    [
        ("RETRIES", "value = 3", "pass"), ("RETRIES", "value = 4", "violated"),
        ("BACKOFF", "value = [1, 2, 4]", "pass"), ("BACKOFF", "value = [1, 2]", "violated"),
        ("TTL", "value = 604800", "pass"), ("NEGATIVE", "operator = '<'\nvalue = 0", "pass"),
        ("NAMES", "value = ['b', 'a']", "pass"),
        ("NAMES", "operator = 'contains'\nvalue = 'c'", "violated"),
        ("TABLE", "value = 1", "error"), ("COMPUTED", "value = 7", "error"),
        ("TWICE", "value = 2", "error"), ("SAME", "value = 1", "error"),
        ("GROWN", "value = 2", "error"), ("HUGE", "value = 2", "error"),
        ("LOOP", "value = 2", "error"), ("UNKNOWN", "value = 2", "error"),
        ("DOUBLE1", "operator = 'matches'\nvalue = '^x+$'", "pass"),
        ("IMPORTED", "value = 1", "error"), ("NOWHERE", "value = 1", "missing"),
        ("Settings.retries", "value = 3", "pass"), ("Settings.named", "value = 4", "pass"),
        ("Settings.listed", "value = []", "error"), ("Settings.wait", "value = 2.5", "pass"),
        ("Settings.double", "value = 5", "pass"), ("Settings.region", "value = 'eu'", "pass"),
        ("Settings.bare", "value = 1", "missing"), ("Settings.gone", "value = 1", "missing"),
        ("Settings.bare", "operator = 'exists'", "pass"),
        ("Settings.gone", "operator = 'absent'", "pass"),
        ("Settings.gone", "operator = 'exists'", "violated"),
        ("app.conf.task_acks_late", "value = true", "pass"),
        ("app.conf.task_acks_late", "value = false", "violated"),
        ("app.conf.timezone", "value = 'UTC'", "pass"),
        ("app.conf.prefetch", "operator = '>='\nvalue = 1", "pass"),
        ("app.conf.broker", "operator = 'contains'\nvalue = 'timeout'", "pass"),
        ("app.conf.gone", "value = 1", "missing"),
    ],
)  # fmt: skip
def test_setting(check: Checked, write: Write, attribute: str, keys: str, verdict: str) -> None:
    write("settings.py", SETTINGS)
    block = f"[[setting]]\nfile = 'settings.py'\nattribute = '{attribute}'\n{keys}"
    assert check.verdict(block) == verdict


def test_setting_names_what_is_and_what_must_be_and_where(check: Checked, write: Write) -> None:
    write("settings.py", "RETRIES = 5\n")
    result = check.one("[[setting]]\nfile = 'settings.py'\nattribute = 'RETRIES'\nvalue = 3")
    assert result.message == "RETRIES is 5, must be == 3"
    assert str(result.evidence) == "settings.py:1"


@pytest.mark.parametrize(
    ("attribute", "operator", "verdict", "said", "where"),
    [
        ("RETRIES", "exists", "pass", "RETRIES is there", "settings.py:2"),
        ("RETRIES", "absent", "violated", "RETRIES is there", "settings.py:2"),
        ("GONE", "exists", "violated", "GONE is not there", "settings.py"),
        ("GONE", "absent", "pass", "GONE is not there", "settings.py"),
    ],
)
def test_setting_is_said_to_be_there_or_not(
    check: Checked, write: Write, attribute: str, operator: str, verdict: str, said: str, where: str
) -> None:
    write("settings.py", "OTHER = 1\nRETRIES = 5\n")
    result = check.one(
        f"[[setting]]\nfile = 'settings.py'\nattribute = '{attribute}'\noperator = '{operator}'"
    )
    assert (result.verdict.value, result.message) == (verdict, said)
    assert str(result.evidence) == where


def test_setting_that_would_double_without_end_is_refused(check: Checked, write: Write) -> None:
    lines = ["A0 = 1.5", *(f"A{n} = A{n - 1} + A{n - 1}" for n in range(1, 45))]
    write("settings.py", "\n".join(lines))
    block = "[[setting]]\nfile = 'settings.py'\nattribute = 'A44'\nvalue = 1"
    assert check.verdict(block) == "error"


# --- test --------------------------------------------------------------------------------------

TESTS = """
import pytest
@pytest.mark.parametrize("x", [1])
def test_one(x): assert x
@pytest.mark.faults
class TestKill:
    @pytest.mark.asyncio
    @pytest.mark.slow(reason="x")
    async def test_worker(self): assert await kill()
@pytest.mark.skip(reason="flaky")
def test_off(): ...
@pytest.mark.xfail
def test_hopeless(): ...
@pytest.mark.xfail(sys.platform == "win32", reason="on this platform")
def test_conditional(): assert f()
helper = 1
"""


@pytest.mark.parametrize(
    ("keys", "verdict"),
    [
        ("node = 'tests/test_a.py::test_one'", "pass"),
        ("node = 'tests/test_a.py::test_one[1-::x]'", "pass"),
        ("node = 'tests/test_a.py::TestKill::test_worker'\nmarker = 'slow'", "pass"),
        ("node = 'tests/test_a.py::TestKill::test_worker'\nmarker = 'faults'", "pass"),
        ("node = 'tests/test_a.py::test_one'\nmarker = 'faults'", "violated"),
        ("node = 'tests/test_a.py::test_off'", "violated"),
        ("node = 'tests/test_a.py::test_hopeless'", "violated"),
        ("node = 'tests/test_a.py::test_conditional'", "pass"),
        ("node = 'tests/test_a.py::test_gone'", "missing"),
        ("node = 'tests/test_a.py::helper'", "missing"),
        ("node = 'tests/test_b.py::test_one'", "missing"),
    ],
)
def test_test(check: Checked, write: Write, keys: str, verdict: str) -> None:
    write("tests/test_a.py", TESTS)
    assert check.verdict(f"[[test]]\n{keys}") == verdict


@pytest.mark.parametrize(
    ("node", "marker", "verdict", "said", "where"),
    [
        ("test_one", "parametrize", "pass", "tests/test_a.py::test_one exists", 4),
        ("test_one", "slow", "violated", "does not carry the marker slow", 4),
        ("test_off", "", "violated", "and proves nothing", 12),
        ("TestKill::helper", "", "error", "is no test: pytest collects names", 10),
    ],
)
def test_test_is_judged_where_it_stands(
    check: Checked, write: Write, node: str, marker: str, verdict: str, said: str, where: int
) -> None:
    helper = "    def helper(self): assert 1\n"
    write("tests/test_a.py", TESTS.replace("@pytest.mark.skip(", f"{helper}@pytest.mark.skip(", 1))
    wanted = f"\nmarker = '{marker}'" if marker else ""
    result = check.one(f"[[test]]\nnode = 'tests/test_a.py::{node}'{wanted}")
    assert (result.verdict.value, str(result.evidence)) == (verdict, f"tests/test_a.py:{where}")
    assert said in result.message


def test_test_of_a_file_that_is_skipped_as_a_whole_is_violated(
    check: Checked, write: Write
) -> None:
    write("tests/test_a.py", "pytestmark = [pytest.mark.slow, pytest.mark.skip]\ndef test_x(): ...")
    assert check.verdict("[[test]]\nnode = 'tests/test_a.py::test_x'") == "violated"
