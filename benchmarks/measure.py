"""Figures of processes, and of repeated runs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil


@dataclass(frozen=True)
class Summary:
    """Median and range of repeated measurements."""

    median: float
    minimum: float
    maximum: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary:
        return cls(
            round(statistics.median(values), 3),
            round(min(values), 3),
            round(max(values), 3),
            len(values),
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def peak_mib(pid: int) -> float:
    """Return the highest resident size a process ever had (VmHWM), in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM"):
            return round(int(line.split()[1]) / 1024, 1)
    raise RuntimeError(f"/proc/{pid}/status has no VmHWM")


def process_tree(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    parent = psutil.Process(pid)
    return [pid, *(child.pid for child in parent.children(recursive=True))]


def cpu_seconds(pid: int) -> float:
    """Return the user and system seconds of a process, its threads and its ended children."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system + times.children_user + times.children_system
