"""``make bench``: the service against the tools people would use instead, on this machine.

    python benchmarks/run.py [--quick] [--only STAGE …] [--resume] [--results FILE]

Works of a stage take turns, one at a time. The results file is written after every run, so an
interrupted benchmark keeps what it has; ``--resume`` goes on with it, ``--only`` repeats stages.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import plots
import report
from house import House
from measure import Measurement
from plan import SIZES, Entry, Mode, Stage, stages
from profiling import profile_job
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from store import Store
from works import WORKS, NotAvailable, Work

from waybill.local.signals import orderly_exit

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "latest.json"
_FREE_BYTES: dict[Mode, int] = {"full": 25 * 10**9, "quick": 6 * 10**9, "tiny": 10**9}

console = Console(stderr=True, highlight=False)


def main() -> int:
    """Measure, write results, table and plots. Returns the exit status."""
    arguments = _arguments()
    mode: Mode = "tiny" if arguments.tiny else "quick" if arguments.quick else "full"
    wanted = [s for s in stages(mode) if not arguments.only or s.name in arguments.only]
    unknown = set(arguments.only or ()) - {s.name for s in stages(mode)}
    if unknown:
        known = ", ".join(s.name for s in stages(mode))
        console.print(f"There is no stage {', '.join(sorted(unknown))}. There are: {known}.")
        return 2
    store = Store(arguments.results, mode, resume=arguments.resume or bool(arguments.only))
    if not arguments.resume:
        for stage in wanted:
            store.forget(stage.name)
    with orderly_exit(), _directory(mode) as directory:
        with House.opened(directory, SIZES[mode].all()) as house, _Bar(wanted, store) as bar:
            for stage in wanted:
                _run_stage(house, store, stage, bar, set(arguments.works or WORKS))
            if not arguments.only and not arguments.works:
                console.print("Profiling one job ...")
                store.profile = profile_job(house, SIZES[mode].main)
                store.save()
    store.save()
    if not arguments.no_report:
        document = store.document()
        plots.draw(document, HERE / "plots")
        report.write(document, HERE.parent / "docs" / "benchmarks.md")
    _print_ratios(store)
    console.print(f"Written to {arguments.results}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="smaller and fewer, in 10 minutes")
    parser.add_argument("--tiny", action="store_true", help="whether the harness works at all")
    parser.add_argument("--only", nargs="+", metavar="STAGE", help="repeat these stages")
    parser.add_argument("--works", nargs="+", metavar="WORK", choices=list(WORKS))
    parser.add_argument("--resume", action="store_true", help="go on where the last run stopped")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--no-report", action="store_true", help="leave docs and plots as they are")
    return parser.parse_args()


@contextmanager
def _directory(mode: Mode) -> Iterator[Path]:
    """Give a directory on the disk of the checkout, removed at the end."""
    parent = HERE.parent / ".waybill"
    parent.mkdir(exist_ok=True)
    free = shutil.disk_usage(parent).free
    if free < _FREE_BYTES[mode]:
        console.print(
            f"{free / 1e9:.0f} GB are free in {parent}; this needs {_FREE_BYTES[mode] / 1e9:.0f}. "
            "Make room, or run with --quick (make bench QUICK=1)."
        )
        raise SystemExit(1)
    with tempfile.TemporaryDirectory(
        prefix="bench-", dir=parent, ignore_cleanup_errors=True
    ) as directory:
        yield Path(directory)


def _run_stage(house: House, store: Store, stage: Stage, bar: _Bar, works: set[str]) -> None:
    todo = [
        (entry, WORKS[entry.work])
        for entry in stage.entries
        if entry.work in works and store.done(stage.name, entry.work) < entry.rounds
    ]
    if not todo:
        return
    bar.say(f"{stage.title}, {stage.rows:,} rows")
    house.table(stage.rows)
    house.service(stage.concurrency)
    if stage.is_warmed:
        WORKS["job_csv"].run(house, stage.rows)
    for turn in range(max(entry.rounds for entry, _ in todo)):
        for entry, work in todo:
            if turn < entry.rounds and store.done(stage.name, work.name) <= turn:
                _run(house, store, stage, entry, work, bar)
    house.reclaim()


def _run(house: House, store: Store, stage: Stage, entry: Entry, work: Work, bar: _Bar) -> None:
    started = time.monotonic()
    bar.now(f"{work.label}, {stage.rows:,} rows")
    try:
        if entry.is_fresh:
            house.fresh_worker()
        measured = work.run(house, stage.rows)
        measured.extra["fresh_worker"] = float(entry.is_fresh)
        house.settle()
    except NotAvailable as exc:
        store.fail(stage.name, work.name, work.label, stage.rows, str(exc))
        bar.say(f"  {work.label}: not available ({exc})")
    except Exception as exc:
        # One that fails is reported and does not take the others along.
        store.fail(
            stage.name, work.name, work.label, stage.rows, f"{type(exc).__name__}: {exc}"[:500]
        )
        bar.say(f"  {work.label}: failed ({type(exc).__name__}: {exc})")
    else:
        store.add(stage.name, work.name, work.label, stage.rows, measured)
        bar.say(f"  {work.label}: {_figures(measured)}")
    store.save(time.monotonic() - started)
    bar.advance(stage, work)


def _figures(measured: Measurement) -> str:
    cpu = ", ".join(f"{name} {value:.1f}" for name, value in measured.cpu.items() if value >= 0.05)
    peak = f", {measured.peak_mib:.0f} MiB" if measured.peak_mib else ""
    return f"{measured.seconds:.2f} s (CPU s: {cpu}){peak}"


class _Bar:
    """The progress bar. What is left is estimated by rough costs of works, scaled by how long the
    ones before took."""

    def __init__(self, wanted: list[Stage], store: Store) -> None:
        self._costs = 0.0
        for stage in wanted:
            for entry in stage.entries:
                missing = max(0, entry.rounds - store.done(stage.name, entry.work))
                self._costs += missing * _cost(stage, WORKS[entry.work])
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        self._task: TaskID = self._progress.add_task("starting", total=self._costs, left="")
        self._started = time.monotonic()

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        self._progress.console.print(text, markup=False)

    def now(self, text: str) -> None:
        self._progress.update(self._task, description=text)

    def advance(self, stage: Stage, work: Work) -> None:
        self._progress.advance(self._task, _cost(stage, work))
        done = self._progress.tasks[0].completed
        if done > 0:
            left = (time.monotonic() - self._started) / done * max(0.0, self._costs - done)
            self._progress.update(self._task, left=f"about {left / 60:.0f} min left")


def _cost(stage: Stage, work: Work) -> float:
    return work.fixed_seconds + stage.rows / 1e6 * work.seconds_per_million


def _print_ratios(store: Store) -> None:
    for key, verdict in store.document()["goals"].items():
        word = {True: "met", False: "MISSED", None: "not measured"}[verdict["met"]]
        value = "-" if verdict["value"] is None else f"{verdict['value']:g}"
        console.print(
            f"{key:<30} {value:>9}   {verdict['goal']:>7}   {word:<12} ({verdict['rows']} rows)",
            markup=False,
        )


if __name__ == "__main__":
    sys.exit(main())
