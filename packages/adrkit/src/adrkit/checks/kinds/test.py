"""``test``: a pytest test that exists and is not switched off."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from adrkit.checks.context import CheckContext
from adrkit.checks.kinds.symbol import ELSEWHERE
from adrkit.checks.python_module import bindings, dotted_name
from adrkit.checks.table import CheckTable
from adrkit.checks.verdict import Evidence, MissingEvidence, Outcome, passed, violated
from adrkit.project_files import checked_relative

_SWITCHED_OFF = {"skip", "xfail"}


@dataclass(frozen=True, slots=True)
class TestCheck:
    """``node``: a pytest node id, ``tests/test_x.py::TestClass::test_name``; brackets are ignored.

    ``marker``: the test, its class or its file must carry this marker. A test that is skipped or
    expected to fail without a condition proves nothing: violated.
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
        marks = {*_marks_of(node), *_module_marks(module.tree.body)}
        for depth in range(1, len(self.names)):
            found = module.class_of(".".join(self.names[:depth]))
            if found is not None:
                marks |= {*_marks_of(found), *_module_marks(found.body)}
        if off := sorted(marks & _SWITCHED_OFF):
            return violated(f"{self.title} is marked {off[0]} and proves nothing", where)
        if self.marker and self.marker not in marks:
            return violated(f"{self.title} does not carry the marker {self.marker}", where)
        return passed(f"{self.title} exists", where)


def _marks_of(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Iterator[str]:
    for decorator in node.decorator_list:
        yield from _mark(decorator)


def _module_marks(body: Sequence[ast.stmt]) -> Iterator[str]:
    for found in bindings(body):
        if found.name == "pytestmark" and found.value is not None:
            listed = isinstance(found.value, ast.List | ast.Tuple)
            for item in found.value.elts if listed else [found.value]:  # type: ignore[attr-defined]
                yield from _mark(item)


def _mark(node: ast.expr) -> Iterator[str]:
    """ "slow" of ``pytest.mark.slow`` and ``pytest.mark.slow(…)``; an ``xfail`` with a condition
    as first argument may still run and prove something."""
    call = node if isinstance(node, ast.Call) else None
    name = dotted_name(call.func if call else node) or ""
    _, found, mark = name.rpartition("mark.")
    if found and not (mark == "xfail" and call and call.args):
        yield mark
