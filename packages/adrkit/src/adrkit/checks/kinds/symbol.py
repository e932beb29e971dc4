"""``symbol-exists``: a name that a Python file defines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from adrkit.checks.certainty import deleted
from adrkit.checks.context import CheckContext
from adrkit.checks.table import CheckTable
from adrkit.checks.verdict import Evidence, Outcome, passed, violated
from adrkit.project_files import checked_relative

#: Git follows files: of names it knows nothing.
ELSEWHERE = (
    "git follows files that were renamed, not names that went to another file: correct the place "
    "in the block, and say so in an `> **Amended YYYY-MM-DD:** …` line"
)


@dataclass(frozen=True, slots=True)
class SymbolExistsCheck:
    """``file``, ``symbol``: one or several of ``name``, ``Class.attribute``, ``Class.method``."""

    file: str
    symbol: tuple[str, ...]

    kind: ClassVar[str] = "symbol-exists"
    location_keys: ClassVar[frozenset[str]] = frozenset({"file", "symbol"})

    @classmethod
    def read(cls, table: CheckTable) -> Self:
        file, symbols = checked_relative(table.text("file")), table.texts("symbol")
        for symbol in symbols:
            if not all(part.isidentifier() for part in symbol.split(".")):
                raise table.problem(f"{symbol!r} is no name like `run` or `Class.run`", "symbol")
        return cls(file, symbols)

    @property
    def title(self) -> str:
        return f"{self.file} defines {', '.join(self.symbol)}"

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.file,)

    def evaluate(self, context: CheckContext) -> Outcome:
        module = context.module(self.file)
        line: int | None = None
        for symbol in self.symbol:
            node = module.find(symbol)
            if node is None:
                file = context.place(self.file)
                return violated(f"{file} defines no {symbol}; {ELSEWHERE}", Evidence(file))
            if gone := deleted(module, symbol):
                where = Evidence(context.place(self.file), gone)
                return violated(f"{where} deletes {symbol} again", where)
            line = line or getattr(node, "lineno", None)
        return passed(self.title, Evidence(self.file, line))
