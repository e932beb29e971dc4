"""The benchmark harness runs: at a size whose figures mean nothing, so none is looked at."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[4] / "benchmarks"
RATIOS = {
    "csv_1m_vs_psql_s3",
    "ndjson_1m_vs_psql_s3",
    "csv_worker_cpu_vs_floor",
    "small_jobs_per_second_vs_before",
    "small_job_cpu_vs_before",
    "small_export_seconds",
    "two_million_seconds",
    "peak_mib_after_other_formats",
    "csv_zstd_vs_csv",
    "csv_zstd_vs_psql_file",
    "parquet_vs_adbc",
    "csv_10m_vs_1m",
    "peak_mib",
    "vs_pandas",
    "vs_sqlalchemy",
    "vs_django_import_export",
    "vs_duckdb",
    "job_vs_psql_copy",
    "memory_large_vs_small",
}
WORKS = ("job_csv", "psql_file_csv", "psql_s3_csv", "stream_csv", "sync_rest")


@pytest.mark.slow
def test_benchmark_of_a_few_works_writes_its_results(tmp_path: Path) -> None:
    results = tmp_path / "latest.json"
    command = [sys.executable, str(BENCHMARKS / "run.py"), "--tiny", "--no-report"]
    command += ["--results", str(results), "--only", "base", "approaches", "--works", *WORKS]

    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stderr
    document = json.loads(results.read_text(encoding="utf-8"))
    assert set(document["ratios"]) == RATIOS
    assert document["ratios"]["job_vs_psql_copy"] > 0
    assert document["ratios"]["parquet_vs_adbc"] is None  # it was not asked for
    assert document["goals"]["job_vs_psql_copy"]["met"] in {True, False}
    assert document["seconds"]["job"]["median"] > 0
    base, approaches = document["stages"]["base"], document["stages"]["approaches"]
    assert {name for name in base if base[name].get("runs")} == set(WORKS[:3])
    assert approaches["sync_rest"]["runs"][0]["bytes"] > 0
    (run,) = base["psql_s3_csv"]["runs"]
    assert run["bytes"] == base["psql_file_csv"]["runs"][0]["bytes"]
    assert {"client", "postgres", "s3"} <= set(run["cpu"])
