"""A job of a later version, met by this one's worker: it waits, and gives no other rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from waybill.bootstrap.everything import Services
from waybill.catalog.filters import STORED_AS
from waybill.catalog.model import Column
from waybill.catalog.selection import Selection
from waybill.jobs.job import ExportJob, ExportStatus
from waybill.requests.request import ExportRequest, Terms, is_of_later_version
from waybill.run.runner import Outcome

Add = Callable[..., Awaitable[ExportJob]]

FULL = ExportRequest(
    "people",
    "csv",
    columns=(Column("id", "Number"),),
    filters={"country": {"eq": "DE"}},
    since="2026-05-01T12:00:00Z",
    compression="zstd",
    format_options={"bom": True},
    terms=Terms(("email",), "x"),
    selection=Selection(
        ("SELECT id FROM people WHERE id = ", ""), (1,), ("id",), ("id",), ("pii",)
    ),
)


@pytest.mark.parametrize(
    "where",
    [
        lambda stored: stored,
        lambda stored: stored["terms"],
        lambda stored: stored["columns"][0],
        lambda stored: stored["filters"][STORED_AS],
    ],
)
def test_what_this_version_stores_is_known_and_anything_more_is_not(where: Any) -> None:
    stored = FULL.options_json()
    assert not is_of_later_version(stored)

    where(stored)["narrowed_by"] = 1

    assert is_of_later_version(stored)


async def test_job_of_a_later_version_waits_and_spends_no_attempt(
    services: Services, add: Add, execute: Any
) -> None:
    job = await add()
    execute(
        "UPDATE export_jobs SET options = options || '{\"narrowed_by\": 1}' WHERE id = %s", job.id
    )

    assert await services.runner.run(job.id) is Outcome.GIVEN_BACK

    found = await services.repository.find(job.id)
    assert found is not None
    assert (found.status, found.attempt, found.error_code) == (
        ExportStatus.QUEUED, 0, "newer_request",
    )  # fmt: skip

    # Its own version is here.
    execute("UPDATE export_jobs SET options = options - 'narrowed_by', next_attempt_at = now()")
    assert await services.runner.run(job.id) is Outcome.COMPLETED
