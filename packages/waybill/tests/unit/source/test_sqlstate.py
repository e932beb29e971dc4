from __future__ import annotations

import pytest

from waybill.errors import SourceRejected, SourceUnavailable
from waybill.source.libpq import error_from_sqlstate


@pytest.mark.parametrize(
    "state",
    ["08006", "40001", "40P01", "53300", "55P03", "57014", "57P01", "57P03", "58030", "72000"],
)
def test_cause_that_may_pass_is_retryable(state: str) -> None:
    error = error_from_sqlstate(state)

    assert isinstance(error, SourceUnavailable)
    assert state in str(error)


@pytest.mark.parametrize(
    "state",
    ["22012", "22021", "22P02", "25006", "28P01", "3D000", "42501", "42P01", "42703", "0A000",
     "54000", "P0001", "99999"],
)  # fmt: skip
def test_cause_that_will_not_pass_is_permanent(state: str) -> None:
    error = error_from_sqlstate(state)

    assert isinstance(error, SourceRejected)
    assert state in str(error)
