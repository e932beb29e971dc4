"""A source whose rate and places its exports share, whoever runs them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.exc import DBAPIError

from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog, ExportType, NamedSource, TableSource
from waybill.catalog.check import check_catalog
from waybill.catalog.politeness import Together
from waybill.config import Settings
from waybill.errors import SourceFull, SourceUnavailable, SourceUnreadable
from waybill.jobs.job import ExportJob, Lease
from waybill.principal import READ, REQUEST, Principal
from waybill.requests.request import ExportRequest
from waybill.run.control import AttemptControl
from waybill.run.heartbeat import Heartbeat
from waybill.run.runner import Outcome
from waybill.run.stream_reader import StreamReader
from waybill.run.streams import ExportStream
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


async def test_streams_that_begin_in_one_moment_are_no_more_than_may_read(
    settings: Settings,
    catalog: Catalog,
    add: Add,
    services: Services,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    async def start(reader: StreamReader, threads: ThreadPoolExecutor) -> Any:
        asked.append(reader)
        return await begin(reader, threads)

    begin = StreamReader.start
    monkeypatch.setattr(StreamReader, "start", start)
    await add(export_type="orders")
    many = settings.model_copy(update={"max_streams": 4})
    async with (
        Services(many, catalog=catalog) as first,
        Services(many, catalog=catalog) as second,
    ):

        async def claim() -> bool:
            taken = await services.leases.claim(uuid4(), lease_seconds=60, worker="w/1/f")
            return taken is not None

        async def stream(process: Services, n: int) -> ExportStream:
            ann = Principal(f"ann{n}", scopes=frozenset({REQUEST, READ}))
            return await process.streams.open(ann, ExportRequest("users", "csv"))

        claimed, *opened = await asyncio.gather(
            claim(),
            *(stream(first if n % 2 else second, n) for n in range(8)),
            return_exceptions=True,
        )
        streams = [each for each in opened if isinstance(each, ExportStream)]
        refused = [each for each in opened if not isinstance(each, ExportStream)]
        assert claimed in {True, False}
        assert len(streams) + claimed == 2
        assert {type(each) for each in refused} == {SourceFull}
        # And nobody else so much as asked the source.
        assert len(asked) == len(streams)
        for each in streams:
            await each.close()


async def test_process_that_stops_as_it_takes_a_place_keeps_claims_waiting_for_a_moment_alone(
    services: Services, catalog: Catalog, add: Add
) -> None:
    job = await add()
    place = services.source_use.place(catalog["users"])
    assert place is not None
    connection = await services.repository.engine.connect()
    await place(connection)
    # It never comes to its commit. A claim waits for 5 s at most, and then fails.
    assert await services.leases.claim(job.id, lease_seconds=60, worker="w/1/f")
    with pytest.raises(DBAPIError):
        await connection.commit()
    await connection.invalidate()
    await connection.close()


async def test_stream_that_cannot_send_its_first_byte_gives_its_place_back(
    services: Services, execute: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def refuse(*_: Any, **__: Any) -> None:
        seen.extend(execute("SELECT status, is_stream FROM export_jobs"))
        raise SourceUnavailable("away")

    monkeypatch.setattr(PostgresSource, "open_snapshot", refuse)
    with pytest.raises(SourceUnreadable):
        await services.streams.open(ANN, ExportRequest("users", "csv"))
    assert seen == [("running", True)]
    assert execute("SELECT count(*) FROM export_jobs") == [(0,)]
    assert execute("SELECT count(*) FROM audit_events") == [(0,)]


def test_check_tells_what_cannot_be_kept(catalog: Catalog, database: str, execute: Execute) -> None:
    execute("ANALYZE users")
    found = {(each.export_type, each.code) for each in check_catalog(catalog, database)}
    assert found == {("orders", "share_too_slow"), ("orders", "max_running_unreachable")}
