"""What lies around a test's file and keeps it from running: plugins, conftest, imported marks."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from adrkit.checks.context import CheckContext
from adrkit.checks.imported import find_module, is_file, origin_of
from adrkit.checks.python_module import PythonModule, dotted_name
from adrkit.checks.switched_off import TestModule, setups_of
from adrkit.checks.verdict import CannotEvaluate, Evidence
from adrkit.errors import AdrkitError

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_SKIPPING_NAME = re.compile(r"skip|xfail|disable|ignore|broken|not_?run", re.IGNORECASE)
_CONFIGURATION = ("pyproject.toml", "pytest.ini", ".pytest.ini", "tox.ini", "setup.cfg")
_RUNS_ASYNC = re.compile(r"asyncio[_-]mode|anyio[_-]mode|trio_mode|pytest[_-]tornasync|aiohttp")
_RUNNERS = {
    "asyncio",
    "anyio",
    "trio",
    "twisted",
    "tornado",
    "gen_test",
    "curio",
    "asyncio_cooperative",
}
_MAX_DEPTH = 5


def why_not_run(
    context: CheckContext, module: PythonModule, names: Sequence[str], node: _Function
) -> str:
    """Why pytest does not run the test, "" when it may.

    Raises CannotEvaluate where that hangs on what cannot be read.
    """
    tests = TestModule(module)
    if isinstance(node, ast.AsyncFunctionDef) and (
        reason := _is_not_awaited(context, tests, names, node)
    ):
        return reason
    for owner in _owners(module, names, node):
        for decorator in owner.decorator_list:
            if reason := _imported_decorator(context, module, decorator):
                return reason
    for reason in _conftests(context, module.path):
        return reason
    _require_modules(tests, [*module.tree.body, *node.body])
    return ""


def _owners(
    module: PythonModule, names: Sequence[str], node: _Function
) -> Iterator[_Function | ast.ClassDef]:
    yield node
    for depth in range(1, len(names)):
        owner = module.class_of(".".join(names[:depth]))
        if owner is not None:
            yield owner


def _imported_decorator(
    context: CheckContext, module: PythonModule, node: ast.expr, depth: int = 0
) -> str:
    """A mark or function of another file of the project that switches the test off."""
    name = dotted_name(node.func if isinstance(node, ast.Call) else node)
    origin = origin_of(context, module, name) if name else None
    if origin is None or depth > _MAX_DEPTH:
        return ""
    found, dotted, inner = origin
    if found is None:
        known = dotted.split(".")[0] in {"pytest", "unittest", *sys.stdlib_module_names}
        if not known and _SKIPPING_NAME.search(inner):
            raise CannotEvaluate(
                f"what {name} of {dotted} does to the test cannot be read",
                Evidence(module.path, node.lineno),
            )
        return ""
    there = TestModule(found)
    expression = ast.copy_location(ast.parse(inner, mode="eval").body, node)
    reason = there.reason_of(expression)
    if not reason:
        value = there.assigned(inner) if inner.isidentifier() else None
        reason = there.reason_of(value) if value is not None else ""
    if reason:
        return f"is decorated by {name} of {found.path}, which {reason}"
    return _imported_decorator(context, found, expression, depth + 1)


def _conftests(context: CheckContext, path: str) -> Iterator[str]:
    """What the folders' conftest.py do to every test below."""
    file = PurePosixPath(path)
    for folder in file.parents:
        found = find_module(context, (folder / "conftest.py").as_posix())
        if found is None:
            continue
        if reason := setups_of(TestModule(found), found.tree.body):
            yield f"stands below {found.path}, which {reason}"
        below = file.relative_to(folder).as_posix()
        for name in ("collect_ignore", "collect_ignore_glob"):
            for assignment in found.assignments(name):
                listed = {
                    part.value
                    for part in ast.walk(assignment.value or ast.Constant(None))
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                }
                for pattern in listed:
                    if PurePosixPath(below).match(pattern) or below.startswith(f"{pattern}/"):
                        yield f"is left out by {name} in {found.path}"


def _is_not_awaited(
    context: CheckContext, tests: TestModule, names: Sequence[str], node: ast.AsyncFunctionDef
) -> str:
    owner = tests.module.class_of(".".join(names[:-1])) if len(names) > 1 else None
    bases = [tests.full_name(base).rpartition(".")[2] for base in owner.bases] if owner else []
    if "TestCase" in bases:
        return "is async in a TestCase, which never awaits it (IsolatedAsyncioTestCase does)"
    if set(bases) - {"object"}:
        return ""  # a base of somebody's may run it
    marks = [*node.decorator_list, *tests.pytestmark(tests.module.tree.body)]
    if owner is not None:
        marks += tests.marks(owner)
    for mark in marks:
        if not tests.mark_name(mark) or tests.mark_name(mark) in _RUNNERS:
            return ""  # a decorator may run it
    arguments = {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
    if arguments & {"anyio_backend", "event_loop", "nursery", "loop"}:
        return ""
    folders = PurePosixPath(tests.module.path).parents
    for folder in folders:
        for name in (*_CONFIGURATION, "conftest.py"):
            text = _text(context, (folder / name).as_posix())
            if _RUNS_ASYNC.search(text) or (name == "conftest.py" and "async" in text):
                return ""
    return (
        "is async, and nothing runs it: it has no mark such as pytest.mark.asyncio, and no "
        "asyncio_mode is set"
    )


def _text(context: CheckContext, path: str) -> str:
    try:
        found = context.files.read(path) if is_file(context, path) else None
    except (AdrkitError, OSError):
        return ""
    return (found or b"").decode("utf-8", "replace")


def _require_modules(tests: TestModule, body: Sequence[ast.stmt]) -> None:
    """Raises CannotEvaluate for ``importorskip`` of what may not be installed."""
    for node in body:
        value = getattr(node, "value", None)
        if not isinstance(node, ast.Expr | ast.Assign | ast.AnnAssign):
            continue
        if isinstance(value, ast.Call) and tests.full_name(value) == "pytest.importorskip":
            first = value.args[0] if value.args else None
            wanted = str(first.value) if isinstance(first, ast.Constant) else "a module"
            if wanted.split(".")[0] not in sys.stdlib_module_names:
                raise CannotEvaluate(
                    f"it is skipped wherever {wanted} is not installed (importorskip): whether it "
                    "runs cannot be told",
                    Evidence(tests.module.path, node.lineno),
                )
