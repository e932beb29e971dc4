"""Version ranges of npm and Cargo, and semantic versions (Go).

A range is a union of half-open intervals between releases ``(major, minor, patch)``: without
pre-releases, ``>1.2.3`` is ``>=1.2.4`` and nothing is lost. Ranges that name a pre-release follow
rules of their own in each tool; whether they lie in another range is not decided here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from adrkit.checks.verdict import CannotEvaluate, Evidence

Release = tuple[int, int, int]
#: From, to (excluded); None has no end.
Interval = tuple[Release, Release | None]

_PART = re.compile(
    r"(?P<operator>[~^]|~>|[<>]=?|=)?\s*v?"
    r"(?P<version>[0-9]+|[xX*])(?:\.(?P<minor>[0-9]+|[xX*]))?(?:\.(?P<patch>[0-9]+|[xX*]))?"
    r"(?P<pre>-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?"
)
_SPACED = re.compile(r"([~^]|~>|[<>]=?|=)\s+")
_EXACT = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")
_ZERO: Release = (0, 0, 0)


class NoRange(ValueError):
    """Text that is no version range."""


class PreRelease(ValueError):
    """A range that names a pre-release."""


def npm_range(text: str) -> tuple[Interval, ...]:
    """``^1.2 || >=3 <4``, ``1.2 - 2``, ``1.x``. Raises NoRange or PreRelease."""
    found: list[Interval] = []
    for alternative in text.split("||"):
        hyphen = re.fullmatch(r"\s*(\S+)\s+-\s+(\S+)\s*", alternative)
        parts = [f">={hyphen[1]}", f"<={hyphen[2]}"] if hyphen else _words(alternative)
        found += _all(parts, bare="=")
    return tuple(found)


def cargo_range(text: str) -> tuple[Interval, ...]:
    """``1.2`` (a caret), ``>=1, <3``, ``=1.2.3``. Raises NoRange or PreRelease."""
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise NoRange(text)
    return tuple(_all(parts, bare="^"))


def wanted_range(text: str, *, bare: str) -> tuple[Interval, ...]:
    """The range of a check: npm's, in which commas may stand for "and"."""
    found: list[Interval] = []
    for alternative in text.split("||"):
        hyphen = re.fullmatch(r"\s*(\S+)\s+-\s+(\S+)\s*", alternative)
        parts = [f">={hyphen[1]}", f"<={hyphen[2]}"] if hyphen else []
        found += _all(parts or _words(alternative.replace(",", " ")), bare=bare)
    if not found:
        raise NoRange(text)
    return tuple(found)


def range_problem(text: str) -> str | None:
    try:
        wanted_range(text, bare="=")
    except PreRelease:
        return f"{text!r} names a pre-release: what lies in it differs from tool to tool"
    except NoRange:
        return f"{text!r} is no version range like ^18.2 or >=1.4 <2"
    return None


def overlap(first: str, second: str) -> bool:
    return any(
        (end is None or low < end) and (high is None or start < high)
        for low, high in wanted_range(first, bare="=")
        for start, end in wanted_range(second, bare="=")
    )


def _words(text: str) -> list[str]:
    return _SPACED.sub(r"\1", text.strip()).split() or ["*"]


def _all(parts: Sequence[str], *, bare: str) -> list[Interval]:
    """The intersection; empty when nothing can satisfy it."""
    low, high = _ZERO, None
    for part in parts:
        start, end = _interval(part, bare)
        low = max(low, start)
        high = end if high is None else high if end is None else min(high, end)
    return [] if high is not None and high <= low else [(low, high)]


def _interval(part: str, bare: str) -> Interval:
    match = _PART.fullmatch(part)
    if match is None:
        raise NoRange(part)
    if match["pre"]:
        raise PreRelease(part)
    numbers: list[int] = []
    for text in (match["version"], match["minor"], match["patch"]):
        if text is None or text in "xX*":
            break
        numbers.append(int(text))
    operator = match["operator"] or bare
    padded = numbers + [0] * (3 - len(numbers))
    start: Release = (padded[0], padded[1], padded[2])
    if not numbers:  # `*`, `>=*`; nothing is above or below everything
        return (_ZERO, _ZERO) if operator in ("<", ">") else (_ZERO, None)
    behind = _bumped(numbers)
    if operator == ">=":
        return start, None
    if operator == ">":
        return behind, None
    if operator == "<":
        return _ZERO, start
    if operator == "<=":
        return _ZERO, behind
    if operator == "=":
        return start, behind
    if operator == "^":
        first = next((i for i, number in enumerate(numbers) if number), len(numbers) - 1)
        return start, _bumped(numbers[: first + 1])
    return start, _bumped(numbers[:2])  # a tilde


def _bumped(numbers: list[int]) -> Release:
    """The first release behind all that begin with ``numbers``."""
    next_one = [*numbers[:-1], numbers[-1] + 1, 0, 0]
    return next_one[0], next_one[1], next_one[2]


def is_within(declared: Sequence[Interval], wanted: Sequence[Interval]) -> bool:
    joined: list[Interval] = []
    for low, high in sorted(wanted, key=lambda interval: interval[0]):
        if joined and (joined[-1][1] is None or joined[-1][1] >= low):
            before, end = joined[-1]
            both_end = end is not None and high is not None
            joined[-1] = before, max(end, high) if both_end else None  # type: ignore[type-var]
        else:
            joined.append((low, high))
    return all(
        any(
            start <= low and (end is None or (high is not None and high <= end))
            for start, end in joined
        )
        for low, high in declared
    )


@dataclass(frozen=True, slots=True)
class SemverRange:
    """``bare`` is what a version without an operator means: "=" (npm) or "^" (Cargo)."""

    intervals: tuple[Interval, ...]
    bare: str

    def within(self, wanted: str) -> bool:
        return is_within(self.intervals, wanted_range(wanted, bare=self.bare))


@dataclass(frozen=True, slots=True)
class ExactVersion:
    """One version, a pre-release perhaps, in the order of semver.org. ``at_least``: or a later
    one of the same major version."""

    version: str
    evidence: Evidence
    at_least: bool = False

    def within(self, wanted: str) -> bool:
        """Raises CannotEvaluate."""
        match = _EXACT.fullmatch(self.version)
        if match is None:
            raise CannotEvaluate(
                f"{self.evidence}: {self.version} is no semantic version", self.evidence
            )
        release: Release = (int(match[1]), int(match[2]), int(match[3]))
        intervals = wanted_range(wanted, bare="=")
        if self.at_least:
            if match[4]:
                raise CannotEvaluate(
                    f"{self.evidence}: {self.version} is a pre-release, and later ones may be used",
                    self.evidence,
                )
            return is_within([(release, _bumped([release[0]]))], intervals)
        below = 0 if match[4] else 1  # a pre-release comes before its release
        point = (*release, below)
        return any(
            (*low, 1) <= point and (high is None or point < (*high, 1)) for low, high in intervals
        )
