"""The results file: written after every run, so that an interrupted benchmark keeps what it has."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import goals
from environment import describe
from measure import Measurement, Summary
from plan import SIZES, Mode


class Store:
    """Results of one benchmark.

    Args:
        path: the JSON file.
        mode: which sizes are meant.
        resume: go on with the file's runs instead of beginning anew.
    """

    def __init__(self, path: Path, mode: Mode, *, resume: bool = False) -> None:
        self.path = path
        self._mode = mode
        self._sizes = SIZES[mode]
        self.runs: goals.Runs = {}
        self._environment = describe()
        self._seconds_spent = 0.0
        self.profile: dict[str, Any] | None = None
        if resume and path.exists():
            before = json.loads(path.read_text(encoding="utf-8"))
            if before.get("mode") == mode:
                self.runs = before.get("stages", {})
                self._seconds_spent = float(before.get("seconds_spent", 0))
                self.profile = before.get("profile")

    def done(self, stage: str, work: str) -> int:
        """Return how many runs of a work there are, or a great many if it cannot run."""
        held = self.runs.get(stage, {}).get(work, {})
        return 10**6 if "not_available" in held else len(held.get("runs", []))

    def forget(self, stage: str) -> None:
        self.runs.pop(stage, None)

    def add(self, stage: str, work: str, label: str, rows: int, measured: Measurement) -> None:
        held = self._held(stage, work, label, rows)
        held |= {key: self._environment[key] for key in ("commit", "cpu")}
        held.setdefault("runs", []).append(measured.as_json())
        held["seconds"] = Summary.of([run["seconds"] for run in held["runs"]]).as_json()

    def fail(self, stage: str, work: str, label: str, rows: int, reason: str) -> None:
        """Note that a work does not run here; what it has run before stays."""
        self._held(stage, work, label, rows)["not_available"] = reason

    def _held(self, stage: str, work: str, label: str, rows: int) -> dict[str, Any]:
        held = self.runs.setdefault(stage, {}).setdefault(work, {})
        held |= {"label": label, "rows": rows}
        return held

    def document(self) -> dict[str, Any]:
        """Return everything, figures computed anew."""
        summaries = {
            name: self.runs.get("base", {}).get(work, {}).get("seconds")
            for name, work in (("job", "job_csv"), ("psql_copy", "psql_file_csv"))
        }
        return {
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "mode": self._mode,
            "seconds_spent": round(self._seconds_spent),
            "environment": self._environment,
            "users": self._sizes.base,
            "sizes": vars(self._sizes),
            "ratios": goals.ratios(self.runs, self._sizes),
            "goals": goals.verdicts(self.runs, self._sizes),
            "seconds": {name: value for name, value in summaries.items() if value},
            "stages": self.runs,
            "profile": self.profile,
        }

    def save(self, seconds: float = 0.0) -> None:
        """Write the file, whole or not at all."""
        self._seconds_spent += seconds
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        text = json.dumps(self.document(), indent=1, ensure_ascii=False) + "\n"
        partial.write_text(text, encoding="utf-8")
        partial.replace(self.path)
