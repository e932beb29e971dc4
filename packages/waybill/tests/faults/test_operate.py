"""The short form of ``make operate``: one fault, real Prometheus and Alertmanager."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from waybill.local.faults.operate.__main__ import operate
from waybill.local.faults.operate.house import FAULTS

pytestmark = pytest.mark.faults


def test_alert_arrives_at_its_fault_and_is_withdrawn_after_it(
    find_program: Callable[[str, str], str],
) -> None:
    for program in ("prometheus", "prometheus-alertmanager"):
        find_program(program, program)
    (fault,) = (each for each in FAULTS if each.alert == "WaybillApiDown")
    with tempfile.TemporaryDirectory(prefix="waybill-operate-") as directory:
        Path(directory).chmod(0o755)  # PostgreSQL's account goes through it

        tally = operate(Path(directory), (fault,), Console(stderr=True), quiet_seconds=0)

    # Whether another alert fires on a machine that is slow enough is not this test's question.
    assert (tally.faults, tally.fired, tally.resolved, tally.missing) == (1, 1, 1, 0)
