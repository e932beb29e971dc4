"""Builds the FastAPI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from waybill import __version__
from waybill.api import (
    admin,
    audit,
    download,
    events,
    exports,
    health,
    metrics,
    offer,
    openapi,
    problems,
    stream,
)
from waybill.api.auth import Authenticator, create_authenticator
from waybill.api.body_limit import BodyLimit
from waybill.api.rate_limit import RateLimiter
from waybill.api.safe_headers import SafeHeaders
from waybill.bootstrap import Services

_DESCRIPTION = """\
Asynchronous user-data export, with a manifest that proves the file whole.

Request an export (`202`, with its address in `Location`), watch it by polling or by server-sent
events, then download the file and its manifest. Every error is an RFC 9457 problem whose `code` is
stable.
"""
_TAGS = [
    {"name": "exports", "description": "Request, watch, download, discard."},
    {
        "name": "admin",
        "description": "For holders of the scope `exports:admin`, within their tenant; for all "
        "tenants with `exports:all-tenants` beside it.",
    },
    {"name": "health", "description": "For load balancers."},
    {"name": "operations", "description": "For monitoring."},
]


def create_app(services: Services, *, authenticator: Authenticator | None = None) -> FastAPI:
    """Return the application; ``authenticator`` replaces the one the settings name.

    Raises:
        ConfigurationError: nobody could ever authenticate, or not safely.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with services:
            # Beside the first requests, not before them: whoever is away must not keep us from
            # saying so.
            warming = asyncio.create_task(services.warm_up(with_queue=True))
            yield
            warming.cancel()

    app = FastAPI(
        title="waybill",
        version=__version__,
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        # Names that generated clients can bear.
        generate_unique_id_function=lambda route: route.name,
        lifespan=lifespan,
    )
    app.state.services = services
    app.state.authenticator = authenticator or create_authenticator(services.settings)
    app.state.rate_limiter = RateLimiter(
        per_second=services.settings.requests_per_second,
        burst=services.settings.requests_burst,
    )
    app.add_middleware(BodyLimit, max_bytes=services.settings.max_body_bytes)
    app.add_middleware(SafeHeaders)
    problems.install(app)
    for module in (health, metrics, offer, exports, stream, events, download, admin, audit):
        app.include_router(module.router)
    openapi.install(app)
    return app
