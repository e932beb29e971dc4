"""``make chaos ARGS="--host celery"`` in its short form."""

from __future__ import annotations

import re

from rich.console import Console

from waybill.local.faults.shared.breaking import rehearse
from waybill.local.stack import LocalStack


def test_half_a_minute_of_chaos_beside_their_celery_touches_nothing_of_theirs(
    fault_stack: LocalStack,
) -> None:
    problems, summary = rehearse(fault_stack, 0.5, 5, Console(quiet=True), is_whole=False)
    assert problems == [], summary
    assert re.match(
        r"chaos: [1-9]\d* faults, ([1-9]\d*) exports, \1 completed, 0 lost, 0 doubled; "
        r"host: [1-9]\d* tasks, 0 lost, 0 run twice, 0 keys touched ",
        summary,
    ), summary
