"""Values of Python expressions that need no running: literals, arithmetic, names, ``Field(…)``."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from adrkit.checks.certainty import bindings_of, doubts_of, is_configured_once
from adrkit.checks.operators import is_number, shown
from adrkit.checks.python_module import Assignment, PythonModule, dotted_name
from adrkit.checks.verdict import CannotEvaluate, Evidence, MissingEvidence

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
    ast.LShift: operator.lshift, ast.BitOr: operator.or_, ast.Pow: operator.pow,
}  # fmt: skip
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_,
}  # fmt: skip

# pydantic.Field, dataclasses.field, attrs.field, and what wraps a single literal.
_DEFAULTED = {"Field", "field", "Factory"}
_WRAPPERS = {"SecretStr", "Path", "PurePath", "PurePosixPath", "int", "float", "str", "Decimal"}
_COLLECTIONS = {"frozenset": frozenset, "set": set, "tuple": tuple, "list": list}
_MAX_NUMBER = 10**30  # `9**9**9` would compute for ever
_MAX_DEPTH = 50
_MAX_STEPS = 10_000
_MAX_LENGTH = 100_000


_BUILTIN = {"int", "float", "str", "frozenset", "set", "tuple", "list"}


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def value_of(module: PythonModule, dotted: str) -> tuple[Any, int]:
    """Value and line of ``NAME``, ``Class.NAME`` or a configured ``object.attribute``.

    Raises MissingEvidence when nothing of that name is assigned, CannotEvaluate when its value
    needs running or is not certain: anything else in the file may bind or change the name.
    """
    return _Reader(module).named(dotted)


class _Reader:
    def __init__(self, module: PythonModule) -> None:
        self.module = module
        self._depth = self._steps = 0
        self._scopes = [""]  # the class whose body a name is read in

    def named(self, dotted: str) -> tuple[Any, int]:
        found = self.module.assignments(dotted)
        scope = dotted.rpartition(".")[0]
        if not found and "." in dotted:
            found, scope = self.module.attribute_assignments(dotted), ""
        if not found:
            node = self.module.find(dotted)
            if isinstance(node, ast.Import | ast.ImportFrom):
                raise CannotEvaluate(
                    f"{dotted} is imported there: name the file that assigns it", self._at(node)
                )
            raise MissingEvidence(
                f"{self.module.path} assigns no {dotted}", Evidence(self.module.path)
            )
        configured = not self.module.assignments(dotted)
        if configured and len(found) > 1:
            raise CannotEvaluate(
                f"{dotted} is assigned on lines {found[0].line} and {found[1].line}",
                Evidence(self.module.path, found[1].line),
            )
        doubts = (is_configured_once if configured else doubts_of)(self.module, dotted)
        for doubt in doubts:
            raise CannotEvaluate(
                f"the value of {dotted} is not certain: {doubt.reason}",
                Evidence(self.module.path, doubt.line),
            )
        item = found[-1]
        if item.value is None and len(found) > 1:
            item = found[0]  # annotated behind its value
        return self._assigned(item, scope), item.line

    def _assigned(self, item: Assignment, scope: str) -> Any:
        where = Evidence(self.module.path, item.line)
        if item.augmented:
            raise CannotEvaluate(f"{item.name} is computed step by step", where)
        if item.value is None:
            raise MissingEvidence(f"{item.name} has no value there", where)
        self._scopes.append(scope)
        try:
            return self.value(item.value)
        finally:
            self._scopes.pop()

    def value(self, node: ast.expr) -> Any:
        self._depth, self._steps = self._depth + 1, self._steps + 1
        if self._depth > _MAX_DEPTH or self._steps > _MAX_STEPS:
            raise CannotEvaluate("its value refers to itself or is nested too deep", self._at(node))
        try:
            return self._value(node)
        finally:
            self._depth -= 1

    def _value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Tuple(elts=items):
                return tuple(self.value(item) for item in items)
            case ast.List(elts=items):
                return [self.value(item) for item in items]
            case ast.Set(elts=items):
                return self._set([self.value(item) for item in items], node)
            case ast.Dict(keys=keys, values=values) if None not in keys:
                pairs = zip(keys, values, strict=True)
                return {
                    self._key(self.value(key), node): self.value(value)
                    for key, value in pairs
                    if key is not None
                }
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
                return self._unary(op, self.value(operand), node)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return self._binary(op, self.value(left), self.value(right), node)
            case ast.Name() | ast.Attribute():
                return self._reference(node)
            case ast.Call():
                return self._call(node)
        raise self._unreadable(node)

    def _reference(self, node: ast.Name | ast.Attribute) -> Any:
        name = dotted_name(node)
        if name is None:
            raise self._unreadable(node)
        scope = self._scopes[-1]
        if scope and self.module.assignments(f"{scope}.{name}"):
            name = f"{scope}.{name}"
        try:
            return self.named(name)[0]
        except MissingEvidence as error:
            raise self._unreadable(node) from error

    def _call(self, node: ast.Call) -> Any:
        name = (dotted_name(node.func) or "").rpartition(".")[2]
        for bound in bindings_of(self.module.tree, name):  # our own `def Field`, `int = …`
            if bound.what != "import" or name in _BUILTIN:
                raise self._unreadable(node)
        if name in _DEFAULTED and all(keyword.arg is not None for keyword in node.keywords):
            default = next((k.value for k in node.keywords if k.arg == "default"), None)
            if default is None and node.args:
                default = node.args[0]
            if default is not None and not _is_ellipsis(default):
                return self.value(default)
        elif name in _WRAPPERS and len(node.args) == 1 and not node.keywords:
            return self._converted(name, self.value(node.args[0]), node)
        elif name in _COLLECTIONS and len(node.args) <= 1 and not node.keywords:
            items = self.value(node.args[0]) if node.args else ()
            if isinstance(items, list | tuple | set | frozenset):
                return self._set(items, node) if "set" in name else _COLLECTIONS[name](items)
        raise self._unreadable(node)

    def _converted(self, name: str, value: Any, node: ast.Call) -> Any:
        """What ``int("3")`` and its like give; paths and secrets compare as their text."""
        try:
            if name in ("int", "float") and isinstance(value, int | float | str):
                return int(value) if name == "int" else float(value)
            if name == "Decimal" and isinstance(value, int | str):
                return int(value) if str(value).lstrip("-").isdigit() else float(value)
        except (ValueError, OverflowError) as error:
            raise self._unreadable(node) from error
        if name == "str" and isinstance(value, int | str) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, str) and name not in ("int", "float", "Decimal"):
            return value
        raise self._unreadable(node)

    def _unary(self, op: ast.unaryop, value: Any, node: ast.expr) -> Any:
        if not isinstance(op, ast.Not) and not is_number(value):
            raise self._unreadable(node)
        return _UNARY[type(op)](value)

    def _binary(self, op: ast.operator, left: Any, right: Any, node: ast.expr) -> Any:
        if is_number(left) and is_number(right):
            small = abs(left) < _MAX_NUMBER and abs(right) < _MAX_NUMBER
            if isinstance(op, ast.Pow | ast.LShift):
                small = abs(left) <= 10**6 and 0 <= right <= 64
            if not small:
                raise CannotEvaluate("its arithmetic is out of bounds", self._at(node))
        elif not (
            isinstance(op, ast.Add)
            and type(left) is type(right)
            and isinstance(left, str | bytes | list | tuple)
            and len(left) + len(right) <= _MAX_LENGTH
        ):
            raise self._unreadable(node)
        try:
            return _BINARY[type(op)](left, right)
        except (TypeError, ArithmeticError) as error:
            raise CannotEvaluate(f"its arithmetic fails: {error}", self._at(node)) from error

    def _set(self, items: Any, node: ast.expr) -> Any:
        return frozenset(self._key(item, node) for item in items)

    def _key(self, value: Any, node: ast.expr) -> Any:
        try:
            hash(value)
        except TypeError as error:
            raise CannotEvaluate(f"{shown(value)} cannot be a key", self._at(node)) from error
        return value

    def _at(self, node: ast.AST) -> Evidence:
        return Evidence(self.module.path, getattr(node, "lineno", None))

    def _unreadable(self, node: ast.expr) -> CannotEvaluate:
        try:
            text = ast.unparse(node)
        except RecursionError:
            text = "an expression"
        shown_text = text if len(text) <= 80 else f"{text[:77]}..."
        return CannotEvaluate(
            f"`{shown_text}` cannot be read without running it; name a plain constant",
            self._at(node),
        )
