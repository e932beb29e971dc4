"""The plots of ``docs/benchmarks.md``. On white cards with dark ink, so that they read on light
and on dark pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

mpl.use("Agg")

_OURS, _THEIRS, _INK, _GRID = "#0b6e99", "#b0b7bf", "#1f2328", "#d8dee4"
_GROUPS = {"worker": "#0b6e99", "client": "#7d8590", "postgres": "#6f9e3f", "s3": "#d9822b",
           "api": "#8a63d2"}  # fmt: skip
_NAMES = {"worker": "worker", "client": "client", "postgres": "PostgreSQL", "s3": "S3 server",
          "api": "API"}  # fmt: skip
_STYLE = {
    "figure.facecolor": "white", "axes.facecolor": "white", "savefig.facecolor": "white",
    "text.color": _INK, "axes.labelcolor": _INK, "axes.edgecolor": _INK, "xtick.color": _INK,
    "ytick.color": _INK, "axes.grid": True, "grid.color": _GRID, "axes.axisbelow": True,
    "axes.spines.top": False, "axes.spines.right": False, "font.size": 10, "svg.hashsalt": "bench",
}  # fmt: skip


def draw(document: dict[str, Any], directory: Path) -> list[Path]:
    """Draw every plot there are figures for; returns their files."""
    directory.mkdir(parents=True, exist_ok=True)
    stages = document["stages"]
    drawn = []
    with plt.rc_context(_STYLE):
        for name, stage, title in (
            ("peers-small.png", "base", "Everything, delivered"),
            ("peers-large.png", "main", "Everything, delivered"),
            ("approaches.png", "approaches", "The specification's three approaches"),
        ):
            works = _measured(stages.get(stage, {}))
            if works:
                drawn.append(_bars(works, title, directory / name))
        if works := _measured(stages.get("main", {})):
            drawn.append(_cpu(works, directory / "cpu.png"))
        growth = [
            work
            for name, found in stages.items()
            if name.startswith("growth_")
            for work in _measured(found)
        ]
        if growth:
            drawn.append(_growth(sorted(growth, key=lambda w: w["rows"]), directory / "growth.png"))
    return drawn


def _measured(works: dict[str, Any]) -> list[dict[str, Any]]:
    return [work for work in works.values() if work.get("runs")]


def _bars(works: list[dict[str, Any]], title: str, path: Path) -> Path:
    works = sorted(works, key=lambda work: -work["seconds"]["median"])
    medians = [work["seconds"]["median"] for work in works]
    whiskers = [
        [m - work["seconds"]["minimum"] for m, work in zip(medians, works, strict=True)],
        [work["seconds"]["maximum"] - m for m, work in zip(medians, works, strict=True)],
    ]
    figure, axes = plt.subplots(figsize=(8, 0.8 + 0.36 * len(works)), layout="constrained")
    labels = [work["label"] for work in works]
    colors = [_OURS if label.startswith("waybill") else _THEIRS for label in labels]
    if max(medians) > 20 * min(medians):
        # Points: a bar's length means nothing on an axis that does not begin at zero.
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.errorbar(medians, labels, xerr=whiskers, fmt="none", capsize=3, ecolor=_INK)
        axes.scatter(medians, labels, c=colors, s=36, zorder=3)
    else:
        axes.barh(labels, medians, xerr=whiskers, capsize=3, ecolor=_INK, color=colors)
    for label, work in zip(labels, works, strict=True):
        axes.annotate(
            f"{work['seconds']['median']:.3g} s", (work["seconds"]["maximum"], label),
            xytext=(8, 0), textcoords="offset points", va="center", fontsize=8,
        )  # fmt: skip
    axes.margins(x=0.12)
    _plain(axes, "x")
    axes.set_xlabel("seconds (median; whiskers: fastest and slowest run)")
    axes.set_title(f"{title}: {works[0]['rows']:,} users")
    axes.grid(axis="y", visible=axes.get_xscale() == "log")
    return _save(figure, path)


def _cpu(works: list[dict[str, Any]], path: Path) -> Path:
    works = sorted(works, key=lambda work: -_total(work))
    labels = [work["label"] for work in works]
    figure, axes = plt.subplots(figsize=(8, 1.1 + 0.36 * len(works)), layout="constrained")
    left = [0.0] * len(works)
    for group, color in _GROUPS.items():
        widths = [_median([run["cpu"].get(group, 0.0) for run in work["runs"]]) for work in works]
        axes.barh(labels, widths, left=left, color=color, label=_NAMES[group])
        left = [a + b for a, b in zip(left, widths, strict=True)]
    if max(left) > 20 * min(left):
        axes.set_xlim(0, 4 * _median(left))  # the slowest run out of the picture
    axes.set_xlabel("CPU seconds (median)")
    axes.set_title(f"Who computes: {works[0]['rows']:,} users")
    axes.grid(axis="y", visible=False)
    axes.legend(loc="upper right", frameon=False)  # where bars are short
    return _save(figure, path)


def _growth(works: list[dict[str, Any]], path: Path) -> Path:
    rows = [work["rows"] for work in works]
    medians = [work["seconds"]["median"] for work in works]
    whiskers = [
        [m - w["seconds"]["minimum"] for m, w in zip(medians, works, strict=True)],
        [w["seconds"]["maximum"] - m for m, w in zip(medians, works, strict=True)],
    ]
    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 6), sharex=True, layout="constrained")
    above.errorbar(rows, medians, yerr=whiskers, marker="o", capsize=3, color=_OURS)
    above.set_xscale("log")
    above.set_yscale("log")
    _plain(above, "y")
    above.set_ylabel("seconds, POST to completed")
    above.set_title("Growth: CSV + zstd, each size in a fresh worker")
    sampled = [
        (work["rows"], max(run["peak_mib"] for run in work["runs"] if run["peak_mib"]))
        for work in works
        if any(run["peak_mib"] for run in work["runs"])
    ]
    below.plot([each[0] for each in sampled], [each[1] for each in sampled], marker="o",
               color=_OURS)  # fmt: skip
    below.axhline(300, color="#c0392b", linestyle="--", linewidth=1)
    below.annotate("goal: 300 MiB", (rows[0], 300), va="bottom", color="#c0392b")
    below.set_ylim(0, 340)
    below.set_ylabel("peak memory of the worker, MiB")
    below.set_xlabel("users")
    below.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    return _save(figure, path)


def _plain(axes: Axes, which: str) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _total(work: dict[str, Any]) -> float:
    return sum(_median([run["cpu"].get(group, 0.0) for run in work["runs"]]) for group in _GROUPS)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0


def _save(figure: Any, path: Path) -> Path:
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)
    return path
