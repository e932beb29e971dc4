"""Small jobs of the release before, in the same run: two commits on one machine, by turns.

Each run has a stack of its own, for this checkout as for the other, so that both pay the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import many_jobs
from house import House
from measure import Measurement, Summary

PREVIOUS = "05586a6"
"""The last measured commit of 0.1.0, with which design and goals compare."""

_ROOT = Path(__file__).resolve().parent.parent
_SECONDS = 900.0
_ROUNDS = 3


def small_jobs(*, is_previous: bool) -> Callable[[House, int], Measurement]:
    """Return a run of many small jobs on two worker processes, of this checkout or the other."""

    def run(house: House, rows: int) -> Measurement:
        if not is_previous:
            return _measured(_ROOT, rows)
        with _worktree(house.directory / "previous") as root:
            return _measured(root, rows)

    return run


@contextmanager
def _worktree(directory: Path) -> Iterator[Path]:
    _git("worktree", "add", "--detach", str(directory), PREVIOUS)
    try:
        yield directory
    finally:
        _git("worktree", "remove", "--force", str(directory))


def _git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, cwd=_ROOT, capture_output=True)


def _measured(root: Path, rows: int) -> Measurement:
    path = os.pathsep.join(str(each) for each in sorted(root.glob("packages/*/src")))
    script = Path(many_jobs.__file__)
    done = subprocess.run(
        [sys.executable, str(script), str(root), "--rows", str(rows), "--rounds", str(_ROUNDS)],
        check=True, cwd=root, env={**os.environ, "PYTHONPATH": path}, capture_output=True,
        text=True, timeout=_SECONDS,
    )  # fmt: skip
    runs: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    return Measurement(
        _median([run["seconds"] for run in runs]),
        cpu={name: _median([run["cpu"][name] for run in runs]) for name in runs[0]["cpu"]},
        extra={
            "jobs_per_second": _median([many_jobs.JOBS / run["seconds"] for run in runs]),
            "cpu_seconds_a_job": _median([sum(run["cpu"].values()) for run in runs])
            / many_jobs.JOBS,
        },
    )


def _median(values: list[float]) -> float:
    return Summary.of(values).median
