"""``benchmark``: a measured number that a decision rests on, in the file the benchmark writes."""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from adrkit.checks.context import CheckContext
from adrkit.checks.data_files import parse_data
from adrkit.checks.operators import ABSENT, NUMERIC, OPERATORS, is_number
from adrkit.checks.pointer import find_pointer, pointer_problem
from adrkit.checks.table import CheckTable
from adrkit.checks.verdict import (
    CannotEvaluate,
    Evidence,
    MissingEvidence,
    Outcome,
    Verdict,
    passed,
    violated,
)
from adrkit.errors import GitCommandFailed
from adrkit.project_files import checked_relative

_SECONDS_PER_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class BenchmarkCheck:
    """``file`` (JSON), ``pointer``, ``operator``, and ``value`` or ``against`` with ``factor``.

    ``against`` is a pointer to another number of the file, multiplied by ``factor`` (1): "three
    times slower" is ``pointer = "/a", operator = ">=", against = "/b", factor = 3``.
    ``tolerance`` is a share of the limit: ``< 60`` with 0.05 allows up to 63. ``unit`` is shown,
    and held against the text at ``unit-pointer`` when that is given. ``max-age-days`` makes results
    stale: by the time at ``timestamp`` (ISO 8601 or seconds since 1970), else by the git commit
    that last changed the file.
    """

    file: str
    pointer: str
    operator: str
    value: float | None
    against: str
    factor: float
    tolerance: float
    unit: str
    unit_pointer: str
    max_age_days: float | None
    timestamp: str

    kind: ClassVar[str] = "benchmark"
    location_keys: ClassVar[frozenset[str]] = frozenset(
        {"file", "pointer", "against", "unit-pointer", "timestamp"}
    )

    @classmethod
    def read(cls, table: CheckTable) -> Self:
        pointers = {
            key: table.find_text(key) or ""
            for key in ("pointer", "against", "unit-pointer", "timestamp")
        }
        for key, pointer in pointers.items():
            if (pointer or key == "pointer") and (problem := pointer_problem(pointer)):
                raise table.problem(problem, key)
        operator = table.choice("operator", NUMERIC)
        if "operator" not in table.values:
            raise table.problem("the key `operator` is missing")
        value = table.find_number("value")
        if (value is None) == (not pointers["against"]):
            raise table.problem("give either `value` or `against`")
        factor = table.find_number("factor", above=0)
        if factor is not None and value is not None:
            raise table.problem("`factor` goes with `against`", "factor")
        unit = table.find_text("unit") or ""
        if pointers["unit-pointer"] and not unit:
            raise table.problem("`unit-pointer` needs a `unit` to compare with", "unit-pointer")
        tolerance = table.find_number("tolerance", at_least=0) or 0.0
        max_age = table.find_number("max-age-days", above=0)
        if pointers["timestamp"] and max_age is None:
            raise table.problem("`timestamp` goes with `max-age-days`", "timestamp")
        return cls(
            checked_relative(table.text("file")), pointers["pointer"], operator, value,
            pointers["against"], factor or 1.0, tolerance, unit, pointers["unit-pointer"],
            max_age, pointers["timestamp"],
        )  # fmt: skip

    @property
    def title(self) -> str:
        limit = f"{self.value:g}" if self.value is not None else f"{self.factor:g} × {self.against}"
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.file}{self.pointer} {self.operator} {limit}{unit}"

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.file,)

    def evaluate(self, context: CheckContext) -> Outcome:
        where = Evidence(self.file)
        data = parse_data(self.file, context.read(self.file), "json")
        found = self._number(data, self.pointer)
        limit = self.value
        if limit is None:
            limit = self._number(data, self.against) * self.factor
        if self.unit_pointer:
            written = find_pointer(data, self.unit_pointer)
            if written is ABSENT:
                raise MissingEvidence(f"{self.file} has nothing at {self.unit_pointer}", where)
            if written != self.unit:
                raise CannotEvaluate(f"{self.file} is in {written!r}, not in {self.unit!r}", where)
        unit = f" {self.unit}" if self.unit else ""
        allowed = f"{self.operator} {limit:g}{unit}"
        if self.tolerance:
            allowed += f" (tolerance {self.tolerance:g})"
        message = f"{self.pointer} is {found:g}{unit}"
        if not self._holds(found, limit):
            return violated(f"{message}, must be {allowed}", where)
        age = self._age_days(context, data)
        if age is not None and self.max_age_days is not None and age > self.max_age_days:
            return Outcome(
                Verdict.STALE,
                f"{message}, but was measured {age:.0f} days ago, at most {self.max_age_days:g} "
                "are allowed: measure again",
                where,
            )
        return passed(f"{message}, {allowed}", where)

    def _number(self, data: Any, pointer: str) -> float:
        found = find_pointer(data, pointer)
        if found is ABSENT or found is None:
            raise MissingEvidence(f"{self.file} has nothing at {pointer}", Evidence(self.file))
        if not is_number(found) or not math.isfinite(found):
            raise CannotEvaluate(f"{self.file} {pointer} is no finite number", Evidence(self.file))
        return float(found)

    def _holds(self, found: float, limit: float) -> bool:
        slack = abs(limit) * self.tolerance
        if self.operator == "==":
            return abs(found - limit) <= slack
        if self.operator == "!=":
            return abs(found - limit) > slack
        return OPERATORS[self.operator].compare(
            found, limit + slack if self.operator.startswith("<") else limit - slack
        )

    def _age_days(self, context: CheckContext, data: Any) -> float | None:
        if self.max_age_days is None:
            return None
        if self.timestamp:
            measured = self._timestamp(find_pointer(data, self.timestamp))
        else:
            measured = self._committed(context)
        age = (context.now - measured).total_seconds() / _SECONDS_PER_DAY
        if age < -1:
            raise CannotEvaluate(
                f"{self.file} was measured in the future ({measured:%Y-%m-%d})", Evidence(self.file)
            )
        return age

    def _timestamp(self, value: Any) -> datetime.datetime:
        where = Evidence(self.file)
        if value is ABSENT or value is None:
            raise MissingEvidence(f"{self.file} has no time at {self.timestamp}", where)
        try:
            if is_number(value):
                return datetime.datetime.fromtimestamp(value, datetime.UTC)
            measured = datetime.datetime.fromisoformat(value)
        except (TypeError, ValueError, OverflowError, OSError) as error:
            raise CannotEvaluate(
                f"{self.file} {self.timestamp} is no time in ISO 8601: {value!r}", where
            ) from error
        return measured if measured.tzinfo else measured.replace(tzinfo=datetime.UTC)

    def _committed(self, context: CheckContext) -> datetime.datetime:
        where = Evidence(self.file)
        if context.git is None:
            raise CannotEvaluate("its age is not known without git: give `timestamp`", where)
        try:
            path = context.git.relative(context.files.resolve(self.file))
            stamp = b""
            if context.git.head().commit is not None:
                stamp = context.git.run("log", "-1", "--format=%ct", "--", path).strip()
        except (GitCommandFailed, ValueError) as error:
            raise CannotEvaluate(f"git does not know the age of {self.file}", where) from error
        if not stamp:
            raise MissingEvidence(
                f"{self.file} was never committed, so its age is not known: give `timestamp`", where
            )
        return datetime.datetime.fromtimestamp(int(stamp), datetime.UTC)
