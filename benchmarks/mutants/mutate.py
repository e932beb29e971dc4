"""The mutants of a module: cosmic-ray's operators, each applied once to one place.

Left out are operators that make what nobody would write by mistake (``**`` for ``+``, ``is`` for
``<``), those that a type checker or an import finds, and ``|`` and ``&``, which here are types and
sets. For each comparison there is its negation and its neighbour.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, pairwise

from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator

OPERATORS = (
    "AddNot",
    "NumberReplacer",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceUnaryOperator_Delete_USub",
    "ReplaceUnaryOperator_Delete_Invert",
    "ZeroIterationForLoop",
    "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_Sub_Add",
    "ReplaceBinaryOperator_Mul_FloorDiv",
    "ReplaceBinaryOperator_FloorDiv_Mul",
    "ReplaceBinaryOperator_Div_Mul",
    "ReplaceBinaryOperator_Mod_Add",
    "ReplaceComparisonOperator_Eq_NotEq",
    "ReplaceComparisonOperator_NotEq_Eq",
    "ReplaceComparisonOperator_Lt_LtE",
    "ReplaceComparisonOperator_Lt_GtE",
    "ReplaceComparisonOperator_LtE_Lt",
    "ReplaceComparisonOperator_LtE_Gt",
    "ReplaceComparisonOperator_Gt_GtE",
    "ReplaceComparisonOperator_Gt_LtE",
    "ReplaceComparisonOperator_GtE_Gt",
    "ReplaceComparisonOperator_GtE_Lt",
    "ReplaceComparisonOperator_Is_IsNot",
    "ReplaceComparisonOperator_IsNot_Is",
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one module. ``before`` and ``after`` are the lines that differ, stripped: by
    them a mutant is known, so that edits elsewhere in the file change nothing. ``nth`` counts
    mutants of the same lines, from 1."""

    code: str
    line: int
    before: str
    after: str
    nth: int = 1

    @property
    def name(self) -> str:
        nth = f" (#{self.nth})" if self.nth > 1 else ""
        return f"{self.before} -> {self.after}{nth}"


def mutants_of(source: str) -> Iterator[Mutant]:
    """Yield every mutant that is still Python, once each."""
    codes: set[str] = set()
    seen: dict[tuple[str, str], int] = {}
    statements = list(_statements(source))
    for name in OPERATORS:
        operator = get_operator(f"core/{name}")()
        for code in _changed(statements, operator):
            if code in codes or code == source or not _is_python(code):
                continue
            codes.add(code)
            line, before, after = _difference(source, code)
            nth = seen[before, after] = seen.get((before, after), 0) + 1
            yield Mutant(code, line, before, after, nth)


def _statements(source: str) -> Iterator[str]:
    """Cut a module before each of its statements: a change parses one of them and not the file."""
    lines = source.splitlines(keepends=True)
    starts = [
        min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))]) - 1
        for node in ast.parse(source).body
    ]
    for low, high in pairwise(sorted({0, *starts, len(lines)})):
        yield "".join(lines[low:high])


def _changed(statements: list[str], operator: Operator) -> Iterator[str]:
    for index, statement in enumerate(statements):
        before, after = "".join(statements[:index]), "".join(statements[index + 1 :])
        for occurrence in count():
            changed = mutate_code(statement, operator, occurrence)
            if changed is None:
                break
            yield f"{before}{changed}{after}"


def _is_python(code: str) -> bool:
    try:
        compile(code, "mutant", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def _difference(source: str, code: str) -> tuple[int, str, str]:
    old, new = source.splitlines(), code.splitlines()
    low, end = 0, 0
    shorter = min(len(old), len(new))
    while low < shorter and old[low] == new[low]:
        low += 1
    while end < shorter - low and old[-1 - end] == new[-1 - end]:
        end += 1
    return low + 1, _joined(old[low : len(old) - end]), _joined(new[low : len(new) - end])


def _joined(lines: list[str]) -> str:
    return " ".join(" ".join(line.split()) for line in lines)


def drawn(mutants: list[Mutant], size: int, seed: int) -> list[Mutant]:
    """Return a sample in the file's order. Each mutant's lot is drawn by the seed and its own
    name, so an edit elsewhere changes nobody else's, and a larger sample holds the smaller."""

    def lot(mutant: Mutant) -> bytes:
        return hashlib.sha256(f"{seed} {mutant.name}".encode()).digest()

    chosen = sorted(mutants, key=lot)[:size]
    return sorted(chosen, key=lambda mutant: mutant.line)


def digest(*texts: bytes) -> str:
    """What results depend on, in 16 characters."""
    whole = hashlib.sha256("\n".join(OPERATORS).encode())
    for text in texts:
        whole.update(b"\0" + text)
    return whole.hexdigest()[:16]
