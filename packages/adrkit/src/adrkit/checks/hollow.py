"""Why the body of a test cannot fail: it does nothing, or swallows what it finds out."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from adrkit.checks.python_module import dotted_name
from adrkit.checks.switched_off import TestModule, truth

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_SWALLOWED = {"AssertionError", "Exception", "BaseException"}
_FAILING = {"fail", "raises", "warns", "exit", "xfail"}


def why_hollow(tests: TestModule, node: _Function) -> str:
    """Why the body proves nothing, "" when it may."""
    if all(_does_nothing(tests, statement) for statement in node.body):
        return "does nothing, so that it cannot fail"
    live, swallowed = _findings(tests, node.body)
    if swallowed and not live:
        return f"swallows what it asserts on line {swallowed[0]}"
    return ""


def _does_nothing(tests: TestModule, node: ast.stmt) -> bool:
    """Whether a statement can neither fail nor do anything."""
    if isinstance(node, ast.Pass | ast.Global | ast.Nonlocal | ast.Return):
        return not (isinstance(node, ast.Return) and _acts(node))
    if isinstance(node, ast.Assert):
        return _always_holds(node.test)
    if isinstance(node, ast.With) and _is_suppressing(tests, node):
        return not any(map(_acts, node.items[1:])) and all(
            _does_nothing(tests, inner) for inner in node.body
        )
    if isinstance(node, _Function | ast.ClassDef):
        return not node.decorator_list and not isinstance(node, ast.ClassDef)
    if isinstance(node, ast.If):
        holds = truth(node.test)
        taken = node.body if holds is True else node.orelse if holds is False else None
        if taken is not None:
            return all(_does_nothing(tests, inner) for inner in taken)
    return isinstance(node, ast.Expr | ast.Assign | ast.AnnAssign) and not _acts(node)


def _acts(node: ast.AST) -> bool:
    """Whether an expression does anything that could go wrong."""
    return any(
        isinstance(
            part,
            ast.Call | ast.Await | ast.Attribute | ast.Subscript | ast.BinOp | ast.Compare
            | ast.Yield | ast.YieldFrom | ast.Starred | ast.comprehension,
        )
        or (isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load))
        for part in _without_lambdas(node)
    )  # fmt: skip


def _without_lambdas(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.Lambda | _Function | ast.ClassDef):
            yield from _without_lambdas(child)


def _always_holds(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return bool(node.value)  # a text is true here, and no condition to be read
    return truth(node) is True or _is_of_itself(node)


def _is_of_itself(node: ast.expr) -> bool:
    """``x == x``"""
    return (
        isinstance(node, ast.Compare)
        and len(node.ops) == 1
        and isinstance(node.ops[0], ast.Eq | ast.Is | ast.LtE | ast.GtE)
        and isinstance(node.left, ast.Name | ast.Constant)
        and ast.dump(node.left) == ast.dump(node.comparators[0])
    )


def _findings(
    tests: TestModule, body: Sequence[ast.stmt], *, swallowing: bool = False
) -> tuple[list[int], list[int]]:
    """Lines of assertions that can fail the test, and of those that cannot."""
    live: list[int] = []
    swallowed: list[int] = []

    def take(inner: Sequence[ast.stmt], hidden: bool) -> None:
        more_live, more_swallowed = _findings(tests, inner, swallowing=hidden)
        live.extend(more_live)
        swallowed.extend(more_swallowed)

    for node in body:
        if isinstance(node, _Function | ast.ClassDef):
            continue
        if isinstance(node, ast.With | ast.AsyncWith):
            (swallowed if swallowing else live).extend(
                item.context_expr.lineno for item in node.items if _finds(item.context_expr)
            )
            take(node.body, swallowing or _is_suppressing(tests, node))
        elif isinstance(node, ast.Try):
            take(node.body, swallowing or any(map(_is_swallowing, node.handlers)))
            for handler in node.handlers:
                take(handler.body, swallowing)
            take([*node.orelse, *node.finalbody], swallowing)
        elif isinstance(node, ast.Assert | ast.Raise):
            if isinstance(node, ast.Raise) or not _always_holds(node.test):
                (swallowed if swallowing else live).append(node.lineno)
        else:
            (swallowed if swallowing else live).extend(
                child.lineno
                for child in ast.iter_child_nodes(node)
                if isinstance(child, ast.expr) and _finds(child)
            )
            for field in ("body", "orelse"):
                take(getattr(node, field, []), swallowing)
            for case in getattr(node, "cases", []):
                take(case.body, swallowing)
    return live, swallowed


def _finds(node: ast.AST) -> bool:
    """Whether an expression calls what fails a test: ``self.assertEqual``, ``pytest.raises``."""
    for part in _without_lambdas(node):
        if isinstance(part, ast.Call):
            last = (dotted_name(part.func) or "").rpartition(".")[2]
            if last in _FAILING or last.lower().startswith("assert"):
                return True
    return False


def _is_suppressing(tests: TestModule, node: ast.With | ast.AsyncWith) -> bool:
    for item in node.items:
        call = item.context_expr
        if isinstance(call, ast.Call) and tests.full_name(call).endswith("suppress"):
            return any(_is_swallowed(argument) for argument in call.args)
    return False


def _is_swallowing(handler: ast.ExceptHandler) -> bool:
    caught = handler.type
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    if not any(name is None or _is_swallowed(name) for name in names):
        return False
    return not any(
        isinstance(part, ast.Raise | ast.Assert) or (isinstance(part, ast.Call) and _finds(part))
        for statement in handler.body
        for part in ast.walk(statement)
    )


def _is_swallowed(node: ast.expr) -> bool:
    return (dotted_name(node) or "").rpartition(".")[2] in _SWALLOWED
