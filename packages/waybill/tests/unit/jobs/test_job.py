from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from waybill.jobs.job import (
    LEGAL_MOVES,
    ExportJob,
    ExportStatus,
    IllegalMove,
    check_move,
    sources_of,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def make_job(status: ExportStatus = ExportStatus.RUNNING, **values: object) -> ExportJob:
    defaults: dict[str, object] = {
        "id": uuid4(),
        "export_type": "users",
        "format": "csv",
        "options": {},
        "requested_by": "ann",
        "created_at": NOW,
        "updated_at": NOW,
    }
    return ExportJob(status=status, **(defaults | values))  # type: ignore[arg-type]


def test_every_status_has_its_moves() -> None:
    assert set(LEGAL_MOVES) == set(ExportStatus)


@pytest.mark.parametrize("source", ExportStatus)
@pytest.mark.parametrize("target", ExportStatus)
def test_move_not_listed_raises(source: ExportStatus, target: ExportStatus) -> None:
    if target in LEGAL_MOVES[source]:
        check_move(source, target)
        assert source in sources_of(target)
    else:
        with pytest.raises(IllegalMove, match=f"from {source.value} to {target.value}"):
            check_move(source, target)
        assert source not in sources_of(target)


def test_a_finished_status_leads_to_no_run() -> None:
    for status in ExportStatus:
        if status.is_finished:
            assert ExportStatus.RUNNING not in LEGAL_MOVES[status]


def test_percent_before_anything_is_known_is_none() -> None:
    assert make_job().percent() is None


def test_percent_of_a_low_estimate_stays_below_100_until_completed() -> None:
    job = make_job(rows_expected=1000, rows_done=1500)
    assert job.percent() == 99.0
    assert make_job(ExportStatus.COMPLETED, rows_expected=1500, rows_done=1500).percent() == 100.0


def test_percent_of_an_empty_export_is_zero_while_running() -> None:
    assert make_job(rows_expected=0).percent() == 0.0


def test_rate_and_eta_follow_from_rows_and_time() -> None:
    job = make_job(rows_expected=3000, rows_done=1000, started_at=NOW - timedelta(seconds=10))
    assert job.rate(NOW) == 100.0
    assert job.eta_seconds(NOW) == 20.0


def test_eta_of_a_job_that_does_not_run_is_none() -> None:
    job = make_job(
        ExportStatus.QUEUED, rows_expected=3000, rows_done=10, started_at=NOW - timedelta(seconds=1)
    )
    assert job.eta_seconds(NOW) is None


def test_lease_token_is_not_in_the_repr() -> None:
    token = uuid4()
    assert str(token) not in repr(make_job(lease_token=token))
