"""The results as Markdown, between two marks in ``docs/benchmarks.md``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

BEGIN = "<!-- results: begin (written by make bench) -->"
END = "<!-- results: end -->"


def write(document: dict[str, Any], path: Path) -> None:
    """Replace what stands between the marks of ``path``.

    Raises:
        ValueError: the file has no such marks.
    """
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} lacks the line {BEGIN!r} or {END!r}.")
    body = "\n".join(render(document))
    path.write_text(f"{before}{BEGIN}\n\n{body}\n\n{END}{after}", encoding="utf-8")


def render(document: dict[str, Any]) -> Iterator[str]:
    """Yield the lines."""
    machine = document["environment"]
    yield (
        f"Measured {document['measured_at'][:10]} at commit `{machine['commit']}` in mode "
        f"*{document['mode']}*: {machine['cores']} cores ({machine['cpu']}), "
        f"{machine['memory_mib'] / 1024:.0f} GiB, {machine['system']}, Python {machine['python']}; "
        f"load before the start {machine['load_before']}; {document['seconds_spent'] / 60:.0f} "
        "minutes of measuring. Medians, ranges in brackets."
    )
    yield ""
    yield from _repeated(document["stages"])
    yield "### Goals"
    yield ""
    yield from _goals(document["goals"])
    yield ""
    yield from _stages(document["stages"])
    if document.get("profile"):
        yield from _profile(document["profile"])


def _repeated(stages: dict[str, dict[str, dict[str, Any]]]) -> Iterator[str]:
    """Tell commits and processors apart, where stages were repeated at another one."""
    by_origin: dict[tuple[str, str], set[str]] = {}
    for name, works in stages.items():
        for work in works.values():
            origin = work.get("commit", "unknown"), work.get("cpu", "unknown")
            by_origin.setdefault(origin, set()).add(name)
    if len(by_origin) > 1:
        yield (
            "Stages were measured at different commits, and some on another processor; no ratio of "
            "times compares two of them:"
        )
        yield ""
        for (commit, cpu), names in by_origin.items():
            stages_there = ", ".join(f"`{name}`" for name in sorted(names))
            yield f"- `{commit}`, {cpu}: {stages_there}"
        yield ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def _goals(goals: dict[str, dict[str, Any]]) -> Iterator[str]:
    words = {True: "met", False: "**missed**", None: "not measured"}
    yield from _table(
        ("ratio", "what", "rows", "goal", "measured", ""),
        [
            (
                f"`{key}`",
                goal["meaning"],
                goal["rows"],
                goal["goal"],
                "" if goal["value"] is None else f"{goal['value']:g}",
                words[goal["met"]],
            )
            for key, goal in goals.items()
        ],
    )


def _stages(stages: dict[str, dict[str, dict[str, Any]]]) -> Iterator[str]:
    titles = {
        "base": "Small table: peers",
        "main": "Large table: peers",
        "huge": "Largest table: peers",
        "approaches": "The specification's three approaches",
        "small": "Small exports",
        "fairness": "Whose turn it is",
        "memory_formats": "Memory by format, each in a fresh worker",
    }
    for name, title in titles.items():
        if works := stages.get(name):
            yield from _stage(title, works)
    growth = [
        work
        for name, works in stages.items()
        if name.startswith("growth_")
        for work in works.values()
        if work.get("runs")
    ]
    if growth:
        yield "### Growth: CSV + zstd, each size in a fresh worker"
        yield ""
        yield from _table(
            ("rows", "seconds", "rows/s", "peak memory of the worker, MiB"),
            [
                (
                    f"{work['rows']:,}",
                    _range(work["seconds"]),
                    f"{work['rows'] / work['seconds']['median']:,.0f}",
                    _largest(work["runs"], "peak_mib") or "below what sampling sees",
                )
                for work in sorted(growth, key=lambda each: each["rows"])
            ],
        )
        yield ""
    many = [
        work
        for name, works in stages.items()
        if name.startswith("throughput_")
        for work in works.values()
        if work.get("runs")
    ]
    if many:
        yield "### Many small jobs"
        yield ""
        yield from _table(
            ("what", "rows each", "seconds", "jobs/s (best)"),
            [
                (
                    work["label"],
                    f"{work['rows']:,}",
                    _range(work["seconds"]),
                    f"{max(run['jobs_per_second'] for run in work['runs']):.1f}",
                )
                for work in many
            ],
        )
        yield ""


def _stage(title: str, works: dict[str, dict[str, Any]]) -> Iterator[str]:
    rows = next(iter(works.values()))["rows"]
    yield f"### {title}, {rows:,} users"
    yield ""
    measured = [work for work in works.values() if work.get("runs")]
    measured.sort(key=lambda work: work["seconds"]["median"])
    yield from _table(
        ("what", "seconds", "runs", "MB", "CPU s: own", "PostgreSQL", "S3", "peak MiB"),
        [
            (
                work["label"],
                _range(work["seconds"]) + _first_byte(work["runs"]),
                str(work["seconds"]["runs"]),
                f"{work['runs'][-1]['bytes'] / 1e6:,.1f}" if work["runs"][-1]["bytes"] else "",
                _own_cpu(work),
                _cpu(work["runs"], "postgres"),
                _cpu(work["runs"], "s3"),
                _largest(work["runs"], "peak_mib"),
            )
            for work in measured
        ],
    )
    yield ""
    for work in works.values():
        if "not_available" in work:
            yield f"- {work['label']}: not available: {work['not_available']}"
            yield ""


def _range(summary: dict[str, Any]) -> str:
    median = _seconds(summary["median"])
    if summary["runs"] == 1:
        return median
    return f"{median} ({_seconds(summary['minimum'])} to {_seconds(summary['maximum'])})"


def _seconds(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"


def _first_byte(runs: list[dict[str, Any]]) -> str:
    found = sorted(run["first_byte_seconds"] for run in runs if "first_byte_seconds" in run)
    return f", first byte after {_seconds(found[len(found) // 2])}" if found else ""


def _own_cpu(work: dict[str, Any]) -> str:
    runs = work["runs"]
    return (
        _cpu(runs, "client")
        if "client" in runs[0]["cpu"]
        else _cpu(runs, "api" if work["label"].startswith("waybill stream") else "worker")
    )


def _cpu(runs: list[dict[str, Any]], group: str) -> str:
    found = sorted(run["cpu"].get(group, 0.0) for run in runs)
    return f"{found[len(found) // 2]:.2f}"


def _largest(runs: list[dict[str, Any]], figure: str) -> str:
    found = [run[figure] for run in runs if run.get(figure)]
    return f"{max(found):,.0f}" if found else ""


def _profile(profile: dict[str, Any]) -> Iterator[str]:
    yield f"### Where a job's time goes: CSV, {profile['rows']:,} users"
    yield ""
    yield (
        f"{profile['seconds']:.2f} s, of which the process computed "
        f"{profile['process_cpu_seconds']:.2f} s ({profile['note']}). The reading thread's own "
        "time by function; waiting for PostgreSQL and for parts on their way is in `sleep`, "
        "`poll` and `acquire`:"
    )
    yield ""
    yield from _table(
        ("function", "calls", "seconds"),
        [
            (f"`{each['function']}`", f"{each['calls']:,}", f"{each['seconds']:.2f}")
            for each in profile["reading_thread"]
        ],
    )
