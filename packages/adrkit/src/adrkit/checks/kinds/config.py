"""``config``: a value in a TOML, YAML, JSON or INI file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, ClassVar, Self

from adrkit.checks.context import CheckContext
from adrkit.checks.data_files import FORMATS, parse_data
from adrkit.checks.kinds.comparison import compared
from adrkit.checks.operators import ABSENT, Operator, is_number, shown
from adrkit.checks.pointer import find_pointer, pointer_problem
from adrkit.checks.table import CheckTable
from adrkit.checks.verdict import Evidence, MissingEvidence, Outcome, judged
from adrkit.project_files import checked_relative

_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class ConfigCheck:
    """``file``, ``pointer`` (RFC 6901: ``/tool/ruff/line-length``), ``operator``, ``value``.

    The format is the file's ending's unless ``format`` says otherwise. In INI files the pointer is
    ``/section/key``, and a text that is a number compares as one.
    """

    file: str
    pointer: str
    format: str
    operator: Operator
    value: Any

    kind: ClassVar[str] = "config"
    location_keys: ClassVar[frozenset[str]] = frozenset({"file", "pointer", "format"})

    @classmethod
    def read(cls, table: CheckTable) -> Self:
        file, pointer = checked_relative(table.text("file")), table.text("pointer")
        if problem := pointer_problem(pointer):
            raise table.problem(problem, "pointer")
        ending = FORMATS.get(PurePosixPath(file).suffix.casefold(), "")
        names = tuple(dict.fromkeys(FORMATS.values()))
        chosen = table.find_text("format") or ending
        if chosen not in names:
            raise table.problem(f"the format of {file} is not known; `format` may be {names}")
        return cls(file, pointer, chosen, *table.operator())

    @property
    def title(self) -> str:
        wanted = f" {shown(self.value)}" if self.operator.needs_value else ""
        return f"{self.file}{self.pointer} {self.operator.name}{wanted}"

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.file,)

    def evaluate(self, context: CheckContext) -> Outcome:
        data = parse_data(self.file, context.read(self.file), self.format)
        found = find_pointer(data, self.pointer)
        where = Evidence(self.file)
        what = f"{self.file} {self.pointer}"
        if not self.operator.needs_value:
            there = "not there" if found is ABSENT else f"there ({shown(found)})"
            return judged(self.operator.compare(found, None), f"{what} is {there}", where)
        if found is ABSENT:
            raise MissingEvidence(f"{what} is not there", where)
        if self.format == "ini" and isinstance(found, str) and _NUMBER.fullmatch(found):
            number = float(found) if "." in found else int(found)
            found = number if is_number(self.value) else found
        return compared(context, self.operator, found, self.value, what, where)
