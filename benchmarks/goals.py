"""The ratios, what they are to reach, and whether they do. Pure: from runs to figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from measure import Summary
from plan import Sizes

Runs = dict[str, dict[str, dict[str, Any]]]
"""Stage, work, and what was measured: ``{"runs": [...]}`` or ``{"not_available": reason}``."""


@dataclass(frozen=True)
class Goal:
    """``operator`` is ``<=`` or ``>=``; ``compute`` returns ``None`` when a run is missing."""

    key: str
    meaning: str
    operator: str
    value: float
    compute: Callable[[Runs, Sizes], float | None]
    rows: Callable[[Sizes], str]


def values(runs: Runs, stage: str, work: str, figure: str = "seconds") -> list[float]:
    """Return a figure of every run; ``cpu.client`` names one of a group."""
    found = []
    for run in runs.get(stage, {}).get(work, {}).get("runs", []):
        value: Any = run
        for part in figure.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            found.append(float(value))
    return found


def median(runs: Runs, stage: str, work: str, figure: str = "seconds") -> float | None:
    found = values(runs, stage, work, figure)
    return Summary.of(found).median if found else None


def _over(
    above: tuple[str, str, str], below: tuple[str, str, str]
) -> Callable[[Runs, Sizes], float | None]:
    def compute(runs: Runs, sizes: Sizes) -> float | None:
        names = {"HUGE": f"growth_{sizes.huge}", "MAIN": f"growth_{sizes.main}",
                 "LARGE": f"memory_{sizes.large}", "BASE": f"memory_{sizes.base}"}  # fmt: skip
        a = median(runs, names.get(above[0], above[0]), *above[1:])
        b = median(runs, names.get(below[0], below[0]), *below[1:])
        return None if a is None or not b else a / b

    return compute


def _seconds(stage: str, above: str, below: str) -> Callable[[Runs, Sizes], float | None]:
    return _over((stage, above, "seconds"), (stage, below, "seconds"))


def _first(*choices: Callable[[Runs, Sizes], float | None]) -> Any:
    def compute(runs: Runs, sizes: Sizes) -> float | None:
        return next((found for c in choices if (found := c(runs, sizes)) is not None), None)

    return compute


def _peak(runs: Runs, _sizes: Sizes, *, is_fresh: bool = True) -> float | None:
    """Return the highest peak of any job: in a worker that has run nothing else, or in any."""
    peaks = [
        run["peak_mib"]
        for works in runs.values()
        for work, held in works.items()
        if work.startswith("job_")
        for run in held.get("runs", [])
        if run.get("peak_mib") and (run.get("fresh_worker") or not is_fresh)
    ]
    return max(peaks, default=None)


def _main(sizes: Sizes) -> str:
    return f"{sizes.main:,}"


def _small(sizes: Sizes) -> str:
    return f"{sizes.small:,}"


def _base(sizes: Sizes) -> str:
    return f"{sizes.base:,}"


_DJANGO = _first(
    _seconds("main", "django_csv", "job_csv"), _seconds("base", "django_csv", "job_csv")
)

GOALS: tuple[Goal, ...] = (
    Goal("csv_1m_vs_psql_s3", "CSV job / psql piped into boto3", "<=", 0.8,
         _seconds("main", "job_csv", "psql_s3_csv"), _main),
    Goal("ndjson_1m_vs_psql_s3", "NDJSON job / psql row_to_json piped into boto3", "<=", 0.7,
         _seconds("main", "job_ndjson", "psql_s3_ndjson"), _main),
    Goal("csv_worker_cpu_vs_floor",
         "CPU s of the worker / of the bare libpq loop, one SHA-256 and the bare upload",
         "<=", 1.15, _over(("main", "job_csv", "cpu.worker"), ("main", "floor_csv", "floor_cpu")),
         _main),
    Goal("small_jobs_per_second_vs_before", "Small jobs a second, 2 workers / those of 0.1.0",
         ">=", 2.0, _over(("before", "small_jobs_now", "jobs_per_second"),
                          ("before", "small_jobs_before", "jobs_per_second")), _small),
    Goal("small_job_cpu_vs_before", "CPU s of a small job, all processes / of 0.1.0", "<=", 0.6,
         _over(("before", "small_jobs_now", "cpu_seconds_a_job"),
               ("before", "small_jobs_before", "cpu_seconds_a_job")), _small),
    Goal("small_export_seconds", "POST to completed, as the client sees it, s (median)", "<=",
         0.06, lambda runs, _: median(runs, "small", "job_csv"), _small),
    Goal("two_million_seconds", "2,038,978 users, CSV, whole: POST to completed, s (median)", "<=",
         12, lambda runs, _: median(runs, "complaint", "job_download"),
         lambda sizes: f"{sizes.complaint:,}"),
    Goal("peak_mib_after_other_formats",
         "Peak memory in a worker that keeps what every format before needed, MiB", "<=", 300,
         lambda runs, sizes: _peak(runs, sizes, is_fresh=False),
         lambda sizes: f"up to {sizes.huge:,}"),
    Goal("csv_zstd_vs_csv", "CSV + zstd job / CSV job", "<=", 0.9,
         _seconds("main", "job_csv_zstd", "job_csv"), _main),
    Goal("csv_zstd_vs_psql_file", "CSV + zstd job to S3 / psql \\copy to a local file", "<=", 1.35,
         _seconds("main", "job_csv_zstd", "psql_file_csv"), _main),
    Goal("parquet_vs_adbc", "Parquet job / ADBC to pyarrow Parquet, uploaded", "<=", 0.8,
         _seconds("main", "job_parquet", "adbc_parquet"), _main),
    Goal("csv_10m_vs_1m", "CSV + zstd job, ten times the rows / once", "<=", 10.5,
         _over(("HUGE", "job_csv_zstd", "seconds"), ("MAIN", "job_csv_zstd", "seconds")),
         lambda sizes: f"{sizes.huge:,} against {sizes.main:,}"),
    Goal("peak_mib", "Peak memory of all processes of a job, any size and format, MiB", "<=", 300,
         _peak, lambda sizes: f"up to {sizes.huge:,}"),
    Goal("vs_pandas", "pandas / CSV job", ">=", 3,
         _first(_seconds("main", "pandas_csv", "job_csv"),
                _seconds("base", "pandas_csv", "job_csv")), _main),
    Goal("vs_sqlalchemy", "SQLAlchemy + csv / CSV job", ">=", 3,
         _first(_seconds("main", "sqlalchemy_csv", "job_csv"),
                _seconds("base", "sqlalchemy_csv", "job_csv")), _main),
    Goal("vs_django_import_export", "django-import-export / CSV job", ">=", 10, _DJANGO,
         lambda sizes: f"{sizes.main:,} if it was run there, else {sizes.base:,}"),
    Goal("vs_duckdb", "DuckDB / CSV job", ">=", 1.0,
         _seconds("main", "duckdb_csv", "job_csv"), _main),
    Goal("job_vs_psql_copy", "CSV job to S3 / psql \\copy to a local file", "<=", 4.0,
         _seconds("base", "job_csv", "psql_file_csv"), _base),
    Goal("memory_large_vs_small", "Largest process of a fresh worker, large table / small", "<=",
         1.1, _over(("LARGE", "job_csv", "largest_process_mib"),
                    ("BASE", "job_csv", "largest_process_mib")),
         lambda sizes: f"{sizes.large:,} against {sizes.base:,}"),
)  # fmt: skip


def ratios(runs: Runs, sizes: Sizes) -> dict[str, float | None]:
    """Return every ratio; ``None`` for one whose runs are missing."""
    found = {goal.key: goal.compute(runs, sizes) for goal in GOALS}
    return {key: None if value is None else round(value, 3) for key, value in found.items()}


def verdicts(runs: Runs, sizes: Sizes) -> dict[str, dict[str, Any]]:
    """Return, for each ratio and the other promises, the goal and whether it is met."""
    found: dict[str, dict[str, Any]] = {}
    for goal in GOALS:
        found[goal.key] = _verdict(
            goal.meaning, goal.operator, goal.value, goal.compute(runs, sizes), goal.rows(sizes)
        )
    growth = _over(("HUGE", "job_csv_zstd", "peak_mib"), ("MAIN", "job_csv_zstd", "peak_mib"))
    found["peak_mib_10m_vs_1m"] = _verdict(
        "Peak memory of a CSV + zstd job, ten times the rows / once", "<=", 1.1,
        growth(runs, sizes), f"{sizes.huge:,} against {sizes.main:,}",
    )  # fmt: skip
    found["job_100k_seconds"] = _verdict(
        "POST to completed, s (median)", "<=", 3.0, median(runs, "base", "job_csv"), _base(sizes)
    )
    found["csv_10m_seconds"] = _verdict(
        "CSV + zstd job on the largest table, s (the specification's deadline)", "<=", 60,
        median(runs, f"growth_{sizes.huge}", "job_csv_zstd"), f"{sizes.huge:,}",
    )  # fmt: skip
    found["fair_wait_service_times"] = _verdict(
        "One job behind another tenant's 10,000: its wait, in service times of those", "<=", 1.5,
        median(runs, "fairness", "fair_wait", "service_times"), f"{sizes.small:,}",
    )  # fmt: skip
    for figure, meaning in (("seconds", "Time"), ("cpu_seconds", "CPU s")):
        found[f"claims_in_turn_{figure}"] = _verdict(
            f"{meaning} of 80 queued jobs, claimed in turn / each by its own message", "<=", 1.03,
            _over(("fairness", "served_in_turn", figure),
                  ("fairness", "served_as_named", figure))(runs, sizes),
            f"{sizes.small:,}",
        )  # fmt: skip
    return found


def _verdict(
    meaning: str, operator: str, goal: float, value: float | None, rows: str
) -> dict[str, Any]:
    met = None if value is None else value <= goal if operator == "<=" else value >= goal
    return {
        "meaning": meaning,
        "rows": rows,
        "goal": f"{operator} {goal:g}",
        "value": None if value is None else round(value, 3),
        "met": met,
    }
