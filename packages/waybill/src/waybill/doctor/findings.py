"""What the doctor finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from waybill.catalog import Catalog
from waybill.config import Settings


class Verdict(StrEnum):
    """How bad it is, from best to worst."""

    OK = "ok"
    NOTE = "note"
    """Good to know; could not be found out, for one."""
    WARNING = "warning"
    """It works, and something of it will hurt."""
    AWAY = "away"
    """It does not answer, which may pass by itself."""
    ERROR = "error"
    """It cannot work before somebody does something."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. Holds no secret: whoever asked may paste it anywhere.

    Attributes:
        check: its stable name, ``area.what``, for programs.
        verdict: how it is.
        sentence: the same for people.
        remedy: what to do; empty where nothing is to be done.
    """

    check: str
    verdict: Verdict
    sentence: str
    remedy: str = ""

    @property
    def area(self) -> str:
        return self.check.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Patient:
    """What is looked at.

    Attributes:
        settings: the service's.
        catalog: what may be exported; ``None`` if it does not load, which is said elsewhere.
    """

    settings: Settings
    catalog: Catalog | None = None


Examination = Callable[[Patient], Iterable[Finding]]
"""Looks at one area. Bounded in time by itself; an exception that it lets through is a defect."""


def worst(findings: Iterable[Finding]) -> Verdict:
    """Return the worst verdict; ``OK`` of none."""
    order = list(Verdict)
    return max((finding.verdict for finding in findings), key=order.index, default=Verdict.OK)


class Report:
    """Makes the findings of one area: ``yield report.ok("reachable", "…")``."""

    def __init__(self, area: str) -> None:
        self._area = area

    def ok(self, what: str, sentence: str) -> Finding:
        return Finding(f"{self._area}.{what}", Verdict.OK, sentence)

    def note(self, what: str, sentence: str, remedy: str = "") -> Finding:
        return Finding(f"{self._area}.{what}", Verdict.NOTE, sentence, remedy)

    def warning(self, what: str, sentence: str, remedy: str) -> Finding:
        return Finding(f"{self._area}.{what}", Verdict.WARNING, sentence, remedy)

    def away(self, what: str, sentence: str, remedy: str) -> Finding:
        return Finding(f"{self._area}.{what}", Verdict.AWAY, sentence, remedy)

    def error(self, what: str, sentence: str, remedy: str) -> Finding:
        return Finding(f"{self._area}.{what}", Verdict.ERROR, sentence, remedy)


def examined(area: str, examination: Examination, patient: Patient) -> Iterator[Finding]:
    """Yield an area's findings; a defect of ours in one area does not hide the others'."""
    try:
        yield from examination(patient)
    except Exception as exc:
        # The class alone: the text of a driver's error may quote a password.
        yield Report(area).error(
            "unexpected",
            f"The look at {area} failed in a way it should not ({type(exc).__name__}).",
            "Please report it, with what `waybill --debug doctor` prints.",
        )
