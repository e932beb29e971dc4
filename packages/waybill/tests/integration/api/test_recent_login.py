"""Types so sensitive that a session left open is not enough (ASVS 5.0, 7.5.3; RFC 9470)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog
from waybill.catalog.toml import parse_catalog
from waybill.principal import Principal

Execute = Callable[..., list[tuple[Any, ...]]]
ActAs = Callable[[Principal], None]


@pytest.fixture
def catalog() -> Catalog:
    return parse_catalog(
        '[exports.users]\ntable = "users"\nkey = "id"\nrequires_recent_login_seconds = 300\n'
        '[exports.others]\ntable = "users"\nkey = "id"\n'
    )


@pytest.fixture
def ann(services: Services, act_as: ActAs) -> Callable[[float | None], None]:
    """Let the requests be Ann's, who signed in so many seconds ago."""

    def signed_in(seconds_ago: float | None) -> None:
        now: datetime = services.clock.now()
        at = None if seconds_ago is None else now - timedelta(seconds=seconds_ago)
        act_as(Principal("ann", authenticated_at=at))

    return signed_in


@pytest.mark.parametrize("seconds_ago", [301, 86_400, None])
@pytest.mark.parametrize("body", [{}, {"dry_run": True}])
async def test_long_ago_is_refused_with_the_challenge_and_recorded(
    api: httpx.AsyncClient,
    ann: Callable[[float | None], None],
    execute: Execute,
    seconds_ago: float | None,
    body: dict[str, Any],
) -> None:
    ann(seconds_ago)
    response = await api.post("/api/users/export", json=body)
    assert response.status_code == 401
    assert (response.json()["code"], response.json()["max_age"]) == ("recent_login_required", 300)
    challenge = response.headers["www-authenticate"]
    assert 'error="insufficient_user_authentication"' in challenge
    assert 'max_age="300"' in challenge
    assert execute("SELECT count(*) FROM export_jobs") == [(0,)]
    assert execute("SELECT actor, action, outcome, code FROM audit_events") == [
        ("ann", "requested", "refused", "recent_login_required")
    ]
    assert (await api.post("/api/others/export")).status_code == 202


async def test_download_asks_again(
    api: httpx.AsyncClient, ann: Callable[[float | None], None], services: Services
) -> None:
    ann(10)
    job = (await api.post("/api/users/export")).json()
    await services.runner.run(UUID(job["id"]))
    download = f"/api/exports/{job['id']}/download"
    assert (await api.get(download)).status_code == 307
    ann(301)
    # It is there to be seen, not to be had.
    assert (await api.get(f"/api/exports/{job['id']}")).json()["status"] == "completed"
    assert (await api.get(download)).status_code == 401
    assert (await api.get(f"{download}?via=stream")).status_code == 401
    assert (await api.get(f"/api/exports/{job['id']}/manifest")).status_code == 401
