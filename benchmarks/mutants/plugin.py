"""What a mutant's child tells of its tests: which one failed first, and who runs which line."""

from __future__ import annotations

import json
import sys
import threading
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import pytest


class FirstFailure:
    """Writes the node id of the first test (or file) that fails."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed and not self._path.exists():
            self._path.write_text(report.nodeid)


class Reach:
    """Writes which tests run which lines of some modules, and how long each takes: a mutant is
    tried first by those that run its line, the quickest first.

    Only frames of these modules are traced line by line. What is missed (a subprocess; a fixture
    that many tests share) costs time and no verdict: a survivor has passed all tests in any case.
    """

    def __init__(self, modules: Sequence[Path], path: Path) -> None:
        self._files = {str(module) for module in modules}
        self._path = path
        self._now = ""
        self._lines: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
        self._seconds: dict[str, float] = defaultdict(float)

    def begin(self) -> None:
        threading.settrace(self._call)
        sys.settrace(self._call)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._now = nodeid

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]
        tests = {
            node: {
                "seconds": round(seconds, 3),
                "lines": {file: sorted(lines) for file, lines in self._lines[node].items()},
            }
            for node, seconds in self._seconds.items()
        }
        self._path.write_text(json.dumps(tests))

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename not in self._files:
            return None
        return self._line(frame, event, argument)

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        self._lines[self._now][frame.f_code.co_filename].add(frame.f_lineno)
        return self._line
