"""``make chaos`` in its short form: every kind of fault has its turn in the long one."""

from __future__ import annotations

import re

from rich.console import Console

from waybill.local.faults.chaos import rehearse
from waybill.local.stack import LocalStack


def test_half_a_minute_of_chaos_loses_doubles_cuts_and_sticks_nothing(
    fault_stack: LocalStack,
) -> None:
    found, summary = rehearse(fault_stack, 0.5, 7, Console(quiet=True))
    found.assert_holds()
    assert re.fullmatch(
        r"chaos: [1-9]\d* faults, ([1-9]\d*) jobs, \1 completed, 0 lost, 0 doubled, "
        r"0 truncated, 0 stuck",
        summary,
    ), summary
