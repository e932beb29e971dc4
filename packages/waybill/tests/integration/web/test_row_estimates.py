"""About how many rows the types of the list have: of whose rows nothing is said, and what a source
that is away does to the list."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog
from waybill.catalog.toml import parse_catalog
from waybill.requests import row_estimates
from waybill.requests.row_estimates import TASK, RowEstimates
from waybill.source.source import PostgresSnapshot, PostgresSource

from ...logged import logged
from .conftest import Browser

SignIn = Callable[..., Awaitable[Browser]]
Execute = Callable[..., list[tuple[Any, ...]]]

LONG_SECONDS = 60.0
"""Patience that outlasts any machine."""


@pytest.fixture
def catalog() -> Catalog:
    return parse_catalog(
        """
        [exports.users]
        table = "public.users"
        key = "id"

        [exports.again]
        table = "public.users"
        key = "id"
        columns = ["id", "country"]

        [exports.mine]
        table = "public.users"
        key = "id"
        scope = "country = :principal.tenant"

        [exports.query]
        query = "SELECT id FROM public.users"
        key = "id"

        [exports.fresh]
        table = "public.fresh"
        """
    )


class Gate(PostgresSource):
    """A source that can be kept from answering, and counts who asks."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn)
        self.opened = 0
        self.answers = threading.Event()
        self.answers.set()

    @contextlib.contextmanager
    def open_snapshot(self, *arguments: Any, **options: Any) -> Iterator[PostgresSnapshot]:
        self.opened += 1
        assert self.answers.wait(LONG_SECONDS), "the list waits for its source"
        with super().open_snapshot(*arguments, **options) as snapshot:
            yield snapshot


async def test_list_says_rows_of_types_that_give_everybody_the_same(
    services: Services, sign_in: SignIn, execute: Execute, database: str
) -> None:
    execute("CREATE TABLE public.fresh WITH (autovacuum_enabled = false) AS SELECT 1 AS id")
    execute("ANALYZE public.users")
    source = Gate(database)
    services.row_estimates = RowEstimates(source, services.catalog, patience_seconds=LONG_SECONDS)
    for tenant in ("DE", "FR"):
        browser = await sign_in("ann", tenant=tenant)
        cards = (await browser.get("/new")).text.split('class="card"')[1:]
        said = {card.partition("</code>")[0].rpartition("<code>")[2]: card for card in cards}
        assert set(said) == {"users", "again", "mine", "query", "fresh"}
        assert [name for name, card in said.items() if "about 2,000 rows" in card] == [
            "again",
            "users",
        ]
        assert [name for name, card in said.items() if "about" in card] == ["again", "users"]
        assert "Only the rows of your own tenant" in said["mine"]
    german = await browser.get("/new", **{"accept-language": "de"})
    assert "etwa 2.000 Zeilen" in german.text
    # Asked once for all types and everybody, by one statement.
    assert source.opened == 1


async def test_what_is_known_serves_for_a_minute(
    services: Services, execute: Execute, database: str
) -> None:
    now = [100.0]
    execute("ANALYZE public.users")
    source = Gate(database)
    estimates = RowEstimates(
        source, services.catalog, patience_seconds=LONG_SECONDS, monotonic=lambda: now[0]
    )
    found = await asyncio.gather(*(estimates.by_type() for _ in range(5)))
    assert found == [{"users": 2_000, "again": 2_000}] * 5
    execute("DELETE FROM public.users WHERE id > 1000")
    execute("ANALYZE public.users")
    now[0] += 59
    assert (await estimates.by_type())["users"] == 2_000
    now[0] += 1
    assert (await estimates.by_type())["users"] == 1_000
    assert source.opened == 2


async def test_source_that_does_not_answer_is_not_waited_for(
    services: Services, sign_in: SignIn, execute: Execute, database: str
) -> None:
    now = [100.0]
    execute("ANALYZE public.users")
    source = Gate(database)
    source.answers.clear()
    services.row_estimates = estimates = RowEstimates(
        source, services.catalog, patience_seconds=0.01, monotonic=lambda: now[0]
    )
    browser = await sign_in("ann", tenant="DE")
    for _ in range(2):
        page = (await browser.get("/new")).text
        assert 'href="/new/users"' in page
        assert "about" not in page
    # Those of a minute later do not ask beside whoever is asking still.
    now[0] += 61
    assert await estimates.by_type() == {}
    assert source.opened == 1
    source.answers.set()
    await asyncio.wait([each for each in asyncio.all_tasks() if each.get_name() == TASK])
    # Too late for those lists, and there for the next.
    now[0] -= 61
    assert (await estimates.by_type())["users"] == 2_000
    assert source.opened == 1


async def test_source_that_is_away_is_let_be_for_a_minute(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    lines = logged(monkeypatch, row_estimates)
    source = Gate("postgresql://nobody@127.0.0.1:1/none")
    estimates = RowEstimates(
        source, services.catalog, patience_seconds=LONG_SECONDS, monotonic=lambda: now[0]
    )
    for _ in range(3):
        assert await estimates.by_type() == {}
    assert source.opened == 1
    now[0] += 60
    assert await estimates.by_type() == {}
    assert source.opened == 2
    assert [line["error"] for line in lines.entries] == ["source_unavailable"] * 2


async def test_catalog_without_such_types_asks_nobody(services: Services) -> None:
    catalog = Catalog([services.catalog.get_type(each) for each in ("mine", "query")])
    source = Gate("postgresql://nobody@127.0.0.1:1/none")
    assert await RowEstimates(source, catalog).by_type() == {}
    assert source.opened == 0
