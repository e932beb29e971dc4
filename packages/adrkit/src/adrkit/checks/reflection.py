"""Ways to a name around its syntax: the module as an object, frames, metaclasses, validators.

Nobody can follow them in source. Where one of them is in reach of the name, its value is uncertain.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from adrkit.checks.python_module import PythonModule, dotted_name

_INNARDS = {"f_globals", "f_locals", "__globals__", "__builtins__"}
_HARMLESS_METACLASSES = {"type", "ABCMeta", "EnumMeta", "EnumType"}
#: Builtin functions that bind names; certainty knows their calls, by these names.
_BINDERS = {"exec", "eval", "globals", "vars", "locals", "setattr", "delattr"}
_EXITS = {"sys.exit", "exit", "quit", "os._exit", "os.abort"}
_VALIDATORS = {"field_validator", "validator", "model_validator", "root_validator"}


class Way(NamedTuple):
    line: int
    reason: str


def ways_around(module: PythonModule, scope: ast.Module | ast.ClassDef, name: str) -> Iterator[Way]:
    """``scope`` is the module, or the class that ``name`` is an attribute of."""
    yield from _never_run(module.tree)
    yield from _innards(module, name)
    yield from _passed_on(module, name)
    if isinstance(scope, ast.ClassDef):
        yield from _never_run(scope)
        yield from _made_by_others(module, scope, set())
        yield from _validated(scope, name)
    else:
        yield from _by_import(module, name)


def _never_run(scope: ast.Module | ast.ClassDef) -> Iterator[Way]:
    for node in scope.body:
        call = node.value if isinstance(node, ast.Expr) else None
        exits = isinstance(call, ast.Call) and dotted_name(call.func) in _EXITS
        if isinstance(node, ast.Raise) or exits:
            yield Way(node.lineno, "the file ends there, before anybody could read the value")


def _innards(module: PythonModule, name: str) -> Iterator[Way]:
    for node in module.nodes:
        if isinstance(node, ast.Attribute | ast.Name):
            word = node.attr if isinstance(node, ast.Attribute) else node.id
            if word in _INNARDS:
                yield Way(node.lineno, f"{word} may bind {name}")
            elif dotted_name(node) == "sys.modules" and not _is_asked(node, module.parents):
                yield Way(node.lineno, f"sys.modules may bind {name}")
        elif isinstance(node, ast.ImportFrom) and node.module == "sys":
            if any(alias.name == "modules" for alias in node.names):
                yield Way(node.lineno, f"sys.modules may bind {name}")
        elif isinstance(node, ast.Call):
            called = (dotted_name(node.func) or "").rpartition(".")[2]
            itself = any(isinstance(a, ast.Name) and a.id == "__name__" for a in node.args)
            if called in ("import_module", "__import__", "reload") and itself:
                yield Way(node.lineno, f"{called}(__name__) may bind {name}")


def _passed_on(module: PythonModule, name: str) -> Iterator[Way]:
    """``g = globals`` and ``import builtins as b``: from there on under another name."""
    own = {node.arg for node in module.nodes if isinstance(node, ast.arg)}
    own |= {
        node.id
        for node in module.nodes
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    }
    for node in module.nodes:
        if isinstance(node, ast.Name) and node.id in _BINDERS - own:
            parent = module.parents.get(node)
            if not (isinstance(parent, ast.Call) and parent.func is node):
                yield Way(node.lineno, f"{node.id} is passed on and may bind {name}")
        elif isinstance(node, ast.Import | ast.ImportFrom):
            source = getattr(node, "module", None)
            for alias in node.names:
                renamed = alias.asname not in (None, alias.name)
                if source == "builtins" and alias.name in (*_BINDERS, "*") and renamed:
                    yield Way(node.lineno, f"{alias.name} may bind {name} as {alias.asname}")
                elif source is None and alias.name == "builtins" and renamed:
                    yield Way(node.lineno, f"builtins may bind {name} as {alias.asname}")


def _is_asked(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    """``"x" in sys.modules``, ``sys.modules["x"]`` and ``sys.modules.get("x")`` only read."""
    parent = parents.get(node)
    if isinstance(parent, ast.Compare):
        return True
    if isinstance(parent, ast.Attribute) and parent.attr == "get":
        parent = parents.get(parent)
        return isinstance(parent, ast.Call) and all(
            isinstance(argument, ast.Constant) for argument in parent.args
        )
    return (
        isinstance(parent, ast.Subscript)
        and isinstance(parent.ctx, ast.Load)
        and isinstance(parent.slice, ast.Constant)
    )


def _by_import(module: PythonModule, name: str) -> Iterator[Way]:
    """A module may import itself: what is stored in an imported one may be stored in this."""
    imported = {
        (alias.asname or alias.name).split(".")[0]
        for node in module.nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    for node in module.nodes:
        if isinstance(node, ast.Attribute) and node.attr == name:
            first = (dotted_name(node) or "").split(".")[0]
            if not isinstance(node.ctx, ast.Load) and first in imported:
                yield Way(node.lineno, f"{ast.unparse(node)} is set there, too")


def _made_by_others(module: PythonModule, scope: ast.ClassDef, seen: set[str]) -> Iterator[Way]:
    seen.add(scope.name)
    for keyword in scope.keywords:
        metaclass = (dotted_name(keyword.value) or "").rpartition(".")[2]
        if keyword.arg == "metaclass" and metaclass not in _HARMLESS_METACLASSES:
            yield Way(scope.lineno, f"the metaclass of {scope.name} may change it")
    for base in scope.bases:
        known = module.class_of(written) if (written := dotted_name(base)) else None
        if known is None or known.name in seen:
            continue
        if any(getattr(item, "name", "") == "__init_subclass__" for item in known.body):
            yield Way(known.lineno, f"{known.name}.__init_subclass__ may change it")
        yield from _made_by_others(module, known, seen)


def _validated(scope: ast.ClassDef, name: str) -> Iterator[Way]:
    """Pydantic's validators see defaults only when told to; those of a model see them all."""
    is_told = any(
        (isinstance(node, ast.keyword) and node.arg in ("validate_default", "always"))
        # As a key of a dictionary; "always" is a word that settings know for other things.
        or (isinstance(node, ast.Constant) and node.value == "validate_default")
        for node in ast.walk(scope)
    )
    for item in scope.body:
        for decorator in getattr(item, "decorator_list", []):
            call = decorator if isinstance(decorator, ast.Call) else None
            kind = (dotted_name(call.func if call else decorator) or "").rpartition(".")[2]
            if kind not in _VALIDATORS:
                continue
            fields = {a.value for a in (call.args if call else []) if isinstance(a, ast.Constant)}
            if fields & {name, "*"} and is_told:
                yield Way(item.lineno, f"a validator may replace {name}")
    for node in ast.walk(scope):
        if (
            isinstance(node, ast.Subscript)
            and not isinstance(node.ctx, ast.Load)
            and isinstance(node.slice, ast.Constant)
            and node.slice.value == name
        ):
            yield Way(node.lineno, f"{ast.unparse(node)} may set it")
