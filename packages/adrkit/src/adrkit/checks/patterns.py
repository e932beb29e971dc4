"""Regular expressions of check blocks: written by others, so run where they can be killed.

Python's ``re`` backtracks, and ``(a+)+$`` over thirty letters outlasts anyone's patience while it
holds the GIL. Each search runs in a process of its own with a deadline.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adrkit.checks.verdict import CannotEvaluate

_SCRIPT = Path(__file__).with_name("pattern_process.py")


@dataclass(frozen=True, slots=True)
class PatternMatch:
    """The first match in a file: ``index`` into the searched files, ``line`` from 1."""

    index: int
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class PatternAnswer:
    matches: tuple[PatternMatch, ...]
    unmatched: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PatternProcess:
    """``timeout_seconds`` bounds one search over all its files."""

    timeout_seconds: float = 5.0

    def search_files(self, pattern: str, files: Sequence[Path]) -> PatternAnswer:
        """Raises CannotEvaluate for a bad or too slow pattern."""
        found = self._ask({"pattern": pattern, "files": [str(path) for path in files]})
        return PatternAnswer(
            tuple(PatternMatch(*match) for match in found["matches"]), tuple(found["unmatched"])
        )

    def search_text(self, pattern: str, text: str) -> bool:
        """Raises CannotEvaluate for a bad or too slow pattern."""
        return bool(self._ask({"pattern": pattern, "text": text})["found"])

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            done = subprocess.run(  # noqa: S603 - this Python and a script of this package
                [sys.executable, "-I", "-S", "-X", "utf8", str(_SCRIPT)],
                input=json.dumps(request),
                capture_output=True,
                text=True,
                encoding="utf-8",
                timeout=self.timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CannotEvaluate(
                f"the pattern {request['pattern']!r} took more than {self.timeout_seconds:g} s: "
                "avoid nested repetitions such as (a+)+"
            ) from error
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            raise CannotEvaluate(f"the pattern process failed: {last[0]}")
        answer: dict[str, Any] = json.loads(done.stdout)
        if "error" in answer:
            raise CannotEvaluate(f"{request['pattern']!r} is {answer['error']}")
        return answer
