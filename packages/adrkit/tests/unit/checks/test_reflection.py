"""Values that are set around the syntax: never a pass, and no false alarm for what only reads."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .conftest import Checked

_X = "[[setting]]\nfile = 'src/s.py'\nattribute = '{}'\noperator = '=='\nvalue = 3\n"
_BASE = "class B:\n    def __init_subclass__(cls):\n        cls.y = 4\n"
_META = (
    "class M(type):\n    def __new__(m, n, b, d):\n        return type.__new__(m, n, b, {**d})\n"
)


@pytest.mark.parametrize(
    "code",
    [
        "import sys\nsys.modules[__name__].__dict__['X'] = 4",
        "import sys\nme = sys.modules[__name__]\nme.X = 4",
        "import sys\nsys.modules[__name__] = object()",
        "import sys as s\nfrom sys import modules\nmodules[__name__].X = 4",
        "import operator, sys\noperator.setitem(sys.modules[__name__].__dict__, 'X', 4)",
        "import sys\nsys._getframe().f_globals['X'] = 4",
        "import inspect\ninspect.currentframe().f_globals['X'] = 4",
        "def f(): pass\nf.__globals__['X'] = 4", "getattr(__builtins__, 'globals')()['X'] = 4",
        "import importlib\nm = importlib.import_module(__name__)\nm.X = 4",
        "__import__(__name__).X = 4", "import importlib\nimportlib.reload(__import__(__name__))",
        "import src.s as me\nme.X = 4", "import src.s\nsrc.s.X = 4", "from src import s\ns.X = 4",
        "raise SystemExit", "import sys\nsys.exit()", "match [1]:\n    case [*X]:\n        pass",
        "match {}:\n    case {**X}:\n        pass", "Y = [X := i for i in (1, 2)]",
        "try:\n    pass\nexcept* ValueError as X:\n    pass", "\uff38 = 4",
        "eval(\"globals().update(X=4)\")", "g = globals\ng()['X'] = 4", "e = exec\ne('X = 4')",
        "from builtins import globals as g\ng()['X'] = 4", "list(map(eval, ['X := 4']))",
        "import builtins as b\nb.globals()['X'] = 4",
        "def __getattr__(name): return 4\ndel X", "class C:\n    global X\n    X = 4",
    ],
)  # fmt: skip
def test_name_that_is_bound_around_the_syntax_is_an_error(
    check: Checked, write: Callable[[str, str], object], code: str
) -> None:
    write("src/s.py", f"X = 3\n{code}\n")
    assert check.verdict(_X.format("X")) in ("error", "missing")


@pytest.mark.parametrize(
    ("attribute", "code"),
    [
        ("C.x", f"{_META}class C(metaclass=M):\n    x = 3\n"),
        ("C.x", f"{_META}class B(metaclass=M): pass\nclass C(B):\n    x = 3\n"),
        ("C.x", f"{_BASE}class C(B):\n    x = 3\n"),
        ("C.x", f"{_BASE}class D(B): pass\nclass C(D):\n    x = 3\n"),
        ("C.__x", "class C:\n    __x = 3\nC._C__x = 4\n"),
        ("C.x", "class C:\n    x = 3\n    raise ValueError\n"),
        ("C.x", "class C(BaseModel):\n    model_config = {'validate_default': True}\n"
                "    x: int = 3\n    @field_validator('x')\n    def f(cls, v): return 4\n"),
        ("C.x", "class C(BaseModel):\n    x: int = 3\n"
                "    @validator('*', always=True)\n    def f(cls, v): return 4\n"),
        ("C.x", "class C(BaseModel):\n    x: int = 3\n    @model_validator(mode='before')\n"
                "    def f(cls, values):\n        values['x'] = 4\n        return values\n"),
        ("C.x", "class C(BaseSettings):\n    x: int = 3\n"),
        ("C.x", "def d(c):\n    c.x = 4\n    return c\n@d\nclass C:\n    x = 3\n"),
        ("C.x", "class C:\n    x = 3\n    vars()['x'] = 4\n"),
    ],
)  # fmt: skip
def test_attribute_that_others_may_make_is_an_error(
    check: Checked, write: Callable[[str, str], object], attribute: str, code: str
) -> None:
    write("src/s.py", code)
    assert check.verdict(_X.format(attribute)) == "error"


@pytest.mark.parametrize(
    ("attribute", "code"),
    [
        ("X", "import sys\nX = 3\nT = 'pytest' in sys.modules\nM = sys.modules['os']\n"),
        ("X", "import sys\nX = 3\nM = sys.modules.get('os')\n"),
        ("X", "import logging\nX = 3\nlog = logging.getLogger(__name__)\nlogging.Y = 4\n"),
        ("X", "import sys\nX = 3\nif __name__ == '__main__':\n    sys.exit(main())\n"),
        ("X", "X = 3\ndef f(vars, eval): return vars, eval\nmodel.eval()\napp.exec()\n"),
        ("C.x", "from abc import ABC, ABCMeta\nclass C(ABC, metaclass=ABCMeta):\n    x = 3\n"),
        ("C.x", "class B: pass\nclass C(B):\n    x = 3\n"),
        ("C.x", "class C(C):\n    x = 3\n"),
        ("C.x", "class C(BaseModel):\n    x: int = 3\n"
                "    @field_validator('x')\n    def f(cls, v): return v\n"),
        ("C.x", "class C(BaseModel):\n    x: int = 3\n    y: str = 'always'\n"
                "    @field_validator('x')\n    def f(cls, v): return v\n"),
    ],
)  # fmt: skip
def test_what_only_reads_leaves_the_value_certain(
    check: Checked, write: Callable[[str, str], object], attribute: str, code: str
) -> None:
    write("src/s.py", code)
    assert check.verdict(_X.format(attribute)) == "pass"
