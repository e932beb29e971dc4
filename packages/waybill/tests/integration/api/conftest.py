"""The real application in this process, on the session's real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from waybill.api.app import create_app
from waybill.bootstrap import Services


@pytest.fixture
async def api(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the development token."""
    app = create_app(services)
    async with httpx.AsyncClient(
        # raise_app_exceptions off: a client sees the 500 that a server would send.
        transport=httpx.ASGITransport(app=app, raise_app_exceptions=False),
        base_url="http://waybill.test",
        headers={"Authorization": "Bearer test-token"},
    ) as client:
        yield client
