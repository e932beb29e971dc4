"""``regex``: text that files must, or must not, contain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from adrkit.checks.context import CheckContext
from adrkit.checks.patterns import pattern_problem
from adrkit.checks.table import CheckTable
from adrkit.checks.verdict import Evidence, Outcome, passed, violated
from adrkit.project_files import checked_relative


@dataclass(frozen=True, slots=True)
class RegexCheck:
    """``files`` (globs), ``except`` (globs), ``pattern``, ``expect``.

    ``expect``: "match" (the default; one file is enough), "each" (every file) or "no-match".
    ``^`` and ``$`` match at every line. Patterns are those of Python's ``re``; ``[[:alpha:]]`` and
    ``{e<=1}`` are refused.
    """

    files: tuple[str, ...]
    excluded: tuple[str, ...]
    pattern: str
    expect: str

    kind: ClassVar[str] = "regex"
    location_keys: ClassVar[frozenset[str]] = frozenset({"files"})

    @classmethod
    def read(cls, table: CheckTable) -> Self:
        files = tuple(checked_relative(path) for path in table.texts("files"))
        excluded = tuple(checked_relative(path) for path in table.texts("except", required=False))
        pattern = table.text("pattern")
        if (problem := pattern_problem(pattern)) is not None:
            raise table.problem(f"`pattern` is {problem}", "pattern")
        return cls(files, excluded, pattern, table.choice("expect", ("match", "each", "no-match")))

    @property
    def title(self) -> str:
        verb = {"match": "match", "each": "each match", "no-match": "do not match"}[self.expect]
        return f"{', '.join(self.files)} {verb} {self.pattern}"

    @property
    def paths(self) -> tuple[str, ...]:
        return self.files

    def evaluate(self, context: CheckContext) -> Outcome:
        names = context.find(self.files, self.excluded)
        answer = context.patterns.search_files(
            self.pattern, ((name, context.read(name)) for name in names)
        )
        first = answer.matches[0] if answer.matches else None
        where = Evidence(names[first.index], first.line) if first else None
        shown = f"`{self.pattern}`"
        if self.expect == "no-match":
            if first is not None and where is not None:
                more = f" and {len(answer.matches) - 1} more files" if answer.matches[1:] else ""
                return violated(f"{where}{more} match {shown}: {first.text.strip()!r}", where)
            return passed(f"none of {len(names)} files matches {shown}")
        if self.expect == "each" and answer.unmatched:
            lacking = names[answer.unmatched[0]]
            return violated(
                f"{lacking} does not match {shown} ({len(answer.unmatched)} of {len(names)} files)",
                Evidence(lacking),
            )
        if first is None:
            return violated(f"none of {len(names)} files matches {shown}", Evidence(names[0]))
        return passed(f"{where} matches {shown}", where)
