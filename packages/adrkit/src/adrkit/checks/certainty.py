"""Whether the value of a Python name is certain: one binding, made always, changed nowhere.

A check that reads a value from source vouches for what the program sees. So everything that may
bind, change or delete the name in its file is looked for; what is found makes the value uncertain,
which is an error and never a pass.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from adrkit.checks.python_module import PythonModule, dotted_name
from adrkit.checks.reflection import ways_around

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Scope = ast.Module | ast.ClassDef

_MUTATORS = {
    "append", "extend", "insert", "remove", "pop", "popitem", "clear", "update", "setdefault",
    "add", "discard", "sort", "reverse", "difference_update", "intersection_update",
    "symmetric_difference_update", "__setitem__", "__delitem__", "__iadd__", "__ior__",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Binding:
    """A place that binds or deletes a name. ``always``: it runs once whenever the scope does."""

    node: ast.AST
    line: int
    what: str
    always: bool


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a value is not certain."""

    line: int
    reason: str


def bindings_of(scope: _Scope, name: str) -> list[Binding]:
    """Every binding of ``name`` in a module or class body, in order; functions are not entered
    but for walruses of comprehensions, which belong to the scope around them."""
    return [found for bound, found in _bindings(scope, scope.body, always=True) if bound == name]


def _bindings(
    scope: _Scope, body: list[ast.stmt], *, always: bool
) -> Iterator[tuple[str, Binding]]:
    for node in body:
        yield from _of_statement(scope, node, always=always)


def _of_statement(scope: _Scope, node: ast.stmt, *, always: bool) -> Iterator[tuple[str, Binding]]:
    def made(name: str, what: str, at: ast.AST = node) -> tuple[str, Binding]:
        return name, Binding(at, getattr(at, "lineno", node.lineno), what, always)

    if isinstance(node, _Function | ast.ClassDef):
        what = "class" if isinstance(node, ast.ClassDef) else "def"
        yield made(node.name, what)
        for expression in node.decorator_list:
            yield from _walruses(expression, always=False)
        return
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if not (isinstance(node, ast.AnnAssign) and node.value is None):
            what = "augmented assignment" if isinstance(node, ast.AugAssign) else "assignment"
            for target in targets:
                for name in _names(target):
                    yield made(name, what)
    elif isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            yield made(alias.asname or alias.name.split(".")[0], "import")
    elif isinstance(node, ast.Delete):
        for target in node.targets:
            for name in _names(target):
                yield made(name, "del")
    elif isinstance(node, ast.For | ast.AsyncFor):
        for name in _names(node.target):
            yield made(name, "loop")
    elif isinstance(node, ast.With | ast.AsyncWith):
        for item in node.items:
            if item.optional_vars is not None:
                for name in _names(item.optional_vars):
                    yield made(name, "with")
    elif type(node).__name__ == "TypeAlias":
        yield made(node.name.id, "type")  # type: ignore[attr-defined]
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield from _walruses(child, always=False)
    for field_name in ("body", "orelse", "finalbody"):
        yield from _bindings(scope, getattr(node, field_name, []), always=False)
    for handler in getattr(node, "handlers", []):
        if handler.name:
            yield made(handler.name, "except", handler)
        yield from _bindings(scope, handler.body, always=False)
    for case in getattr(node, "cases", []):
        for pattern in ast.walk(case.pattern):
            for key in ("name", "rest"):
                if isinstance(captured := getattr(pattern, key, None), str):
                    yield made(captured, "match", pattern)
        yield from _bindings(scope, case.body, always=False)


def _names(target: ast.AST) -> Iterator[str]:
    for node in ast.walk(target):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            yield node.id


def _walruses(expression: ast.AST, *, always: bool) -> Iterator[tuple[str, Binding]]:
    if isinstance(expression, ast.Lambda):
        return
    if isinstance(expression, ast.NamedExpr):
        name = expression.target.id
        yield name, Binding(expression, expression.lineno, "walrus", always)
    for child in ast.iter_child_nodes(expression):
        yield from _walruses(child, always=always)


def deleted(module: PythonModule, dotted: str) -> int | None:
    """The line that takes a name away again, or makes sure that it is never made."""
    *outer, last = dotted.split(".")
    scope: _Scope = module.tree
    for part in outer:
        if (line := _gone(scope, part)) is not None:
            return line
        node = module.class_of(".".join(outer[: outer.index(part) + 1]))
        if node is None:
            return None
        scope = node
    if (line := _gone(scope, last)) is not None:
        return line
    for place in module.nodes:
        if isinstance(place, ast.Attribute):
            taken = isinstance(place.ctx, ast.Del) and dotted_name(place) == dotted
        elif isinstance(place, ast.Subscript):
            taken = isinstance(place.ctx, ast.Del) and _is_namespace(place.value)
            taken = taken and _holds(place, last)
        elif isinstance(place, ast.Call):
            popped = isinstance(place.func, ast.Attribute) and place.func.attr == "pop"
            taken = dotted_name(place.func) == "delattr" or (
                popped and isinstance(place.func, ast.Attribute) and _is_namespace(place.func.value)
            )
            taken = taken and _holds(place, last)
        else:
            continue
        if taken:
            return place.lineno
    return None


def _holds(node: ast.AST, literal: str) -> bool:
    return any(isinstance(n, ast.Constant) and n.value == literal for n in ast.walk(node))


def _is_namespace(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and dotted_name(node.func) in ("globals", "vars", "locals")


def _gone(scope: _Scope, name: str) -> int | None:
    found = bindings_of(scope, name)
    if found and found[-1].what == "del":
        return found[-1].line
    alive = bindings_of(_without_dead_code(scope), name)
    return found[-1].line if found and not alive else None


def _without_dead_code(scope: _Scope) -> _Scope:
    """The scope without what stands under ``if False``."""

    def alive(body: list[ast.stmt]) -> list[ast.stmt]:
        kept: list[ast.stmt] = []
        for node in body:
            if isinstance(node, ast.If):
                constant = node.test.value if isinstance(node.test, ast.Constant) else True
                if isinstance(node.test, ast.Constant) and not constant:
                    kept += alive(node.orelse)
                    continue
            kept.append(node)
        return kept

    if isinstance(scope, ast.Module):
        return ast.Module(alive(scope.body), [])
    return ast.ClassDef(scope.name, scope.bases, scope.keywords, alive(scope.body), [])


def doubts_of(module: PythonModule, dotted: str) -> Iterator[Doubt]:
    """Everything that makes the value of ``NAME`` or ``Class.NAME`` uncertain."""
    *outer, last = dotted.split(".")
    scope: _Scope = module.tree
    for part in outer:
        found = bindings_of(scope, part)
        yield from _of_bindings(part, found)
        node = found[-1].node if found else None
        if not isinstance(node, ast.ClassDef):
            return
        scope = node
    found = bindings_of(scope, last)
    yield from _of_bindings(last, found)
    yield from _dynamic(module, scope, last, found[-1].line if found else 0)
    yield from (Doubt(*way) for way in ways_around(module, scope, last))
    if outer:
        yield from _attribute_stores(module, scope, last)
    else:
        yield from _declared_global(module, last)
    yield from _mutations(module, dotted if not outer else last, is_class=bool(outer))


def _of_bindings(name: str, found: list[Binding]) -> Iterator[Doubt]:
    for binding in found:
        if not binding.always:
            yield Doubt(binding.line, f"{name} is bound under a condition or in a block")
    if len(found) > 1:
        lines = " and ".join(f"line {b.line} ({b.what})" for b in found[:3])
        yield Doubt(found[-1].line, f"{name} is bound more than once: {lines}")


def _dynamic(module: PythonModule, scope: _Scope, name: str, bound: int) -> Iterator[Doubt]:
    parents = module.parents
    for node in module.nodes:
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            behind = isinstance(scope, ast.Module) and node.lineno > bound
            if behind:
                yield Doubt(node.lineno, f"the star import behind it may bind {name}")
        if not isinstance(node, ast.Call):
            continue
        called = dotted_name(node.func) or ""
        called = called.removeprefix("builtins.")
        if called in ("exec", "eval"):
            yield Doubt(node.lineno, f"{called}() may bind {name}")
        elif called in ("globals", "vars", "locals") and not node.args:
            if not _only_read(node, parents, name):
                yield Doubt(node.lineno, f"{called}() may bind {name}")
        elif called.split(".")[-1] in ("setattr", "delattr", "__setattr__", "__delattr__"):
            at = 1 if called in ("setattr", "delattr") or len(node.args) > 2 else 0
            given = node.args[at] if len(node.args) > at else None
            literal = given.value if isinstance(given, ast.Constant) else None
            if literal == name or (literal is None and _may_be(node, scope)):
                yield Doubt(node.lineno, f"{called}() may bind {name}")


def _may_be(call: ast.Call, scope: _Scope) -> bool:
    """Whether a setattr with a computed name may be about the scope: not about some other name."""
    first = call.args[0] if call.args else None
    if isinstance(scope, ast.Module):
        return not isinstance(first, ast.Name)  # sys.modules[__name__], a call
    return not (isinstance(first, ast.Name) and first.id not in (scope.name, "self", "cls"))


def _only_read(call: ast.Call, parents: dict[ast.AST, ast.AST], name: str) -> bool:
    """``globals()["x"]`` and ``globals().get("x")`` read; what is passed on may do anything."""
    parent = parents.get(call)
    if isinstance(parent, ast.Subscript) and parent.value is call:
        if isinstance(parent.ctx, ast.Load):
            return True
        return isinstance(parent.slice, ast.Constant) and parent.slice.value != name
    return isinstance(parent, ast.Attribute) and parent.attr in ("get", "items", "keys", "values")


def _attribute_stores(module: PythonModule, scope: _Scope, name: str) -> Iterator[Doubt]:
    """``Class.NAME = …``, under whatever name the class goes, and ``self.NAME = …`` within it."""
    own = set(ast.walk(scope))
    mangled = f"_{getattr(scope, 'name', '').lstrip('_')}{name}" if name.startswith("__") else name
    for node in module.nodes:
        if not isinstance(node, ast.Attribute) or node.attr not in (name, mangled):
            continue
        if isinstance(node.ctx, ast.Load):
            continue
        base = node.value.id if isinstance(node.value, ast.Name) else ""
        if base in ("self", "cls") and node not in own:
            continue
        yield Doubt(node.lineno, f"{ast.unparse(node)} is set there, too")


def _declared_global(module: PythonModule, name: str) -> Iterator[Doubt]:
    for node in module.nodes:
        if isinstance(node, ast.Global) and name in node.names:
            yield Doubt(node.lineno, f"a function binds {name}: it is declared global there")
        if (
            isinstance(node, ast.Attribute)
            and node.attr == name
            and not isinstance(node.ctx, ast.Load)
            and isinstance(node.value, ast.Subscript)
            and dotted_name(node.value.value) in ("sys.modules", "modules")
        ):
            yield Doubt(node.lineno, f"{ast.unparse(node)} is set there, too")


def _mutations(module: PythonModule, name: str, *, is_class: bool) -> Iterator[Doubt]:
    """Changes of a list, set or dictionary in place."""

    def is_it(node: ast.expr) -> bool:
        if is_class:
            return isinstance(node, ast.Attribute) and node.attr == name
        return isinstance(node, ast.Name) and node.id == name

    for node in module.nodes:
        if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            if is_it(node.value):
                yield Doubt(node.lineno, f"{name} is changed in place")
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in _MUTATORS
            and is_it(node.func.value)
        ):
            yield Doubt(node.lineno, f"{name} is changed in place")


def is_configured_once(module: PythonModule, dotted: str) -> Iterator[Doubt]:
    """Doubts about ``app.conf.name = value``, known by its spelling alone."""
    owner, _, last = dotted.rpartition(".")
    parents = module.parents
    for node in module.nodes:
        if isinstance(node, ast.Attribute | ast.Name) and not isinstance(node.ctx, ast.Load):
            if dotted_name(node) == owner and "." in owner:
                yield Doubt(node.lineno, f"{owner} is replaced there")
            if dotted_name(node) == dotted and _is_conditional(node, parents):
                yield Doubt(node.lineno, f"{dotted} is set under a condition")
        elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            key = node.slice.value if isinstance(node.slice, ast.Constant) else None
            if dotted_name(node.value) == owner and (key is None or key == last):
                yield Doubt(node.lineno, f"{owner}[…] is set, too")
        elif isinstance(node, ast.Call):
            called = dotted_name(node.func)
            if called == f"{owner}.update":
                known = [isinstance(argument, ast.Dict) and None not in argument.keys
                         for argument in node.args]  # fmt: skip
                if not all(known) or any(keyword.arg is None for keyword in node.keywords):
                    yield Doubt(node.lineno, f"{owner}.update() is given what cannot be read")
                elif _is_conditional(node, parents) and _mentions(node, last):
                    yield Doubt(node.lineno, f"{dotted} is set under a condition")
            elif called == "setattr" and node.args and dotted_name(node.args[0]) == owner:
                yield Doubt(node.lineno, f"setattr({owner}, …) may set it")


def _mentions(call: ast.Call, key: str) -> bool:
    literals = (n.value for n in ast.walk(call) if isinstance(n, ast.Constant))
    return any(k.arg == key for k in call.keywords) or key in literals


_CONDITIONS = (
    ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.ExceptHandler, ast.IfExp, ast.BoolOp,
    ast.Match, ast.Lambda,
)  # fmt: skip


def _is_conditional(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    current = parents.get(node)
    while current is not None:
        if isinstance(current, _CONDITIONS):
            return True
        current = parents.get(current)
    return False
