"""Figures of processes, and of repeated runs.

CPU seconds are those of whole process groups, children that ended included. Memory is the sum of
the group's proportional set sizes (PSS), looked at ten times a second: pages that a worker shares
with its child count once. ``VmHWM`` of single processes stands beside it; it misses nothing, but
counts shared pages again in every process.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

_SAMPLE_SECONDS = 0.1
_MIB = 2**20


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
            round(statistics.median(values), 4),
            round(min(values), 4),
            round(max(values), 4),
            len(values),
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Measurement:
    """One run of one work. ``cpu``: seconds by process group; ``peak_mib``: of the work's own
    processes together; ``bytes``: what was delivered; ``extra``: what only this work has."""

    seconds: float
    cpu: dict[str, float] = field(default_factory=dict)
    peak_mib: float | None = None
    largest_process_mib: float | None = None
    bytes: int | None = None
    extra: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "seconds": round(self.seconds, 4),
            "cpu": {name: round(value, 3) for name, value in self.cpu.items()},
            "peak_mib": self.peak_mib and round(self.peak_mib, 1),
            "largest_process_mib": self.largest_process_mib and round(self.largest_process_mib, 1),
            "bytes": self.bytes,
            **{name: round(value, 4) for name, value in self.extra.items()},
        }


def process_tree(pid: int) -> list[psutil.Process]:
    """Return a process and all its descendants; those that just ended are missing."""
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    return []


def cpu_seconds(pid: int) -> float:
    """Return the seconds a tree has used so far, its ended processes included.

    A process that ends hands its seconds to its parent, so the sum never falls.
    """
    total = 0.0
    for process in process_tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def _status_mib(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _pss_mib(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except PermissionError:
        return _status_mib(pid, "VmRSS")
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def largest_process_mib(pid: int) -> float:
    """Return the highest resident size that any process of the tree ever had (VmHWM)."""
    peaks = [0.0]
    for process in process_tree(pid):
        with contextlib.suppress(OSError):
            peaks.append(_status_mib(process.pid, "VmHWM"))
    return max(peaks)


class PeakMemory:
    """Watches the memory of process trees for a block; ``mib`` is the highest sum seen."""

    def __init__(self, *pids: int) -> None:
        self.mib = 0.0
        self._pids = pids
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self._look()
            if self._stopped.wait(_SAMPLE_SECONDS):
                return

    def _look(self) -> None:
        total = 0.0
        for pid in self._pids:
            for process in process_tree(pid):
                with contextlib.suppress(OSError):
                    total += _pss_mib(process.pid)
        self.mib = max(self.mib, total)


class CpuMeter:
    """The CPU seconds that named process trees use in a block."""

    def __init__(self, groups: Mapping[str, Iterable[int]]) -> None:
        self._groups = {name: tuple(pids) for name, pids in groups.items()}
        self._before = self._read()
        self.seconds: dict[str, float] = {}

    def stop(self) -> dict[str, float]:
        after = self._read()
        self.seconds = {name: after[name] - self._before[name] for name in after}
        return self.seconds

    def _read(self) -> dict[str, float]:
        return {name: sum(map(cpu_seconds, pids)) for name, pids in self._groups.items()}


class ProcessFailed(Exception):
    """A peer ended badly."""


def run_process(
    command: Sequence[str], env: Mapping[str, str], *, meter: Callable[[], CpuMeter], timeout: float
) -> tuple[Measurement, str]:
    """Run a process to its end and measure it, its children included; returns its output too.

    Raises:
        ProcessFailed: it took longer than ``timeout`` seconds or ended with another status than 0.
    """
    cpu = meter()
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    killer = threading.Timer(timeout, _kill_group, [process.pid])
    killer.start()
    output: dict[str, str] = {}
    readers = [
        threading.Thread(target=lambda n=name, s=stream: output.update({n: s.read()}), daemon=True)
        for name, stream in (("out", process.stdout), ("err", process.stderr))
    ]
    for reader in readers:
        reader.start()
    try:
        with PeakMemory(process.pid) as memory:
            _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        _kill_group(process.pid)
        raise
    finally:
        killer.cancel()
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    for reader in readers:
        reader.join(5)
    if process.returncode != 0:
        last = output.get("err", "").strip().splitlines()[-1:] or ["no message"]
        raise ProcessFailed(f"exit status {process.returncode}: {last[0][:300]}")
    others = cpu.stop()
    others["client"] = usage.ru_utime + usage.ru_stime
    return (
        Measurement(
            seconds,
            cpu=others,
            # What ended between two looks shows in the kernel's own figure.
            peak_mib=max(memory.mib, usage.ru_maxrss / 1024 if memory.mib == 0 else 0.0),
            largest_process_mib=usage.ru_maxrss / 1024,
        ),
        output.get("out", ""),
    )


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, 9)
