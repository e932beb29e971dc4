"""What is wrong with a catalog file, as data; the class writes the message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from waybill.catalog.locate import Position
from waybill.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem; ``position`` is ``None`` where the file as a whole is meant."""

    position: Position | None
    message: str


class CatalogFileError(ConfigurationError):
    """A catalog file does not hold; ``problems`` are all of them, in the order of the file."""

    def __init__(self, path: str, problems: Sequence[Problem]) -> None:
        self.path = path
        self.problems = tuple(problems)
        lines = [f"{self._place(problem)}: {problem.message}" for problem in problems]
        if len(lines) > 1:
            lines = [f"{path} has {len(lines)} problems:", *(f"  {line}" for line in lines)]
        super().__init__("\n".join(lines))

    def _place(self, problem: Problem) -> str:
        if problem.position is None:
            return self.path
        return f"{self.path}:{problem.position.line}:{problem.position.column}"
