"""Where tests decide (``CI``), a test that skips has failed: a missing program or file would
otherwise go unnoticed. What hangs on the kernel or the file system alone is marked ``kernel``.

Files go to the processes of ``make test`` in the order of ``_ROOMS``."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

# Services that once run cost a little until the end, so what needs none comes first. What is left
# over, adrkit's, is quick and comes last: begun last, a file of few but long tests keeps one
# process busy while the others have nothing left to do.
_ROOMS = ("unit", "contracts", "integration", "attacks", "museum", "e2e", "faults")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        rooms = [_ROOMS.index(part) for part in item.path.parts if part in _ROOMS]
        return rooms[-1] if rooms else len(_ROOMS)

    items.sort(key=place)


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
