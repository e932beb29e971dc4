"""What the application's own tasks did, and what of it would not have happened without us.

Each process appends a line for each task that is sent, received, begun and ended, so that two runs
of one task are two lines, whatever became of their results.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

_MARGIN_SECONDS: Final = 1.0
"""Between what happens and the line that says so."""


class Entry(NamedTuple):
    """A line: ``what`` is ``sent``, ``received``, ``begun`` or ``ended``."""

    what: str
    task: str
    at: float


def note(path: Path, what: str, task: str) -> None:
    """Append a line; whole, as it is one write to a file that is open for appending."""
    line = json.dumps([what, task, time.time()]) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def read(path: Path) -> list[Entry]:
    """Return all lines so far."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [Entry(*json.loads(line)) for line in text.splitlines()]


@dataclass(slots=True)
class Tally:
    """What became of the tasks.

    ``again`` are runs of a task that was under way, unacknowledged, when Redis was killed: the
    worker's answer is lost with its connection, and whoever has the message then sends it again.
    Celery does that by itself. ``twice`` are all others.
    """

    tasks: int = 0
    lost: int = 0
    again: int = 0
    twice: int = 0
    under_way: int = 0
    """Tasks that were under way at a kill of Redis."""
    problems: list[str] = field(default_factory=list)


def judge(entries: Iterable[Entry], kills: Sequence[float]) -> Tally:
    """Count the tasks of a diary.

    Args:
        entries: in any order.
        kills: when Redis was killed.
    """
    by_task: defaultdict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for entry in entries:
        by_task[entry.task][entry.what].append(entry.at)
    tally = Tally(tasks=len(by_task))
    for task, times in by_task.items():
        begun, ended = sorted(times["begun"]), sorted(times["ended"])
        if not ended:
            tally.lost += 1
            tally.problems.append(f"{task}: was sent, begun {len(begun)} times, and never ended")
            continue
        # From when a worker has the message until it is acknowledged.
        since = min([*times["received"], *begun], default=ended[0]) - _MARGIN_SECONDS
        met = [kill for kill in kills if since <= kill <= ended[0] + _MARGIN_SECONDS]
        tally.under_way += bool(met)
        for further in begun[1:]:
            if any(kill <= further for kill in met):
                tally.again += 1
            else:
                tally.twice += 1
                tally.problems.append(f"{task}: ran again, {further - begun[0]:.1f} s later")
    return tally


def unfinished(entries: Iterable[Entry]) -> int:
    """Return how many tasks were sent or begun and have not ended."""
    seen: Counter[str] = Counter()
    for entry in entries:
        seen[entry.task] = max(seen[entry.task], 1 + (entry.what == "ended"))
    return sum(1 for stage in seen.values() if stage == 1)
