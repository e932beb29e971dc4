"""Proofs that cannot be fooled: code that a check must not pass, each with its verdict."""

from __future__ import annotations

import pytest

from adrkit.testing import GitProject

from .conftest import Checked

# --- setting: the value is certain or it is an error --------------------------------------------

_SETTING = "[[setting]]\nfile = 'app.py'\nattribute = '{name}'\nvalue = 3"

#: What is done beside `LIMIT = 3`, above or below it.
UNCERTAIN = {
    "later assignment": "LIMIT = 3\nLIMIT = 4\n",
    "later assignment of the same value": "LIMIT = 3\nLIMIT = 3\n",
    "several targets": "LIMIT = 3\nA = LIMIT = 4\n",
    "tuple": "LIMIT = 3\n(LIMIT, B), C = (4, 5), 6\n",
    "starred": "LIMIT = 3\n*LIMIT, B = 4, 5, 6\n",
    "annotated": "LIMIT: int = 3\nLIMIT: int = 4\n",
    "augmented": "LIMIT = 3\nLIMIT += 1\n",
    "global": "LIMIT = 3\ndef f():\n    global LIMIT\n    LIMIT = 4\nf()\n",
    "global in a class": "LIMIT = 3\nclass A:\n    global LIMIT\n    LIMIT = 4\n",
    "walrus": "LIMIT = 3\nprint(LIMIT := 4)\n",
    "walrus in a comprehension": "LIMIT = 3\nx = [LIMIT := y for y in range(5)]\n",
    "walrus in a condition": "LIMIT = 3\nif (LIMIT := 4):\n    pass\n",
    "walrus in a decorator": "LIMIT = 3\n@(LIMIT := print)\ndef f(): ...\n",
    "loop": "LIMIT = 3\nfor LIMIT in (4, 5):\n    pass\n",
    "loop over a tuple": "LIMIT = 3\nfor a, (LIMIT, b) in []:\n    pass\n",
    "with": "LIMIT = 3\nwith open('x') as LIMIT:\n    pass\n",
    "except": "LIMIT = 3\ntry:\n    pass\nexcept OSError as LIMIT:\n    pass\n",
    "import": "LIMIT = 3\nimport os as LIMIT\n",
    "import from": "LIMIT = 3\nfrom os import LIMIT\n",
    "star import": "LIMIT = 3\nfrom os import *\n",
    "star import under a condition": "LIMIT = 3\nif x:\n    from os import *\n",
    "def": "LIMIT = 3\ndef LIMIT(): ...\n",
    "class": "LIMIT = 3\nclass LIMIT: ...\n",
    "del": "LIMIT = 3\ndel LIMIT\n",
    "match": "LIMIT = 3\nmatch x:\n    case {'a': LIMIT}:\n        pass\n",
    "match star": "LIMIT = 3\nmatch x:\n    case [1, *LIMIT]:\n        pass\n",
    "globals": "LIMIT = 3\nglobals()['LIMIT'] = 4\n",
    "globals computed": "LIMIT = 3\nglobals()['LIM' + 'IT'] = 4\n",
    "globals update": "LIMIT = 3\nglobals().update(LIMIT=4)\n",
    "globals passed on": "LIMIT = 3\nload(globals())\n",
    "vars": "LIMIT = 3\nvars()['LIMIT'] = 4\n",
    "locals": "LIMIT = 3\nlocals()['LIMIT'] = 4\n",
    "exec": "LIMIT = 3\nexec('LIMIT = 4')\n",
    "setattr": "import sys\nLIMIT = 3\nsetattr(sys.modules[__name__], 'LIMIT', 4)\n",
    "setattr computed": "import sys\nLIMIT = 3\nsetattr(sys.modules[__name__], name, 4)\n",
    "sys.modules": "import sys\nLIMIT = 3\nsys.modules[__name__].LIMIT = 4\n",
    "condition": "if x:\n    LIMIT = 3\n",
    "other branch": "if x:\n    LIMIT = 3\nelse:\n    LIMIT = 4\n",
    "try": "try:\n    LIMIT = 3\nfinally:\n    pass\n",
    "while": "while x:\n    LIMIT = 3\n",
    "in a with": "with x:\n    LIMIT = 3\n",
    "own int": "def int(x):\n    return 4\nLIMIT = int(3)\n",
    "int of elsewhere": "from evil import int\nLIMIT = int(3)\n",
    "own Field": "def Field(x):\n    return 4\nLIMIT = Field(3)\n",
    "Field with unknown keywords": "from pydantic import Field\nLIMIT = Field(3, **more)\n",
    "through a name": "OTHER = 3\nOTHER = 4\nLIMIT = OTHER\n",
    "environment": "import os\nLIMIT = int(os.environ.get('LIMIT', 3))\n",
    "conditional expression": "LIMIT = 3 if x else 4\n",
}


@pytest.mark.parametrize("code", UNCERTAIN.values(), ids=UNCERTAIN.keys())
def test_value_that_is_not_certain_is_an_error(
    check: Checked, project: GitProject, code: str
) -> None:
    project.write("app.py", code)
    assert check.verdict(_SETTING.format(name="LIMIT")) == "error"


UNCERTAIN_IN_A_CLASS = {
    "second class": "class A:\n    LIMIT = 3\nclass A:\n    LIMIT = 4\n",
    "second class without it": "class A:\n    LIMIT = 3\nclass A:\n    pass\n",
    "class replaced": "class A:\n    LIMIT = 3\nA = make()\n",
    "class imported": "class A:\n    LIMIT = 3\nfrom b import A\n",
    "class under a condition": "if x:\n    class A:\n        LIMIT = 3\n",
    "twice in the body": "class A:\n    LIMIT = 3\n    LIMIT = 4\n",
    "condition in the body": "class A:\n    if x:\n        LIMIT = 3\n",
    "set from outside": "class A:\n    LIMIT = 3\nA.LIMIT = 4\n",
    "set under another name": "class A:\n    LIMIT = 3\nB = A\nB.LIMIT = 4\n",
    "set by a method": "class A:\n    LIMIT = 3\n    def f(self):\n        self.LIMIT = 4\n",
    "set by a class method": "class A:\n    LIMIT = 3\n    def f(cls):\n        cls.LIMIT += 1\n",
    "setattr": "class A:\n    LIMIT = 3\nsetattr(A, 'LIMIT', 4)\n",
    "setattr computed": "class A:\n    LIMIT = 3\nsetattr(A, name, 4)\n",
    "type.__setattr__": "class A:\n    LIMIT = 3\ntype.__setattr__(A, 'LIMIT', 4)\n",
    "deleted": "class A:\n    LIMIT = 3\ndel A.LIMIT\n",
    "delattr": "class A:\n    LIMIT = 3\ndelattr(A, 'LIMIT')\n",
    "locals": "class A:\n    LIMIT = 3\n    locals()['LIMIT'] = 4\n",
    "property": "class A:\n    LIMIT = 3\n    @property\n    def LIMIT(self):\n        return 4\n",
}


@pytest.mark.parametrize("code", UNCERTAIN_IN_A_CLASS.values(), ids=UNCERTAIN_IN_A_CLASS.keys())
def test_value_in_a_class_that_is_not_certain_is_an_error(
    check: Checked, project: GitProject, code: str
) -> None:
    project.write("app.py", code)
    assert check.verdict(_SETTING.format(name="A.LIMIT")) == "error"


UNCERTAIN_OBJECTS = {
    "twice": "app.conf.limit = 3\napp.conf.limit = 4\n",
    "condition": "if x:\n    app.conf.limit = 3\n",
    "updated from elsewhere": "app.conf.limit = 3\napp.conf.update(**more)\n",
    "updated with a name": "app.conf.limit = 3\napp.conf.update(more)\n",
    "updated under a condition": "if x:\n    app.conf.update(limit=3)\n",
    "by key": "app.conf.limit = 3\napp.conf['limit'] = 4\n",
    "replaced": "app.conf.limit = 3\napp.conf = make()\n",
    "setattr": "app.conf.limit = 3\nsetattr(app.conf, name, 4)\n",
}


@pytest.mark.parametrize("code", UNCERTAIN_OBJECTS.values(), ids=UNCERTAIN_OBJECTS.keys())
def test_configured_value_that_is_not_certain_is_an_error(
    check: Checked, project: GitProject, code: str
) -> None:
    project.write("app.py", f"app = Celery()\n{code}")
    assert check.verdict(_SETTING.format(name="app.conf.limit")) == "error"


CERTAIN = {
    "plain": ("LIMIT = 3\n", "LIMIT"),
    "annotated": ("LIMIT: int = 3\n", "LIMIT"),
    "final behind its annotation": ("LIMIT: int\nLIMIT = 3\n", "LIMIT"),
    "local of the same name": ("LIMIT = 3\ndef f():\n    LIMIT = 4\n", "LIMIT"),
    "argument of the same name": ("LIMIT = 3\ndef f(LIMIT=4): ...\n", "LIMIT"),
    "comprehension's own": ("LIMIT = 3\nx = [LIMIT for LIMIT in y]\n", "LIMIT"),
    "lambda's own": ("LIMIT = 3\nf = lambda LIMIT: LIMIT\n", "LIMIT"),
    "attribute of another": ("LIMIT = 3\nother.LIMIT = 4\n", "LIMIT"),
    "attribute of a class": ("LIMIT = 3\nclass A:\n    LIMIT = 4\n", "LIMIT"),
    "star import above": ("from os import *\nLIMIT = 3\n", "LIMIT"),
    "globals read": ("LIMIT = 3\nprint(globals()['LIMIT'])\n", "LIMIT"),
    "converted": ("LIMIT = int('3')\n", "LIMIT"),
    "arithmetic": ("A = 2\nLIMIT = A + 1\n", "LIMIT"),
    "in a class": ("class A:\n    LIMIT = 3\nclass B:\n    LIMIT = 4\n", "A.LIMIT"),
    "read by methods": ("class A:\n    LIMIT = 3\n    def f(self):\n        self.x = self.LIMIT\n",
                        "A.LIMIT"),
    "own attribute of another class": (
        "class A:\n    LIMIT = 3\nclass B:\n    def f(self):\n        self.LIMIT = 4\n", "A.LIMIT"),
    "field": ("class A:\n    LIMIT: int = Field(default=3, ge=1)\n", "A.LIMIT"),
    "configured": ("app.conf.update(limit=3, other=4)\n", "app.conf.limit"),
    "configured in a function": ("def f(app):\n    app.conf.limit = 3\n", "app.conf.limit"),
}  # fmt: skip


@pytest.mark.parametrize(("code", "name"), CERTAIN.values(), ids=CERTAIN.keys())
def test_value_that_is_certain_passes(
    check: Checked, project: GitProject, code: str, name: str
) -> None:
    project.write("app.py", code)
    assert check.verdict(_SETTING.format(name=name)) == "pass"


@pytest.mark.parametrize(
    "change", ["LIST.append(4)", "LIST[0] = 4", "del LIST[0]", "LIST += [4]", "LIST.clear()"]
)
def test_list_that_is_changed_in_place_is_an_error(
    check: Checked, project: GitProject, change: str
) -> None:
    project.write("app.py", f"LIST = [3]\n{change}\n")
    block = "[[setting]]\nfile = 'app.py'\nattribute = 'LIST'\nvalue = [3]"
    assert check.verdict(block) == "error"
    project.write("app.py", "LIST = [3]\nOTHER = LIST + [4]\n")
    assert check.verdict(block) == "pass"


@pytest.mark.parametrize(
    ("code", "operator", "verdict"),
    [
        ("LIMIT = 3\ndel LIMIT\n", "exists", "error"), ("LIMIT = 3\n", "exists", "pass"),
        ("from os import *\n", "absent", "error"), ("exec(x)\n", "absent", "error"),
        ("if x:\n    LIMIT = 3\n", "absent", "violated"), ("A = 3\n", "absent", "pass"),
    ],
)  # fmt: skip
def test_existence_of_a_name_has_to_be_certain_too(
    check: Checked, project: GitProject, code: str, operator: str, verdict: str
) -> None:
    project.write("app.py", code)
    block = f"[[setting]]\nfile = 'app.py'\nattribute = 'LIMIT'\noperator = '{operator}'"
    assert check.verdict(block) == verdict


# --- test: it runs, and can fail ----------------------------------------------------------------

_BODY = "    assert f() == 3\n"
_TEST = f"def test_x():\n{_BODY}"
_IN_CLASS = "class TestA:\n    def test_x(self):\n        assert f() == 3\n"

OFF = {
    "mark": f"import pytest\n@pytest.mark.skip\n{_TEST}",
    "mark with a reason": f"import pytest\n@pytest.mark.skip(reason='slow')\n{_TEST}",
    "xfail": f"import pytest\n@pytest.mark.xfail\n{_TEST}",
    "xfail that holds": f"import pytest\n@pytest.mark.xfail(True, reason='x')\n{_TEST}",
    "xfail with a keyword": f"import pytest\n@pytest.mark.xfail(condition=True)\n{_TEST}",
    "skipif that holds": f"import pytest\n@pytest.mark.skipif(True, reason='x')\n{_TEST}",
    "skipif of text": f"import pytest\n@pytest.mark.skipif('1 == 1')\n{_TEST}",
    "skipif of not": f"import pytest\n@pytest.mark.skipif(not False, reason='')\n{_TEST}",
    "unittest": f"import unittest\n@unittest.skip('x')\n{_TEST}",
    "unittest if": f"import unittest\n@unittest.skipIf(True, 'x')\n{_TEST}",
    "unittest unless": f"import unittest\n@unittest.skipUnless(0, 'x')\n{_TEST}",
    "expected failure": f"import unittest\n@unittest.expectedFailure\n{_TEST}",
    "expected failure by name": f"from unittest import expectedFailure\n@expectedFailure\n{_TEST}",
    "alias of pytest": f"import pytest as pt\n@pt.mark.skip\n{_TEST}",
    "alias of mark": f"from pytest import mark as m\n@m.skip\n{_TEST}",
    "alias of unittest.skip": f"from unittest import skip as off\n@off('x')\n{_TEST}",
    "alias by assignment": f"import pytest\nslow = pytest.mark.skip(reason='')\n@slow\n{_TEST}",
    "alias of an alias": f"import pytest\na = pytest.mark\nb = a.skip\n@b\n{_TEST}",
    "pytestmark": f"import pytest\npytestmark = pytest.mark.skip\n{_TEST}",
    "pytestmark list": f"import pytest\npytestmark = [pytest.mark.slow, pytest.mark.skip]\n{_TEST}",
    "pytestmark added":
        f"import pytest\npytestmark = []\npytestmark += [pytest.mark.skip]\n{_TEST}",
    "module-level skip": f"import pytest\npytest.skip('x', allow_module_level=True)\n{_TEST}",
    "module-level skip by name":
        f"from pytest import skip\nskip('x', allow_module_level=True)\n{_TEST}",
    "module-level skip if true": f"import pytest\nif True:\n    pytest.skip('')\n{_TEST}",
    "module-level error": f"import unittest\nraise unittest.SkipTest('x')\n{_TEST}",
    "module without tests": f"__test__ = False\n{_TEST}",
    "first statement": f"import pytest\ndef test_x():\n    pytest.skip('x')\n{_BODY}",
    "behind a docstring": f"import pytest\ndef test_x():\n    'doc'\n    pytest.skip('x')\n{_BODY}",
    "xfail in the body": f"import pytest\ndef test_x():\n    pytest.xfail('x')\n{_BODY}",
    "raised": f"from unittest import SkipTest\ndef test_x():\n    raise SkipTest('x')\n{_BODY}",
    "in a with": f"import pytest\ndef test_x():\n    with y:\n        pytest.skip('x')\n{_BODY}",
    "early return": f"def test_x():\n    return\n{_BODY}",
    "return if true": f"def test_x():\n    if True:\n        return\n{_BODY}",
    "function attribute": f"{_TEST}test_x.__test__ = False\n",
    "parametrized with nothing": f"import pytest\n@pytest.mark.parametrize('a', [])\n{_TEST}",
    "autouse fixture":
        f"import pytest\n@pytest.fixture(autouse=True)\ndef a():\n    pytest.skip('')\n"
        f"{_TEST}",
}  # fmt: skip


@pytest.mark.parametrize("code", OFF.values(), ids=OFF.keys())
def test_test_that_is_switched_off_is_violated(
    check: Checked, project: GitProject, code: str
) -> None:
    project.write("tests/test_a.py", code)
    assert check.verdict("[[test]]\nnode = 'tests/test_a.py::test_x'") == "violated"


OFF_IN_A_CLASS = {
    "decorated": f"import unittest\n@unittest.skip('x')\n{_IN_CLASS}",
    "alias": f"from pytest import mark\n@mark.skip\n{_IN_CLASS}",
    "pytestmark": _IN_CLASS.replace(":\n", ":\n    pytestmark = pytest.mark.skip\n", 1),
    "no tests": _IN_CLASS.replace(":\n", ":\n    __test__ = False\n", 1),
    "no tests, later": f"{_IN_CLASS}TestA.__test__ = False\n",
    "constructor": _IN_CLASS.replace(":\n", ":\n    def __init__(self): ...\n", 1),
    "setup": _IN_CLASS.replace(":\n", ":\n    def setUp(self):\n        self.skipTest('')\n", 1),
    "inherited": "import pytest\n@pytest.mark.skip\nclass Base: ...\n"
    + _IN_CLASS.replace("TestA", "TestA(Base)"),
    "skipTest": _IN_CLASS.replace("        assert", "        self.skipTest('')\n        assert"),
}


@pytest.mark.parametrize("code", OFF_IN_A_CLASS.values(), ids=OFF_IN_A_CLASS.keys())
def test_test_of_a_class_that_is_switched_off_is_violated(
    check: Checked, project: GitProject, code: str
) -> None:
    project.write("tests/test_a.py", f"import pytest\n{code}")
    assert check.verdict("[[test]]\nnode = 'tests/test_a.py::TestA::test_x'") == "violated"


@pytest.mark.parametrize(
    ("code", "node", "verdict"),
    [
        (f"{_TEST}def test_x():\n    pass\n", "test_x", "error"),
        (f"{_TEST}test_x = None\n", "test_x", "error"),
        (f"{_TEST}from other import test_x\n", "test_x", "error"),
        (f"{_TEST}del test_x\n", "test_x", "error"),
        (f"{_IN_CLASS}class TestA:\n    pass\n", "TestA::test_x", "error"),
        (_TEST.replace("test_x", "check_x"), "check_x", "error"),
        ("def test_y():\n    pass\n", "test_x", "missing"),
        ("test_x = 3\n", "test_x", "missing"),
    ],
)
def test_test_that_is_another_one_is_never_a_pass(
    check: Checked, project: GitProject, code: str, node: str, verdict: str
) -> None:
    project.write("tests/test_a.py", code)
    assert check.verdict(f"[[test]]\nnode = 'tests/test_a.py::{node}'") == verdict


def test_last_of_several_bindings_of_a_test_is_named(check: Checked, project: GitProject) -> None:
    project.write("tests/test_a.py", f"{_TEST}from other import test_x\ndel test_x\n")
    result = check.one("[[test]]\nnode = 'tests/test_a.py::test_x'")
    said = "test_x is bound again on line 4 (del): what runs is not this test"
    assert (result.message, str(result.evidence)) == (said, "tests/test_a.py:4")


RUNS = {
    "plain": _TEST,
    "async": f"import pytest\n@pytest.mark.asyncio\nasync {_TEST}",
    "skipif of the platform":
        f"import pytest, sys\n@pytest.mark.skipif(sys.platform == 'win32')\n{_TEST}",
    "skipif that never holds": f"import pytest\n@pytest.mark.skipif(False, reason='')\n{_TEST}",
    "xfail under a condition": f"import pytest\n@pytest.mark.xfail(windows, reason='x')\n{_TEST}",
    "skip under a condition":
        f"import pytest\ndef test_x():\n    if a:\n        pytest.skip('')\n{_BODY}",
    "importorskip of what ships": f"import pytest\npytest.importorskip('sqlite3')\n{_TEST}",
    "return at the end": f"def test_x():\n{_BODY}    return\n",
    "another's skip": f"import pytest\n@pytest.mark.skip\ndef test_y():\n    pass\n{_TEST}",
    "own skip function": f"def skip(x):\n    return x\n@skip\n{_TEST}",
    "parametrized": f"import pytest\n@pytest.mark.parametrize('a', [1])\n{_TEST}",
}  # fmt: skip


@pytest.mark.parametrize("code", RUNS.values(), ids=RUNS.keys())
def test_test_that_runs_passes(check: Checked, project: GitProject, code: str) -> None:
    project.write("tests/test_a.py", code)
    result = check.one("[[test]]\nnode = 'tests/test_a.py::test_x'")
    assert result.verdict == "pass", result.message


# --- symbols, data, globs, encodings ------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "symbol"),
    [
        ("class A: ...\ndel A\n", "A"), ("class A:\n    x = 1\n    del x\n", "A.x"),
        ("class A:\n    x = 1\ndel A.x\n", "A.x"),
        ("class A:\n    x = 1\ndelattr(A, 'x')\n", "A.x"),
        ("def f(): ...\ndel globals()['f']\n", "f"), ("def f(): ...\nglobals().pop('f')\n", "f"),
        ("if False:\n    def f(): ...\n", "f"), ("if 0:\n    class A: ...\n", "A"),
    ],
)  # fmt: skip
def test_symbol_that_is_deleted_is_violated(
    check: Checked, project: GitProject, code: str, symbol: str
) -> None:
    project.write("app.py", code)
    block = f"[[symbol-exists]]\nfile = 'app.py'\nsymbol = '{symbol}'"
    assert check.verdict(block) == "violated"


def test_symbol_made_in_either_branch_is_there(check: Checked, project: GitProject) -> None:
    project.write("app.py", "if x:\n    def f(): ...\nelse:\n    f = None\n")
    assert check.verdict("[[symbol-exists]]\nfile = 'app.py'\nsymbol = 'f'") == "pass"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.json", '{"limit": 4, "limit": 3}'), ("a.yaml", "limit: 4\nlimit: 3\n"),
        ("a.json", '{"limit": 3, "deep": {"a": 1, "a": 2}}'),
        ("a.yaml", "limit: 3\ndeep: {a: 1, a: 2}\n"),
        ("a.yaml", "limit: 3\ndeep: !x\n  a: 1\n  a: 2\n"),
        ("a.toml", "limit = 4\nlimit = 3\n"),
    ],
)  # fmt: skip
def test_key_that_is_there_twice_is_an_error(
    check: Checked, project: GitProject, file: str, text: str
) -> None:
    project.write(file, text)
    assert check.verdict(f"[[config]]\nfile = '{file}'\npointer = '/limit'\nvalue = 3") == "error"


def test_merged_keys_of_yaml_are_no_duplicates(check: Checked, project: GitProject) -> None:
    project.write("a.yaml", "base: &b {x: 1, limit: 4}\nmain:\n  <<: *b\n  limit: 3\n")
    assert (
        check.verdict("[[config]]\nfile = 'a.yaml'\npointer = '/main/limit'\nvalue = 3") == "pass"
    )


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize(
    "block",
    [
        "[[regex]]\nfiles = ['*.txt']\npattern = 'pickle'\nexpect = 'no-match'",
        "[[config]]\nfile = 'a.txt'\nformat = 'json'\npointer = '/a'\noperator = 'absent'",
        "[[setting]]\nfile = 'a.txt'\nattribute = 'A'\noperator = 'absent'",
        "[[dependency]]\npackage = 'pickle'\nstate = 'absent'\nfiles = ['a.txt']",
    ],
)
def test_text_in_utf16_is_never_a_pass(
    check: Checked, project: GitProject, encoding: str, block: str
) -> None:
    project.write("a.txt", "")
    (project.root / "a.txt").write_bytes("import pickle\npickle\n".encode(encoding))
    assert check.verdict(block) in ("error", "violated")


@pytest.mark.parametrize(
    "block",
    [
        "[[regex]]\nfiles = ['src/*.py', 'lib/*.py']\npattern = 'x'\nexpect = 'no-match'",
        "[[regex]]\nfiles = ['src/*.py', 'gone.py']\npattern = 'A'",
        "[[import-forbidden]]\nfiles = ['src/**', 'lib/**']\nmodules = ['os']",
        "[[dependency]]\npackage = 'x'\nstate = 'absent'\nfiles = ['requirements.txt', 'gone.txt']",
    ],
)
def test_glob_that_matches_nothing_is_missing_although_another_does(
    check: Checked, project: GitProject, block: str
) -> None:
    project.write("src/a.py", "A = 1\n")
    project.write("requirements.txt", "celery\n")
    assert check.verdict(block) == "missing"
