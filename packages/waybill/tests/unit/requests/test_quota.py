"""What counts against a quota, and what of our side does not."""

from __future__ import annotations

import asyncio

import pytest

from waybill.errors import (
    DeadlineExceeded,
    InvalidOption,
    SourceRejected,
    StorageUnavailable,
    WorkerLost,
)
from waybill.requests.quota import WINDOW_SECONDS, _seconds, may_pass


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (StorageUnavailable("Away."), True),
        (WorkerLost("Silence."), True),
        (ZeroDivisionError(), True),  # a defect of ours
        (SourceRejected("No such column."), False),
        (DeadlineExceeded(60), False),
        (InvalidOption("delimiter", "one character"), False),
        (asyncio.CancelledError(), False),
    ],
)
def test_only_what_is_ours_and_not_the_requests_passes_by_itself(
    error: BaseException, passes: bool
) -> None:
    assert may_pass(error) is passes


@pytest.mark.parametrize(
    ("left", "told"), [(None, WINDOW_SECONDS), (-0.5, 1), (0.2, 1), (1.0, 1), (1.2, 2)]
)
def test_moment_that_is_told_is_never_now_and_never_too_early(
    left: float | None, told: int
) -> None:
    assert _seconds(left) == told
