"""Fields of pydantic settings, whose values the environment decides and no source file."""

from __future__ import annotations

import ast

from adrkit.checks.context import CheckContext
from adrkit.checks.imported import origin_of
from adrkit.checks.python_module import PythonModule, dotted_name
from adrkit.checks.switched_off import TestModule

_SETTINGS = "BaseSettings"
_MAX_DEPTH = 10


def is_from_environment(context: CheckContext, module: PythonModule, attribute: str) -> bool:
    """Whether ``Class.name`` is a field that a variable of the environment can set."""
    owner, _, name = attribute.rpartition(".")
    scope = module.class_of(owner) if owner else None
    if scope is None or name.startswith("_"):
        return False
    for node in scope.body:
        if isinstance(node, ast.AnnAssign) and dotted_name(node.target) == name:
            kind = node.annotation
            kind = kind.value if isinstance(kind, ast.Subscript) else kind
            written = kind.value if isinstance(kind, ast.Constant) else dotted_name(kind)
            if str(written or "").startswith(("ClassVar", "typing.ClassVar", "t.ClassVar")):
                return False
    return _is_settings(context, module, scope, 0)


def _is_settings(
    context: CheckContext, module: PythonModule, scope: ast.ClassDef, depth: int
) -> bool:
    return any(_is_settings_base(context, module, base, depth) for base in scope.bases)


def _is_settings_base(
    context: CheckContext, module: PythonModule, base: ast.expr, depth: int
) -> bool:
    base = base.value if isinstance(base, ast.Subscript) else base
    name = dotted_name(base) or ""
    full = TestModule(module).full_name(base)
    if full.rpartition(".")[2] == _SETTINGS or name.rpartition(".")[2] == _SETTINGS:
        return True
    if depth > _MAX_DEPTH or not name:
        return False
    known = module.class_of(name)
    if known is not None:
        return _is_settings(context, module, known, depth + 1)
    origin = origin_of(context, module, name)
    if origin is None:
        return False
    found, _, inner = origin
    if found is None:
        return inner.rpartition(".")[2].endswith("Settings")  # of a package that nobody reads here
    return _is_settings_base(context, found, ast.parse(inner, mode="eval").body, depth + 1)
