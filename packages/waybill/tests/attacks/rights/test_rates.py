"""Asking as fast as one can: every route has its limit for each person (there is no cheap one)."""

from __future__ import annotations

from uuid import uuid4

import pytest

from waybill.config import Settings

from .conftest import House
from .matrix import MATRIX

# They know no person; what they cost is bounded by address, before anything is looked at.
NOBODYS = {"GET /healthz", "GET /readyz"}
SCOPE = "exports:request exports:read exports:admin exports:all-tenants"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    # Nothing comes back while a test runs, however slow the machine is.
    return settings.model_copy(update={"requests_burst": 2, "requests_per_second": 0.001})


async def test_every_route_has_a_limit_for_each_person(house: House) -> None:
    """``test_matrix`` sees to it that these are all operations of the served document."""
    free = set()
    for operation in MATRIX:
        method, path = operation.split(" ")
        # Somebody new each time: none pays for another route. Nothing asked for is there, which
        # is what somebody who tries addresses gets.
        who = {"sub": str(uuid4()), "org": "acme", "scope": SCOPE}
        address = path.format(export_type="nothing", export_id=uuid4())
        body = {} if method == "POST" else None
        answers = [await house.ask(who, method, address, json=body) for _ in range(3)]
        statuses = [answer.status_code for answer in answers]
        if 429 not in statuses:
            free.add(operation)
            continue
        assert statuses.index(429) <= 2, operation
        assert int(answers[-1].headers["retry-after"]) > 0, operation
        # It is this person's alone.
        other = {"sub": str(uuid4()), "org": "acme", "scope": SCOPE}
        assert (await house.ask(other, method, address, json=body)).status_code != 429, operation
    assert free == NOBODYS


async def test_routes_of_one_person_share_one_limit(house: House) -> None:
    who = {"sub": "ann", "org": "acme", "scope": SCOPE}
    paths = ["/api/exports", "/api/catalog", f"/api/exports/{uuid4()}", "/api/audit"]
    statuses = [(await house.ask(who, "GET", path)).status_code for path in paths]
    assert statuses[2:] == [429, 429]
