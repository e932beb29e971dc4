"""A source whose rate and places its exports share, whoever runs them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog, ExportType, NamedSource, TableSource
from waybill.catalog.check import check_catalog
from waybill.catalog.politeness import Together
from waybill.errors import SourceFull
from waybill.jobs.job import ExportJob, Lease
from waybill.principal import READ, REQUEST, Principal
from waybill.requests.request import ExportRequest
from waybill.run.control import AttemptControl
from waybill.run.heartbeat import Heartbeat
from waybill.run.runner import Outcome
from waybill.source.source import PostgresSnapshot, PostgresSource

Add = Callable[..., Awaitable[ExportJob]]
Execute = Callable[..., list[tuple[Any, ...]]]

ANN = Principal("ann", scopes=frozenset({REQUEST, READ}))
USERS = TableSource("public", "users")
ANOTHER = (
    "INSERT INTO export_jobs (id, export_type, format, requested_by, max_attempts, status, attempt,"
    " lease_token, lease_expires_at, next_attempt_at) VALUES (gen_random_uuid(), 'orders', 'csv',"
    " 'bob', 1, 'running', 1, gen_random_uuid(), now() + interval '1 min', NULL)"
)


@pytest.fixture
def catalog() -> Catalog:
    return Catalog(
        [
            ExportType("users", USERS, key=("id",)),
            ExportType("orders", USERS, key=("id",), max_running=5, deadline_seconds=0.5),
        ],
        sources=[NamedSource("default", together=Together(2, rows_per_second=7_000))],
    )


@pytest.fixture
def shares(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Among how many each snapshot's rate is shared when it is opened."""
    seen: list[int] = []
    open_snapshot = PostgresSource.open_snapshot

    def spied(
        self: PostgresSource, *arguments: Any, **options: Any
    ) -> AbstractContextManager[PostgresSnapshot]:
        seen.append(options["sharers"]())
        return open_snapshot(self, *arguments, **options)

    monkeypatch.setattr(PostgresSource, "open_snapshot", spied)
    return seen


async def test_rate_is_shared_with_what_others_read(
    services: Services, add: Add, execute: Execute, shares: list[int]
) -> None:
    for _ in range(2):
        job = await add()
        assert await services.runner.run(job.id) is Outcome.COMPLETED
        execute(ANOTHER)
    assert shares == [1, 2]


async def test_share_is_looked_at_again_while_rows_are_read(
    services: Services, add: Add, execute: Execute, catalog: Catalog
) -> None:
    job = await add()
    taken = await services.leases.claim(job.id, lease_seconds=60, worker="w/1/f")
    assert taken is not None
    lease: Lease = taken[1]
    control = AttemptControl(60, float("inf"))
    count = services.source_use.sharing(catalog["users"])
    beats = Heartbeat(services.leases, lease, control, services.settings, None, count)
    for expected in (1, 2, 3):
        await beats.share()
        assert control.sharers() == expected
        execute(ANOTHER)


async def test_stream_takes_its_share_and_is_refused_where_there_is_no_place(
    services: Services, execute: Execute, shares: list[int]
) -> None:
    execute(ANOTHER)
    stream = await services.streams.open(ANN, ExportRequest("users", "csv"))
    try:
        assert shares[-1] == 2
        with pytest.raises(SourceFull) as caught:
            await services.streams.open(ANN, ExportRequest("users", "csv"))
        assert caught.value.limit == 2
    finally:
        await stream.close()
    assert execute("SELECT count(*) FROM export_jobs WHERE is_stream") == [(1,)]


def test_check_tells_what_cannot_be_kept(catalog: Catalog, database: str, execute: Execute) -> None:
    execute("ANALYZE users")
    found = {(each.export_type, each.code) for each in check_catalog(catalog, database)}
    assert found == {("orders", "share_too_slow"), ("orders", "max_running_unreachable")}
