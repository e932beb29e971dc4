"""Measure stages of this checkout and of another commit by turns.

    python benchmarks/alternate.py COMMIT STAGE … [--works WORK …] [--rounds N] [--full]

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
RATE = "jobs_per_second"

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
                    figures = _run(root, arguments, Path(directory) / "results.json")
                    for work, values in figures.items():
                        results.setdefault(work, {}).setdefault(name, []).extend(values)
                        print(f"{work} {name}: {values}", flush=True)
        finally:
            _git("worktree", "remove", "--force", str(other))
    document = {
        "commits": {"before": _sha(arguments.commit), "after": _sha("HEAD")},
        "works": {work: _compared(values) for work, values in results.items()},
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
    parser.add_argument("--works", nargs="+", metavar="WORK", help="only these")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--full", action="store_true", help="tables of a full run, not of a quick")
    parser.add_argument("--results", type=Path, default=HERE / "results" / "alternate.json")
    return parser.parse_args()


def _run(root: Path, arguments: argparse.Namespace, results: Path) -> dict[str, list[Run]]:
    results.unlink(missing_ok=True)
    path = os.pathsep.join(str(each) for each in sorted(root.glob("packages/*/src")))
    subprocess.run(
        [sys.executable, str(root / "benchmarks" / "run.py"), "--no-report",
         *([] if arguments.full else ["--quick"]), "--results", str(results),
         "--only", *arguments.stages,
         *(["--works", *arguments.works] if arguments.works else [])],
        check=True, cwd=root, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    measured = json.loads(results.read_text("utf-8"))["stages"]
    return {
        f"{stage}.{name}": _figures(work)
        for stage, works in measured.items()
        for name, work in works.items()
        if work.get("runs")
    }


def _figures(work: dict[str, Any]) -> list[Run]:
    """Return every run's rate, if it has one, else its seconds; and the CPU seconds it took."""
    return [
        {"figure": run.get(RATE, run["seconds"]), "cpu_seconds": sum(run["cpu"].values())}
        for run in work["runs"]
    ]


def _compared(runs: dict[str, list[Run]]) -> dict[str, Any]:
    compared: dict[str, Any] = {}
    for what in ("figure", "cpu_seconds"):
        summaries = {side: Summary.of([run[what] for run in each]) for side, each in runs.items()}
        change = summaries["after"].median / summaries["before"].median - 1
        compared[what] = {
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
