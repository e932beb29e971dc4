"""``test``: a pytest test that exists and is not switched off."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import ClassVar, Self

from adrkit.checks.certainty import bindings_of
from adrkit.checks.collected import why_not_run
from adrkit.checks.context import CheckContext
from adrkit.checks.hollow import why_hollow
from adrkit.checks.kinds.symbol import ELSEWHERE
from adrkit.checks.python_module import PythonModule
from adrkit.checks.switched_off import TestModule, why_switched_off
from adrkit.checks.table import CheckTable
from adrkit.checks.verdict import (
    CannotEvaluate,
    Evidence,
    MissingEvidence,
    Outcome,
    passed,
    violated,
)
from adrkit.project_files import checked_relative


@dataclass(frozen=True, slots=True)
class TestCheck:
    """``node``: a pytest node id, ``tests/test_x.py::TestClass::test_name``; brackets are ignored.

    ``marker``: the test, its class or its file must carry this marker. A test that is skipped or
    expected to fail without a condition, that says ``__test__ = False`` or begins with a
    ``return`` proves nothing: violated. So does one that does nothing, swallows what it asserts
    or is ``async`` without a plugin that runs it, also where a mark of another file or
    ``conftest.py`` is the reason. One whose name is bound again, or that ``importorskip`` may
    skip, is an error.
    """

    __test__ = False  # not itself a test class, whatever pytest thinks of its name

    file: str
    names: tuple[str, ...]
    marker: str

    kind: ClassVar[str] = "test"
    location_keys: ClassVar[frozenset[str]] = frozenset({"node"})

    @classmethod
    def read(cls, table: CheckTable) -> Self:
        node = table.text("node")
        path, *names = node.partition("[")[0].split("::")
        if not names or not all(name.isidentifier() for name in names):
            raise table.problem(f"{node!r} is no node id like tests/test_x.py::test_name", "node")
        return cls(checked_relative(path), tuple(names), table.find_text("marker") or "")

    @property
    def title(self) -> str:
        return "::".join((self.file, *self.names))

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.file,)

    def evaluate(self, context: CheckContext) -> Outcome:
        module = context.module(self.file)
        node = module.find(".".join(self.names))
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            raise MissingEvidence(
                f"there is no test {self.title}; {ELSEWHERE}", Evidence(context.place(self.file))
            )
        where = Evidence(self.file, node.lineno)
        self._require_one(module)
        if not self.names[-1].startswith("test"):
            raise CannotEvaluate(
                f"{self.title} is no test: pytest collects names that begin with test", where
            )
        reason = (
            why_switched_off(module, self.names)
            or why_hollow(TestModule(module), node)
            or why_not_run(context, module, self.names, node)
        )
        if reason:
            return violated(f"{self.title} {reason} and proves nothing", where)
        if self.marker and self.marker not in self._marks(module, node):
            return violated(f"{self.title} does not carry the marker {self.marker}", where)
        return passed(f"{self.title} exists", where)

    def _require_one(self, module: PythonModule) -> None:
        """Raises CannotEvaluate when the name is bound again, so that another thing is run."""
        defined = bindings_of(module.tree, self.names[0])
        for node in module.tree.body if defined else ():
            behind = node.lineno > defined[-1].line
            if behind and isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
                raise CannotEvaluate(
                    f"the star import on line {node.lineno} may bind {self.names[0]} again",
                    Evidence(self.file, node.lineno),
                )
        scope: ast.Module | ast.ClassDef | None = module.tree
        for depth, name in enumerate(self.names):
            if scope is None:
                return
            found = bindings_of(scope, name)
            if len(found) > 1:
                raise CannotEvaluate(
                    f"{name} is bound again on line {found[-1].line} ({found[-1].what}): "
                    "what runs is not this test",
                    Evidence(self.file, found[-1].line),
                )
            scope = module.class_of(".".join(self.names[: depth + 1]))

    def _marks(
        self, module: PythonModule, node: ast.FunctionDef | ast.AsyncFunctionDef
    ) -> set[str]:
        tests = TestModule(module)
        marks = [*node.decorator_list, *tests.pytestmark(module.tree.body)]
        for depth in range(1, len(self.names)):
            owner = module.class_of(".".join(self.names[:depth]))
            if owner is not None:
                marks += tests.marks(owner)
        return {tests.mark_name(mark) for mark in marks}
