"""Measure stages of this checkout and of another commit by turns.

    python benchmarks/alternate.py COMMIT STAGE … [--rounds N] [--results FILE]

What one change costs is a few percent, and a shared machine varies by more within minutes: so the
two take turns, each run with a stack of its own, and medians and ranges stand side by side.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure import Summary

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
FIGURE = "jobs_per_second"

Run = dict[str, float]


def main() -> int:
    """Run all rounds and write the results. Returns the exit status."""
    arguments = _arguments()
    results: dict[str, dict[str, list[Run]]] = {}
    (ROOT / ".waybill").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="alternate-", dir=ROOT / ".waybill") as directory:
        other = Path(directory) / "other"
        _git("worktree", "add", "--detach", str(other), arguments.commit)
        try:
            for turn in range(arguments.rounds):
                # Who is first changes too.
                pair = [("before", other), ("after", ROOT)]
                for name, root in pair if turn % 2 == 0 else reversed(pair):
                    figures = _run(root, arguments.stages, Path(directory) / "results.json")
                    for stage, values in figures.items():
                        results.setdefault(stage, {}).setdefault(name, []).extend(values)
                        print(f"{stage} {name}: {values}", flush=True)
        finally:
            _git("worktree", "remove", "--force", str(other))
    document = {
        "commits": {"before": _sha(arguments.commit), "after": _sha("HEAD")},
        "stages": {stage: _compared(values) for stage, values in results.items()},
    }
    arguments.results.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    print(json.dumps(document, indent=2))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("commit", help="what to compare this checkout with")
    parser.add_argument("stages", nargs="+")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--results", type=Path, default=HERE / "results" / "alternate.json")
    return parser.parse_args()


def _run(root: Path, stages: list[str], results: Path) -> dict[str, list[Run]]:
    results.unlink(missing_ok=True)
    path = os.pathsep.join(str(each) for each in sorted(root.glob("packages/*/src")))
    subprocess.run(
        [sys.executable, str(root / "benchmarks" / "run.py"), "--quick", "--no-report",
         "--results", str(results), "--only", *stages],
        check=True, cwd=root, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    measured = json.loads(results.read_text("utf-8"))["stages"]
    return {stage: _figures(measured[stage]) for stage in stages}


def _figures(stage: dict[str, Any]) -> list[Run]:
    """Return the figure of every run of a stage, and the CPU seconds it took."""
    return [
        {"figure": run[FIGURE], "cpu_seconds": sum(run["cpu"].values())}
        for work in stage.values()
        for run in work.get("runs", [])
        if FIGURE in run
    ]


def _compared(runs: dict[str, list[Run]]) -> dict[str, Any]:
    compared: dict[str, Any] = {}
    for what, name in (("figure", FIGURE), ("cpu_seconds", "cpu_seconds")):
        summaries = {side: Summary.of([run[what] for run in each]) for side, each in runs.items()}
        change = summaries["after"].median / summaries["before"].median - 1
        compared[name] = {
            **{side: summary.as_json() for side, summary in summaries.items()},
            "change_percent": round(100 * change, 1),
        }
    return compared


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], check=True, cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()


def _sha(commit: str) -> str:
    return _git("rev-parse", "--short", commit)


if __name__ == "__main__":
    sys.exit(main())
