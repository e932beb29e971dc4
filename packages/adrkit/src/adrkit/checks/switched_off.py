"""Why a pytest or unittest test proves nothing: skipped, expected to fail, not collected."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from adrkit.checks.certainty import bindings_of
from adrkit.checks.python_module import PythonModule, dotted_name

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Decorated = _Function | ast.ClassDef

#: By the last parts of their names, as they are imported.
_ALWAYS = {"mark.skip", "unittest.skip", "unittest.expectedFailure", "unittest.case.skip"}
_SKIPPING_CALLS = {"pytest.skip", "pytest.xfail", "self.skipTest", "cls.skipTest"}
_SKIPPING_ERRORS = {"unittest.SkipTest", "unittest.case.SkipTest", "pytest.skip.Exception",
                    "pytest.xfail.Exception"}  # fmt: skip
_SETUPS = {"setUp", "setUpClass", "asyncSetUp", "setup_method", "setup_class", "setup",
           "setup_module", "setUpModule", "setup_function",
           "pytest_runtest_setup", "pytest_runtest_call"}  # fmt: skip
_MARKING = {"pytestmark.append", "pytestmark.extend"}
_SKIP_MARKS = {"pytest.mark.skip", "pytest.mark.xfail", "unittest.skip", "unittest.expectedFailure"}
_EXITS = {"sys.exit", "exit", "quit", "os._exit", "os.abort"}
_MAX_DEPTH = 10


class TestModule:
    """Names of a test file resolved to what they were imported as."""

    __test__ = False

    def __init__(self, module: PythonModule) -> None:
        self.module = module
        self._aliases = module.aliases

    def full_name(self, node: ast.expr, depth: int = 0) -> str:
        """ "pytest.mark.skip" for ``m.skip`` behind ``from pytest import mark as m``."""
        if isinstance(node, ast.Call):
            if dotted_name(node.func) == "getattr" and len(node.args) > 1:
                key = node.args[1].value if isinstance(node.args[1], ast.Constant) else ""
                return f"{self.full_name(node.args[0], depth + 1)}.{key!s}"
            node = node.func
        name = dotted_name(node)
        if name is None or depth > _MAX_DEPTH:
            return ""
        first, _, rest = name.partition(".")
        if first in self._aliases:
            return ".".join(filter(None, (self._aliases[first], rest)))
        value = self.assigned(first)
        if value is not None:
            inner = self.full_name(value, depth + 1)
            return ".".join(filter(None, (inner, rest)))
        return name

    def assigned(self, name: str) -> ast.expr | None:
        """The value of a module-level ``slow = pytest.mark.skip(…)``."""
        found = self.module.assignments(name)
        return found[-1].value if found else None

    def call_of(self, node: ast.expr, depth: int = 0) -> ast.Call | None:
        """The call that a decorator is, also one that was given a name."""
        if isinstance(node, ast.Call):
            return node
        if isinstance(node, ast.Name) and depth < _MAX_DEPTH:
            value = self.assigned(node.id)
            return self.call_of(value, depth + 1) if value is not None else None
        return None

    # -- marks -----------------------------------------------------------------------------

    def marks(self, node: _Decorated) -> Iterator[ast.expr]:
        yield from node.decorator_list
        if isinstance(node, ast.ClassDef):
            yield from self.pytestmark(node.body)

    def pytestmark(self, body: Sequence[ast.stmt]) -> Iterator[ast.expr]:
        for node in body:
            if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                named = any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in targets)
                value = node.value
                if named and value is not None:
                    yield from value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
            elif isinstance(node, ast.If | ast.Try):
                yield from self.pytestmark(node.body)
            elif (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Call)
                and dotted_name(node.value.func) in _MARKING
            ):
                for value in node.value.args:
                    yield from value.elts if isinstance(value, ast.List | ast.Tuple) else [value]

    def mark_name(self, node: ast.expr) -> str:
        """ "slow" of ``pytest.mark.slow(…)``, "" for what is no mark."""
        _, found, mark = self.full_name(node).rpartition("mark.")
        return mark if found else ""

    def reason_of(self, node: ast.expr) -> str:
        """Why a decorator or mark switches a test off, "" when it does not."""
        name, call = self.full_name(node), self.call_of(node)
        short = ".".join(name.split(".")[-2:])
        first = call.args[0] if call and call.args else None
        conditions = [k.value for k in call.keywords if k.arg == "condition"] if call else []
        condition = conditions[0] if conditions else first
        if name in _ALWAYS or short in _ALWAYS:
            return f"is marked {name.split('.')[-1]}"
        if short == "mark.xfail" and (condition is None or truth(condition) is True):
            return "is marked xfail"
        if short in ("mark.skipif", "unittest.skipIf") and truth(condition) is True:
            return f"is marked {name.split('.')[-1]} under a condition that always holds"
        if short == "unittest.skipUnless" and truth(condition) is False:
            return "is marked skipUnless under a condition that never holds"
        if short == "mark.parametrize" and call is not None:
            values = call.args[1] if len(call.args) > 1 else next(
                (k.value for k in call.keywords if k.arg == "argvalues"), None)  # fmt: skip
            if isinstance(values, ast.List | ast.Tuple | ast.Set):
                if not values.elts:
                    return "is parametrized with nothing"
                if all(map(self._is_skipped_value, values.elts)):
                    return "is parametrized with values that are all skipped"
        return self._of_own_decorator(node)

    def _is_skipped_value(self, node: ast.expr) -> bool:
        """``pytest.param(…, marks=pytest.mark.skip)``"""
        if not isinstance(node, ast.Call) or self.full_name(node) != "pytest.param":
            return False
        for keyword in node.keywords:
            if keyword.arg == "marks":
                marks = keyword.value
                every = marks.elts if isinstance(marks, ast.List | ast.Tuple) else [marks]
                return any(map(self.reason_of, every))
        return False

    def _of_own_decorator(self, node: ast.expr) -> str:
        """A function of the file that gives back the test with a mark, whatever happens."""
        made = self.module.find(dotted_name(node) or "-") if isinstance(node, ast.Name) else None
        if not isinstance(made, _Function) or made.name.startswith("test"):
            return ""
        for item in made.body:
            if isinstance(item, ast.Return) and item.value is not None:
                for part in ast.walk(item.value):
                    if isinstance(part, ast.Attribute) and self.full_name(part) in _SKIP_MARKS:
                        return f"is decorated by {made.name}, which skips"
        return ""

    # -- statements that end a test ----------------------------------------------------------

    def skips(self, body: Sequence[ast.stmt], *, returns: bool = False) -> str:
        """The first statement of a body that ends the test always and early."""
        for node in body:
            value = node.value if isinstance(node, ast.Expr) else None
            if isinstance(value, ast.Await):
                value = value.value
            if isinstance(value, ast.Call) and self.full_name(value) in _SKIPPING_CALLS:
                return f"calls {self.full_name(value)}() on line {node.lineno}, whatever happens"
            raised = node.exc if isinstance(node, ast.Raise) else None
            if raised is not None and self.full_name(raised) in _SKIPPING_ERRORS:
                return f"raises a skip on line {node.lineno}, whatever happens"
            if isinstance(node, ast.If):
                holds = truth(node.test)
                taken = node.body if holds is True else node.orelse if holds is False else []
                if found := self.skips(taken, returns=returns):
                    return found
            if isinstance(node, ast.With | ast.AsyncWith) and (
                found := self.skips(node.body, returns=returns)
            ):
                return found
            if returns and isinstance(node, ast.Return):
                return f"returns on line {node.lineno} before it has done anything"
            if not _does_nothing(node):
                returns = False
        return ""


def why_switched_off(module: PythonModule, names: Sequence[str]) -> str:
    """Why the test at ``names`` (classes, then the function) proves nothing, "" when it may."""
    tests = TestModule(module)
    tree = module.tree
    for reason in map(tests.reason_of, tests.pytestmark(tree.body)):
        if reason:
            return f"stands in a file that {reason}"
    if reason := tests.skips(tree.body) or _ends(tests, tree.body):
        return f"stands in a file that {reason}"
    if _says_no_test(tree.body) or (reason := setups_of(tests, tree.body)):
        return f"stands in a file that {reason or 'says __test__ = False'}"
    for depth in range(1, len(names)):
        owner = module.class_of(".".join(names[:depth]))
        if owner is None:
            continue
        if reason := _of_class(tests, owner):
            return f"stands in class {owner.name}, which {reason}"
    node = module.find(".".join(names))
    if not isinstance(node, _Function):
        return ""
    for reason in map(tests.reason_of, [*node.decorator_list, *_marked_later(module, names)]):
        if reason:
            return reason
    if _is_switched_off_later(module, names):
        return "has __test__ set to False"
    if any(
        tests.full_name(decorator).endswith("pytest.fixture") for decorator in node.decorator_list
    ):
        return "is a fixture, which pytest does not collect"
    if _is_generator(node):
        return "yields, so that pytest does not run it"
    if _is_dead(module, node):
        return "stands under a condition that never holds"
    return tests.skips(node.body, returns=True)


def _of_class(tests: TestModule, node: ast.ClassDef, depth: int = 0) -> str:
    for reason in map(tests.reason_of, tests.marks(node)):
        if reason:
            return reason
    if _says_no_test(node.body):
        return "says __test__ = False"
    built = any(isinstance(n, _Function) and n.name in ("__init__", "__new__") for n in node.body)
    if built and not any("TestCase" in tests.full_name(base) for base in node.bases):
        return "has a constructor, so that pytest does not collect it"
    if reason := setups_of(tests, node.body):
        return reason
    if _is_switched_off_later(tests.module, [node.name, "-"]):
        return "has __test__ set to False"
    for base in node.bases:
        inherited = tests.module.class_of(dotted_name(base) or "-")
        if inherited is not None and inherited is not node and depth < _MAX_DEPTH:
            said_again = any(found.what == "assignment" for found in bindings_of(node, "__test__"))
            reason = _of_class(tests, inherited, depth + 1)
            if reason and not (said_again and "__test__" in reason):
                return f"inherits from {inherited.name}, which {reason}"
    return ""


def setups_of(tests: TestModule, body: Sequence[ast.stmt]) -> str:
    """A setup or automatic fixture that always skips."""
    for node in body:
        if not isinstance(node, _Function):
            continue
        automatic = any(
            tests.full_name(d).endswith("fixture") and isinstance(d, ast.Call)
            and any(k.arg == "autouse" and truth(k.value) is True for k in d.keywords)
            for d in node.decorator_list
        )  # fmt: skip
        if (automatic or node.name in _SETUPS) and (reason := tests.skips(node.body)):
            return f"has {node.name}, which {reason}"
    return ""


def _says_no_test(body: Sequence[ast.stmt]) -> bool:
    return any(
        isinstance(node, ast.Assign | ast.AnnAssign)
        and node.value is not None
        and truth(node.value) is False
        and any(isinstance(t, ast.Name) and t.id == "__test__"
                for t in (node.targets if isinstance(node, ast.Assign) else [node.target]))
        for node in body
    )  # fmt: skip


def _is_switched_off_later(module: PythonModule, names: Sequence[str]) -> bool:
    """``test_x.__test__ = False`` or ``TestX.__test__ = False`` behind the definition."""
    wanted = {f"{names[0]}.__test__", ".".join([*names, "__test__"])}
    return any(
        isinstance(node, ast.Assign)
        and truth(node.value) is False
        and any(dotted_name(target) in wanted for target in node.targets)
        for node in module.nodes
    )


def _ends(tests: TestModule, body: Sequence[ast.stmt]) -> str:
    for node in body:
        value = node.value if isinstance(node, ast.Expr) else None
        exits = isinstance(value, ast.Call) and tests.full_name(value) in _EXITS
        if isinstance(node, ast.Raise) or exits:
            return f"ends on line {node.lineno}, whatever happens"
    return ""


def _marked_later(module: PythonModule, names: Sequence[str]) -> Iterator[ast.expr]:
    """``test_x.pytestmark = [pytest.mark.skip]`` behind the definition."""
    for node in module.nodes:
        if isinstance(node, ast.Assign) and any(
            dotted_name(target) == ".".join([*names, "pytestmark"]) for target in node.targets
        ):
            value = node.value
            yield from value.elts if isinstance(value, ast.List | ast.Tuple) else [value]


def _is_generator(node: _Function) -> bool:
    """Whether the function itself yields; one inside of it may."""
    waiting: list[ast.AST] = list(node.body)
    while waiting:
        item = waiting.pop()
        if isinstance(item, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(item, _Function | ast.ClassDef | ast.Lambda):
            waiting += ast.iter_child_nodes(item)
    return False


def _is_dead(module: PythonModule, node: _Function) -> bool:
    for item in module.nodes:
        if isinstance(item, ast.If | ast.While):
            checked = (dotted_name(item.test) or "").rpartition(".")[2] == "TYPE_CHECKING"
            holds = False if checked else truth(item.test)
            dead = item.body if holds is False else item.orelse if holds is True else []
            if any(part is node for statement in dead for part in ast.walk(statement)):
                return True
    return False


def _does_nothing(node: ast.stmt) -> bool:
    if isinstance(node, ast.Pass | ast.Global | ast.Nonlocal | ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Assert) and truth(node.test) is True


def truth(node: ast.expr | None) -> bool | None:
    """Whether an expression of constants holds; None for what is only known when it runs."""
    if node is None:
        return None
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):  # pytest evaluates such conditions
            try:
                return truth(ast.parse(node.value, mode="eval").body)
            except (SyntaxError, ValueError, RecursionError):
                return None
        return bool(node.value)
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return bool(node.elts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = truth(node.operand)
        return None if inner is None else not inner
    if isinstance(node, ast.BoolOp):
        values = [truth(value) for value in node.values]
        decisive = isinstance(node.op, ast.Or)
        if decisive in values:
            return decisive
        return None if None in values else not decisive
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        left, right = node.left, node.comparators[0]
        if isinstance(left, ast.Constant) and isinstance(right, ast.Constant):
            if isinstance(node.ops[0], ast.Eq):
                return bool(left.value == right.value)
            if isinstance(node.ops[0], ast.NotEq):
                return bool(left.value != right.value)
    return None
