"""``config``: a value in a TOML, YAML, JSON, INI or ``.env`` file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from adrkit.checks.context import CheckContext
from adrkit.checks.data_files import FORMATS, format_of, parse_data
from adrkit.checks.env_files import Uncertain
from adrkit.checks.kinds.comparison import compared
from adrkit.checks.operators import ABSENT, Operator, is_number, shown
from adrkit.checks.pointer import find_pointer, pointer_problem
from adrkit.checks.table import CheckTable
from adrkit.checks.verdict import CannotEvaluate, Evidence, MissingEvidence, Outcome, judged
from adrkit.project_files import checked_relative

_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class ConfigCheck:
    """``file``, ``pointer`` (RFC 6901: ``/tool/ruff/line-length``), ``operator``, ``value``.

    The format is the file's ending's unless ``format`` says otherwise. In INI files the pointer is
    ``/section/key``, in ``.env`` files ``/KEY``, and a text that is a number compares as one.

    ``document`` names one of several in a YAML file: ``"Deployment/web"``,
    ``"Deployment/shop/web"`` with its namespace, or an index from 0 (empty ones are not counted).
    Several documents without it, or several of that name, are an error. In ``.env`` files, what
    programs read differently is an error: ``$`` that is filled in, backslashes, blanks around
    ``=``, a quote in the middle.
    """

    file: str
    pointer: str
    format: str
    document: str | int | None
    operator: Operator
    value: Any

    kind: ClassVar[str] = "config"
    location_keys: ClassVar[frozenset[str]] = frozenset({"file", "pointer", "format", "document"})

    @classmethod
    def read(cls, table: CheckTable) -> Self:
        file, pointer = checked_relative(table.text("file")), table.text("pointer")
        if problem := pointer_problem(pointer):
            raise table.problem(problem, "pointer")
        names = tuple(dict.fromkeys(FORMATS.values()))
        chosen = table.find_text("format") or format_of(file)
        if chosen not in names:
            raise table.problem(f"the format of {file} is not known; `format` may be {names}")
        document = table.find_text_or_index("document")
        if document is not None and chosen != "yaml":
            raise table.problem("`document` is for YAML files", "document")
        return cls(file, pointer, chosen, document, *table.operator())

    @property
    def title(self) -> str:
        wanted = f" {shown(self.value)}" if self.operator.needs_value else ""
        chosen = "" if self.document is None else f" {self.document} "
        return f"{self.file}{chosen}{self.pointer} {self.operator.name}{wanted}"

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.file,)

    def evaluate(self, context: CheckContext) -> Outcome:
        data = parse_data(self.file, context.read(self.file), self.format, self.document)
        found = find_pointer(data, self.pointer)
        where = Evidence(self.file)
        what = " ".join(
            str(part) for part in (self.file, self.document, self.pointer) if part is not None
        )
        if isinstance(found, Uncertain):
            raise CannotEvaluate(
                f"{what} is not certain: {found.reason}", Evidence(self.file, found.line)
            )
        if not self.operator.needs_value:
            there = "not there" if found is ABSENT else f"there ({shown(found)})"
            return judged(self.operator.compare(found, None), f"{what} is {there}", where)
        if found is ABSENT:
            raise MissingEvidence(f"{what} is not there", where)
        if self.format in ("ini", "env") and isinstance(found, str) and _NUMBER.fullmatch(found):
            number = float(found) if "." in found else int(found)
            found = number if is_number(self.value) else found
        return compared(context, self.operator, found, self.value, what, where)
