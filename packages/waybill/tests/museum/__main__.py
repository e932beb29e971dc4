"""``make museum``: replay every report, a line each. ``--page`` writes ``docs/museum.md``."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from .reports import GUIDE, ROOT, TESTS, Report, load, page


class _Outcomes:
    """What became of each test, by its path and name without parameters."""

    def __init__(self) -> None:
        self.passed: dict[str, bool] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        name = report.nodeid.removeprefix(f"{TESTS.relative_to(ROOT)}/").partition("[")[0]
        # A skipped test has shown nothing.
        is_good = report.passed if report.when == "call" else not (report.failed or report.skipped)
        self.passed[name] = self.passed.get(name, True) and is_good


def main() -> int:
    """Return 0 where every report came out as it says."""
    reports = load()
    if "--page" in sys.argv:
        GUIDE.write_text(page(reports), "utf-8")
        return 0
    outcomes = _Outcomes()
    tests = [str(TESTS / test) for each in reports for test in each.tests]
    pytest.main(["-q", "--no-header", "-p", "no:cacheprovider", *tests], plugins=[outcomes])
    wrong = 0
    for each in reports:
        is_right = all(outcomes.passed.get(test, False) for test in each.tests)
        if is_right and each.users:
            is_right = _arrives_whole(each)
        wrong += not is_right
        print(f"{each.source}: {each.complaint} -> {each.words if is_right else 'WRONG'}")
    exact = sum(each.outcome == "exact" for each in reports)
    print(
        f"museum: {len(reports)} reports, {exact} exact, {len(reports) - exact} refused visibly, "
        f"{wrong} wrong"
    )
    return int(wrong > 0)


def _arrives_whole(report: Report) -> bool:
    """Export as many users as were reported, and hold the file against its manifest."""
    done = subprocess.run(
        [sys.executable, "-m", "waybill", "demo", "--users", str(report.users)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    last = done.stdout.strip().splitlines()[-1:] or [done.stderr]
    print(last[0])
    return done.returncode == 0 and f"{report.users} users" in done.stdout


if __name__ == "__main__":
    sys.exit(main())
