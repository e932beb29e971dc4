"""The reports of ``reports.toml``, and the page that shows them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

HERE = Path(__file__).parent
TESTS = HERE.parent
ROOT = TESTS.parents[2]
GUIDE = ROOT / "docs" / "museum.md"

_INTRODUCTION = """# The museum of failures

What went wrong with exports elsewhere, in public, and what waybill makes of the same. `make museum`
replays each on real servers, prints a line for each and ends with `museum: N reports, N exact, N
refused visibly, 0 wrong`; the same tests run with every change. *Exact*: the file arrives whole.
*Refused visibly*: there is no file, and words that say why.

| report | what was reported | what is done here | what comes out |
|---|---|---|---|
"""
_OUTCOMES = {"exact": "exact", "refused": "refused visibly"}


@dataclass(frozen=True)
class Report:
    """``source``: ``owner/repository#number`` on GitHub. ``users``: so many are exported too."""

    source: str
    complaint: str
    replayed: str
    outcome: Literal["exact", "refused"]
    tests: tuple[str, ...]
    users: int = 0

    @property
    def url(self) -> str:
        repository, _, number = self.source.partition("#")
        return f"https://github.com/{repository}/issues/{number}"

    @property
    def words(self) -> str:
        return _OUTCOMES[self.outcome]


def load() -> list[Report]:
    document = tomllib.loads((HERE / "reports.toml").read_text("utf-8"))
    return [Report(**{**each, "tests": tuple(each["tests"])}) for each in document["report"]]


def page(reports: list[Report]) -> str:
    """Return ``docs/museum.md``."""
    rows = [
        f"| [{each.source}]({each.url}) | {each.complaint} | {each.replayed} | {each.words} |\n"
        for each in reports
    ]
    return _INTRODUCTION + "".join(rows)
