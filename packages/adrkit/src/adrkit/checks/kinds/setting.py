"""``setting``: the value of a Python name, read from the syntax tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from adrkit.checks.certainty import doubts_of
from adrkit.checks.context import CheckContext
from adrkit.checks.environment import is_from_environment
from adrkit.checks.kinds.comparison import compared
from adrkit.checks.literals import value_of
from adrkit.checks.operators import ABSENT, Operator, shown
from adrkit.checks.table import CheckTable
from adrkit.checks.verdict import CannotEvaluate, Evidence, MissingEvidence, Outcome, judged
from adrkit.project_files import checked_relative


@dataclass(frozen=True, slots=True)
class SettingCheck:
    """``file``, ``attribute`` (``NAME``, ``Class.NAME``, ``app.conf.name``), operator and value.

    Defaults written as ``Field(3, ge=1)`` or ``field(default=3)`` are 3; names are followed within
    the file. The value must be certain: another binding of the name, a condition around it,
    ``del``, ``global``, a star import behind it, ``setattr``, ``globals()`` or a change in place is
    an error. So are fields of pydantic's ``BaseSettings``, which the environment sets, unless the
    check says ``default = true``: then it is about what holds where nothing is set.
    """

    file: str
    attribute: str
    operator: Operator
    value: Any
    default: bool = False

    kind: ClassVar[str] = "setting"
    location_keys: ClassVar[frozenset[str]] = frozenset({"file", "attribute", "default"})

    @classmethod
    def read(cls, table: CheckTable) -> Self:
        file, attribute = checked_relative(table.text("file")), table.text("attribute")
        if not all(part.isidentifier() for part in attribute.split(".")):
            raise table.problem(
                f"{attribute!r} is no name like `LIMIT` or `Class.limit`", "attribute"
            )
        return cls(file, attribute, *table.operator(), table.flag("default"))

    @property
    def title(self) -> str:
        wanted = f" {shown(self.value)}" if self.operator.needs_value else ""
        return f"{self.attribute} {self.operator.name}{wanted}"

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.file,)

    def evaluate(self, context: CheckContext) -> Outcome:
        module = context.module(self.file)
        if not self.operator.needs_value:
            node = module.find(self.attribute) or module.attribute_assignments(self.attribute)
            for doubt in doubts_of(module, self.attribute):
                if self.operator.name == "absent" and node:
                    break  # bound somehow: not absent
                raise CannotEvaluate(
                    f"whether {self.attribute} is there is not certain: {doubt.reason}",
                    Evidence(self.file, doubt.line),
                )
            there = "there" if node else "not there"
            return judged(
                self.operator.compare(node or ABSENT, None),
                f"{self.attribute} is {there}", Evidence(self.file, getattr(node, "lineno", None)),
            )  # fmt: skip
        try:
            value, line = value_of(module, self.attribute)
        except MissingEvidence as error:
            raise MissingEvidence(str(error), error.evidence or Evidence(self.file)) from error
        if not self.default and is_from_environment(context, module, self.attribute):
            raise CannotEvaluate(
                f"the environment may set {self.attribute}, whatever the file says; for what holds "
                "where nothing is set, say `default = true`",
                Evidence(self.file, line),
            )
        return compared(
            context, self.operator, value, self.value, self.attribute, Evidence(self.file, line)
        )
