"""Where tests decide (``CI``), a test that skips has failed: a missing program or file would
otherwise go unnoticed. What hangs on the kernel or the file system alone is marked ``kernel``."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest


def _is_deciding() -> bool:
    return bool(os.environ.get("CI"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    is_expected = hasattr(report, "wasxfail") or item.get_closest_marker("kernel") is not None
    if report.skipped and _is_deciding() and not is_expected:
        report.outcome = "failed"
        report.longrepr = f"skipped, which counts as a failure under CI: {call.excinfo}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped and _is_deciding():
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} skips as a whole, which counts as a failure under CI"
    return report
