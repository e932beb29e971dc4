"""How urgent the exports of a type are, and what they may expect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Urgency = Literal["high", "low", "throttled"]


@dataclass(frozen=True, slots=True)
class Objectives:
    """What 99 in 100 exports of an urgency are to keep to."""

    waiting_seconds: float
    run_seconds: float


OBJECTIVES_OF: Final[Mapping[Urgency, Objectives]] = {
    "high": Objectives(waiting_seconds=10, run_seconds=60),
    "low": Objectives(waiting_seconds=60, run_seconds=300),
    # They may wait for the night: nobody is woken for them.
    "throttled": Objectives(waiting_seconds=24 * 3600, run_seconds=4 * 3600),
}
