"""Python source read by its syntax tree, never imported: names, values and imports."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Assignment:
    """A value bound to a name; ``value`` is None for a bare annotation."""

    name: str
    value: ast.expr | None
    line: int
    augmented: bool = False


@dataclass(frozen=True, slots=True)
class Import:
    """One imported name as an absolute dotted path; "." at the start when it stayed relative."""

    target: str
    line: int
    type_checking: bool


@dataclass(eq=False)
class PythonModule:
    """One file. Many checks ask the same of it: what costs a walk of the tree is kept."""

    path: str
    tree: ast.Module
    _attributes: dict[str, list[Assignment]] | None = field(default=None)
    _imports: dict[str, tuple[Import, ...]] = field(default_factory=dict)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node, in the order of ``ast.walk``."""
        return tuple(ast.walk(self.tree))

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        return {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}

    @cached_property
    def aliases(self) -> dict[str, str]:
        """What imported names stand for: "pytest.mark" of ``m`` behind ``from pytest import mark
        as m``. Relative imports are left out."""
        return dict(_aliases(self.nodes))

    def imports(self, package: str) -> tuple[Import, ...]:
        """Every import of the file, functions included; ``package`` resolves relative ones.

        ``from a import b`` yields ``a.b``: whether ``b`` is a module or a name of ``a``, a ban of
        ``a`` or of ``a.b`` meets it. ``importlib.import_module("a")`` and ``__import__("a")`` with
        a literal count; what is computed cannot be seen.
        """
        if package not in self._imports:
            self._imports[package] = tuple(_imports(self.tree, package))
        return self._imports[package]

    def find(self, dotted: str) -> ast.AST | None:
        """The node that defines ``name``, ``Class.attribute`` or ``Class.method``."""
        scope: ast.Module | ast.ClassDef = self.tree
        *outer, last = dotted.split(".")
        for part in outer:
            inner = next(
                (
                    n
                    for n in statements(scope.body)
                    if isinstance(n, ast.ClassDef) and n.name == part
                ),
                None,
            )
            if inner is None:
                return None
            scope = inner
        return _defined(scope, last)

    def class_of(self, dotted: str) -> ast.ClassDef | None:
        node = self.find(dotted)
        return node if isinstance(node, ast.ClassDef) else None

    def assignments(self, dotted: str) -> list[Assignment]:
        """Every binding of ``NAME`` or ``Class.NAME`` by assignment, in order."""
        *outer, last = dotted.split(".")
        if not outer:
            return self._module_bindings.get(last, [])
        scope = self.class_of(".".join(outer))
        if scope is None:
            return []
        return [found for found in bindings(scope.body) if found.name == last]

    @cached_property
    def _module_bindings(self) -> dict[str, list[Assignment]]:
        found: dict[str, list[Assignment]] = {}
        for assignment in bindings(self.tree.body):
            found.setdefault(assignment.name, []).append(assignment)
        return found

    def attribute_assignments(self, dotted: str) -> list[Assignment]:
        """Every ``a.b.name = value`` and ``a.b.update(name=value)`` of the whole file.

        Frameworks are configured so (``app.conf.update(task_acks_late=True)``), often inside a
        function; the object is known by its spelling only.
        """
        if self._attributes is None:
            self._attributes = {}
            for found in _attribute_assignments(self.nodes):
                self._attributes.setdefault(found.name, []).append(found)
        return self._attributes.get(dotted, [])


def parse_module(path: str, data: bytes) -> PythonModule:
    """Raises SyntaxError, ValueError (NUL bytes), RecursionError or MemoryError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in other people's files
        return PythonModule(path, ast.parse(data, filename=path))


def statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a scope, those under ``if``, ``try``, ``with``, ``for`` included."""
    for node in body:
        yield node
        if isinstance(node, _Function | ast.ClassDef):
            continue
        for name in ("body", "orelse", "finalbody"):
            yield from statements(getattr(node, name, []))
        for handler in getattr(node, "handlers", []):
            yield from statements(handler.body)
        for case in getattr(node, "cases", []):
            yield from statements(case.body)


def bindings(body: Sequence[ast.stmt]) -> Iterator[Assignment]:
    for node in statements(body):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from _bound(target, node.value, node.lineno)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield Assignment(node.target.id, node.value, node.lineno)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            yield Assignment(node.target.id, node.value, node.lineno, augmented=True)


def _bound(target: ast.expr, value: ast.expr, line: int) -> Iterator[Assignment]:
    if isinstance(target, ast.Name):
        yield Assignment(target.id, value, line)
    elif isinstance(target, ast.Tuple | ast.List):
        values: Sequence[ast.expr | None] = [None] * len(target.elts)
        if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts):
            values = value.elts
        for name, item in zip(target.elts, values, strict=True):
            if isinstance(name, ast.Name):
                yield Assignment(name.id, item, line)


def _defined(scope: ast.Module | ast.ClassDef, name: str) -> ast.AST | None:
    for node in statements(scope.body):
        if isinstance(node, _Function | ast.ClassDef) and node.name == name:
            return node
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name.split(".")[0]) == name:
                    return node
        if type(node).__name__ == "TypeAlias" and getattr(node.name, "id", "") == name:  # type: ignore[attr-defined]
            return node
        if any(found.name == name for found in bindings([node])):
            return node
    if isinstance(scope, ast.ClassDef):  # attributes that methods set: self.name = …
        for method in scope.body:
            if isinstance(method, _Function):
                for inner in ast.walk(method):
                    if (
                        isinstance(inner, ast.Attribute)
                        and isinstance(inner.ctx, ast.Store)
                        and inner.attr == name
                        and isinstance(inner.value, ast.Name)
                        and inner.value.id == "self"
                    ):
                        return inner
    return None


def dotted_name(node: ast.expr) -> str | None:
    """ "a.b.c" of a chain of attributes, None for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])


def _attribute_assignments(nodes: Iterable[ast.AST]) -> Iterator[Assignment]:
    for node in nodes:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Attribute) and (name := dotted_name(target)):
                    yield Assignment(name, node.value, node.lineno)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Attribute):
            if name := dotted_name(node.target):
                yield Assignment(name, node.value, node.lineno, augmented=True)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = dotted_name(node.func.value)
            if node.func.attr != "update" or owner is None:
                continue
            for keyword in node.keywords:
                if keyword.arg is not None:
                    yield Assignment(f"{owner}.{keyword.arg}", keyword.value, keyword.value.lineno)
            for argument in node.args:
                if isinstance(argument, ast.Dict):
                    for key, value in zip(argument.keys, argument.values, strict=True):
                        if isinstance(key, ast.Constant) and isinstance(key.value, str):
                            yield Assignment(f"{owner}.{key.value}", value, value.lineno)


# --- imports --------------------------------------------------------------------------------


def _imports(tree: ast.Module, package: str) -> Iterator[Import]:
    """In the order of the text."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    while waiting:
        node, type_checking = waiting.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, type_checking)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(package, node.level, node.module or "")
            for alias in node.names:
                target = (
                    base if alias.name == "*" else f"{base}.{alias.name}" if base else alias.name
                )
                yield Import(target, node.lineno, type_checking)
        elif isinstance(node, ast.Call) and (literal := _dynamic_import(node)):
            yield Import(literal, node.lineno, type_checking)
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            waiting += [(child, type_checking) for child in reversed(node.orelse)]
            waiting += [(child, True) for child in reversed(node.body)]
        else:
            children = list(ast.iter_child_nodes(node))
            waiting += [(child, type_checking) for child in reversed(children)]


def _aliases(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, str]]:
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (first, first)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _absolute(package: str, level: int, name: str) -> str:
    if level == 0:
        return name
    parts = package.split(".") if package else []
    if level > len(parts):
        return "." * level + name
    base = parts[: len(parts) - (level - 1)]
    return ".".join([*base, name] if name else base)


def _dynamic_import(node: ast.Call) -> str | None:
    name = dotted_name(node.func)
    if name not in ("importlib.import_module", "import_module", "__import__") or not node.args:
        return None
    first = node.args[0]
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def _is_type_checking(test: ast.expr) -> bool:
    return dotted_name(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING", "t.TYPE_CHECKING")
